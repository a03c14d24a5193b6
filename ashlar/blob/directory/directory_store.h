#pragma once

/// Blobs as files of one directory. Format: docs/formats/blob-directory.md.

#include <memory>
#include <string>

#include "ashlar/blob/store.h"

namespace ashlar {
class OptionSet;
}

namespace ashlar::blob {

struct DirectoryOptions {
  std::uint64_t reserve_bytes = 64u << 20;  ///< space given up when the disk is full; 0 for none
  bool direct = true;                       ///< bypass the page cache where the file system can
};
void describe(OptionSet& set, DirectoryOptions& options);

/// Opens the store in `path`, a directory that exists (make_directory() and sync its parent first where it is
/// new). busy where another process, or another store of this one, has it open.
Task<Result<std::unique_ptr<Store>>> open_directory(std::string path, DirectoryOptions options = {});

}  // namespace ashlar::blob
