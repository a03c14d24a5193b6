#pragma once

/// What the partitions of a store share beyond their shards: the clock, how far each knows outcomes, and who
/// helps with compactions.

#include <atomic>
#include <memory>

#include "ashlar/kv/lsm/helpers.h"
#include "ashlar/kv/partitioner.h"
#include "ashlar/kv/store_clock.h"

namespace ashlar::lsm {

/// For each partition, the smallest sequence of a transaction across partitions that it has prepared, and
/// whose outcome is not durable there yet; the greatest possible one where there is none. A partition that is
/// not open yet knows nothing: 0. Thread safety: each is written by its partition's shard and read by any.
class UndecidedFloors {
 public:
  void resize(std::uint32_t partitions) {
    floors_ = std::make_unique<std::atomic<std::uint64_t>[]>(partitions);
    partitions_ = partitions;
  }
  void set(kv::PartitionId id, kv::Sequence floor) noexcept {
    if (id.value < partitions_) floors_[id.value].store(floor.value, std::memory_order_release);
  }
  /// Of a partition that is no part of the store: none is waited for.
  kv::Sequence get(kv::PartitionId id) const noexcept {
    if (id.value >= partitions_) return kv::sequence_max;
    return kv::Sequence{floors_[id.value].load(std::memory_order_acquire)};
  }

 private:
  std::unique_ptr<std::atomic<std::uint64_t>[]> floors_;
  std::uint32_t partitions_ = 0;
};

struct StoreState {
  /// Made on a shard.
  explicit StoreState(unsigned shards) : clock(shards) {}
  StoreState(unsigned shards, unsigned set_aside, unsigned idle)
      : clock(shards), helpers(shards, set_aside, idle) {}
  kv::StoreClock clock;
  UndecidedFloors undecided;
  Helpers helpers;
};

}  // namespace ashlar::lsm
