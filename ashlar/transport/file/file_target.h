#pragma once

/// Opening what a spec names, and finding out what it is.

#include <string>
#include <vector>

#include "ashlar/block/geometry.h"
#include "ashlar/block/registry.h"
#include "ashlar/runtime/ops/file.h"
#include "ashlar/runtime/task/task.h"
#include "ashlar/transport/file/file_options.h"

namespace ashlar {

/// An open file or device.
struct FileTarget {
  File file;
  /// What other shards open: the same file, also where its name has gone to another meanwhile.
  std::string path;
  int open_flags = 0;
  FileTraits traits;
  bool direct = false;  ///< past the page cache
  Geometry geometry;
  std::vector<std::string> notes;
};

/// Whether this shard lives in a simulated world.
bool on_simulated_shard() noexcept;

/// On the shard that becomes the device's home. The message of an error says what to do about it.
Task<SpecResult<FileTarget>> open_target(const Spec& spec, const FileOptions& options, FileKind kind);

}  // namespace ashlar
