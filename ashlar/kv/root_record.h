#pragma once

/// The root record of a data directory: what a reader must know before it touches anything else. But for
/// column families and the merge operator it never changes. Format: docs/formats/directory.md.

#include <string>
#include <vector>

#include "ashlar/base/result.h"
#include "ashlar/kv/family.h"
#include "ashlar/kv/partitioner.h"

namespace ashlar::kv {

/// A column family, or one whose keys are being erased: its number stays taken.
struct FamilyRecord {
  Family family;
  bool dropped = false;
};

struct RootRecord {
  static constexpr std::uint32_t format_version = 1;

  std::uint64_t directory_id = 0;  ///< random, given at creation
  std::uint64_t created_ms = 0;    ///< wall clock
  std::string engine = "lsm";
  Partitioner partitioner = Partitioner::hashed(1);
  std::string merge_operator = {};          ///< of the store's own keys; empty: none
  std::vector<FamilyRecord> families = {};  ///< in no order

  std::vector<std::byte> encode() const;
  /// `corrupt` with the offset in the record; `unsupported` where a newer version wrote it.
  static Result<RootRecord> decode(Bytes bytes);
};

}  // namespace ashlar::kv
