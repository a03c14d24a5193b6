#pragma once

/// The root record of a data directory: what never changes after it was created, and what a reader must know
/// before it touches anything else. Format: docs/formats/directory.md.

#include <string>
#include <vector>

#include "ashlar/base/result.h"
#include "ashlar/kv/partitioner.h"

namespace ashlar::kv {

struct RootRecord {
  static constexpr std::uint32_t format_version = 1;

  std::uint64_t directory_id = 0;  ///< random, given at creation
  std::uint64_t created_ms = 0;    ///< wall clock
  std::string engine = "lsm";
  Partitioner partitioner = Partitioner::hashed(1);

  std::vector<std::byte> encode() const;
  /// `corrupt` with the offset in the record; `unsupported` where a newer version wrote it.
  static Result<RootRecord> decode(Bytes bytes);
};

}  // namespace ashlar::kv
