#include "ashlar/kv/store_clock.h"

#include <algorithm>
#include <cassert>

#include "ashlar/kv/read.h"

namespace ashlar::kv {

/// Either the snapshot's pin is seen here, or the snapshot begins after the fence: then its sequence is not
/// below what the caller has noted before it.
StoreClock::Horizon StoreClock::horizon() const noexcept {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  Horizon horizon;
  for (unsigned shard = 0; shard < shards_; ++shard) {
    const OfShard& own = own_[shard];
    horizon.sequence = std::min(horizon.sequence, Sequence{own.oldest.load(std::memory_order_acquire)});
    horizon.now_ms = std::min(horizon.now_ms, own.oldest_now_ms.load(std::memory_order_acquire));
  }
  return horizon;
}

void StoreClock::enter(Snapshot& snapshot) noexcept {
  Shard& shard = Shard::current();
  assert(shard.id().value < shards_);
  OfShard& own = own_[shard.id().value];
  const std::uint64_t wall_ms = shard.backend().wall_ms();
  if (own.snapshots.empty()) own.oldest.store(now().value, std::memory_order_release);
  if (wall_ms < own.oldest_now_ms.load(std::memory_order_relaxed))
    own.oldest_now_ms.store(wall_ms, std::memory_order_release);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  snapshot.sequence_ = now();
  snapshot.now_ms_ = wall_ms;
  own.snapshots.push_back(snapshot);
}

void StoreClock::leave(Snapshot& snapshot) noexcept {
  assert(Shard::current().id() == snapshot.home_ && "a snapshot ends on its own shard");
  OfShard& own = own_[snapshot.home_.value];
  snapshot.unlink();
  const bool last = own.snapshots.empty();
  own.oldest.store(last ? sequence_max.value : own.snapshots.front().sequence().value,
                   std::memory_order_release);
  if (snapshot.now_ms() > own.oldest_now_ms.load(std::memory_order_relaxed)) return;
  std::uint64_t oldest_now_ms = ~std::uint64_t{0};
  for (const Snapshot& other : own.snapshots) oldest_now_ms = std::min(oldest_now_ms, other.now_ms());
  own.oldest_now_ms.store(oldest_now_ms, std::memory_order_release);
}

}  // namespace ashlar::kv
