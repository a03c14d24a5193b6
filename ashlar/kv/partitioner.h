#pragma once

/// Which partition a key belongs to. Fixed when a data directory is created and kept in its root record
/// (docs/formats/directory.md); the shards that serve the partitions are chosen at each open (D3).

#include <cstdint>
#include <string>
#include <vector>

#include "ashlar/base/result.h"
#include "ashlar/kv/key.h"

namespace ashlar::kv {

using PartitionId = Strong<struct PartitionIdTag, std::uint16_t>;
constexpr std::uint32_t partition_count_max = 4096;

/// Immutable, hence usable from any thread.
class Partitioner {
 public:
  enum class Scheme : std::uint8_t { hash = 1, range = 2 };

  /// Slots in equal contiguous runs. 1 ≤ partitions ≤ partition_count_max.
  static Partitioner hashed(std::uint32_t partitions);
  /// `map[slot]` is the partition of each of the 16,384 slots; every partition is below `partitions`.
  static Result<Partitioner> hashed(std::uint32_t partitions, std::vector<PartitionId> map);
  /// Partition i holds the keys from boundaries[i − 1] (included) to boundaries[i]; strictly ascending.
  static Result<Partitioner> ranged(std::vector<std::string> boundaries);

  Scheme scheme() const noexcept { return scheme_; }
  std::uint32_t partitions() const noexcept { return partitions_; }
  const std::vector<PartitionId>& slot_map() const noexcept { return slot_map_; }
  const std::vector<std::string>& boundaries() const noexcept { return boundaries_; }

  /// The stored form of a user key here: its slot is zero where partitions are ranges.
  StoredKey stored(Bytes user_key, KeyType type = KeyType::value) const {
    return StoredKey(type, scheme_ == Scheme::hash ? slot_of(user_key) : Slot{}, user_key);
  }
  PartitionId partition_of(Bytes stored_key) const noexcept {
    return scheme_ == Scheme::hash ? slot_map_[slot_of_stored(stored_key).value]
                                   : range_of(user_key_of_stored(stored_key));
  }
  PartitionId partition_of(const StoredKey& key) const noexcept { return partition_of(key.bytes()); }

 private:
  PartitionId range_of(Bytes user_key) const noexcept;

  Scheme scheme_ = Scheme::hash;
  std::uint32_t partitions_ = 1;
  std::vector<PartitionId> slot_map_;
  std::vector<std::string> boundaries_;
};

}  // namespace ashlar::kv
