#pragma once

/// Ranges of a user's keys in stored form.

#include <string>
#include <string_view>

#include "ashlar/kv/partitioner.h"

namespace ashlar::embed {

struct StoredRange {
  std::string first;     ///< included
  std::string end;       ///< excluded
  bool bounded = false;  ///< less than the whole family

  /// The bounds of a scan, or instead of them a prefix. Slots are zero: of a database whose keys are spread
  /// by hash, only what is not bounded is meant.
  static StoredRange of(std::string_view lower, std::string_view upper, std::string_view prefix,
                        unsigned char type);
  /// A key as its end or beginning.
  static std::string bound(std::string_view key, unsigned char type);
};

/// Where a bound is. Bounds of a database whose keys are spread by hash are those of whole families.
kv::PartitionId partition_of_bound(const kv::Partitioner& partitioner, std::string_view bound) noexcept;
/// The last partition with keys below an end.
kv::PartitionId last_partition_below(const kv::Partitioner& partitioner, std::string_view end) noexcept;

}  // namespace ashlar::embed
