#pragma once

/// What the partitions of one shard share: epochs, block cache, memtable memory, turns of compaction.

#include "ashlar/kv/lsm/arena.h"
#include "ashlar/kv/lsm/job_queue.h"
#include "ashlar/kv/lsm/options.h"
#include "ashlar/kv/lsm/store_state.h"
#include "ashlar/kv/lsm/table/cache.h"
#include "ashlar/runtime/memory/epoch.h"
#include "ashlar/runtime/sync/semaphore.h"

namespace ashlar::lsm {

/// Owner: one shard, on which it is created and destroyed, after its partitions. What it keeps beyond what is
/// in use it gives back where memory is wanted.
class ShardContext final : private MemoryReclaimer {
 public:
  /// At most `cache_bytes` of cache on this shard. Slots are sized for the options' blocks, and for those of
  /// large entries, up to 2 MiB; larger ones are not kept. `state`: of the store, which it outlives; null for
  /// partitions that are in none.
  ShardContext(const LsmOptions& options, std::uint64_t cache_bytes, StoreState* state = nullptr);
  ShardContext(const ShardContext&) = delete;
  ShardContext& operator=(const ShardContext&) = delete;

  EpochDomain& epochs() noexcept { return epochs_; }
  BlockCache& cache() noexcept { return cache_; }
  ChunkPool& chunks() noexcept { return chunks_; }
  StoreState& state() noexcept { return *state_; }
  JobQueue& jobs() noexcept { return jobs_; }
  /// Bytes that compactions have with the device.
  Semaphore& background_bytes() noexcept { return background_bytes_; }

 private:
  bool reclaim() noexcept override;

  std::unique_ptr<StoreState> own_state_;
  StoreState* state_;
  EpochDomain epochs_;
  ChunkPool chunks_;
  BlockCache cache_;
  JobQueue jobs_;
  Semaphore background_bytes_;
};

}  // namespace ashlar::lsm
