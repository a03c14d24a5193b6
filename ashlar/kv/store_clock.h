#pragma once

/// The clock of a store: sequences of all its partitions come from it, and snapshots of the whole are numbers
/// of it (D13). Rules: docs/formats/key.md, "Sequence".

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>

#include "ashlar/base/intrusive_list.h"
#include "ashlar/kv/key.h"
#include "ashlar/runtime/shard/shard.h"

namespace ashlar::kv {

class Snapshot;

/// Thread safety: any shard, but for raise() and what a shard has of its own. Lifecycle: made on a shard
/// before the partitions, which it outlives. Invariant: a sequence given out after another one, on whichever
/// shards, is not below it; so what now() returns is not below anything that was ordered before.
///
/// All shards read one monotonic clock, hence nothing is shared to give out a sequence. Where one must run
/// ahead of it (two writes in one tick, some 15 ns), it is noted for the others.
class StoreClock {
 public:
  /// `shards`: their number, or more.
  explicit StoreClock(unsigned shards)
      : shards_(shards),
        own_(std::make_unique<OfShard[]>(shards)),
        begin_(Shard::current().now()),
        begin_ticks_(Shard::current().backend().wall_ms() << SequenceClock::logical_bits) {}
  StoreClock(const StoreClock&) = delete;
  StoreClock& operator=(const StoreClock&) = delete;

  /// Recovery found `newest`: what is given out from here on is above it. Before the store is used, by one
  /// shard.
  void raise(Sequence newest) noexcept {
    const std::uint64_t now = ticks();
    if (newest.value < now) return;
    begin_ticks_.store(begin_ticks_.load(std::memory_order_relaxed) + newest.value + 1 - now,
                       std::memory_order_relaxed);
  }

  /// For a write of a partition whose newest sequence is `last`.
  Sequence next(Sequence last) noexcept {
    const std::uint64_t tick = ticks();
    std::uint64_t next = std::max(tick, ahead_.load(std::memory_order_acquire));
    next = std::max(next, last.value + 1);
    if (next > tick) [[unlikely]]
      note_ahead(next);
    return Sequence{next};
  }
  /// Not below anything given out so far.
  Sequence now() const noexcept {
    return Sequence{std::max(ticks(), ahead_.load(std::memory_order_acquire))};
  }

  /// What live snapshots of the store need.
  struct Horizon {
    Sequence sequence = sequence_max;  ///< of the oldest one, or less
    std::uint64_t now_ms = ~std::uint64_t{0};
  };
  /// A caller that has noted a sequence before sees every snapshot that will ever be below it.
  Horizon horizon() const noexcept;

 private:
  friend class Snapshot;
  /// Written by its shard only.
  struct alignas(64) OfShard {
    std::atomic<std::uint64_t> oldest{sequence_max.value};
    std::atomic<std::uint64_t> oldest_now_ms{~std::uint64_t{0}};
    IntrusiveList<Snapshot> snapshots;  // ascending
  };

  std::uint64_t ticks() const noexcept {
    // 65,536 ticks a millisecond: 2^64 · 65,536 / 1,000,000 of them a nanosecond.
    constexpr auto ticks_per_ns =
        static_cast<std::uint64_t>((static_cast<unsigned __int128>(65'536) << 64) / 1'000'000);
    const auto elapsed = static_cast<std::uint64_t>((Shard::current().now() - begin_).count());
    return begin_ticks_.load(std::memory_order_relaxed) +
           static_cast<std::uint64_t>((static_cast<unsigned __int128>(elapsed) * ticks_per_ns) >> 64);
  }
  void note_ahead(std::uint64_t sequence) noexcept {
    std::uint64_t noted = ahead_.load(std::memory_order_relaxed);
    while (noted < sequence && !ahead_.compare_exchange_weak(noted, sequence, std::memory_order_acq_rel)) {
    }
  }
  void enter(Snapshot& snapshot) noexcept;
  void leave(Snapshot& snapshot) noexcept;

  unsigned shards_;
  std::unique_ptr<OfShard[]> own_;
  Instant begin_;
  std::atomic<std::uint64_t> begin_ticks_;
  alignas(64) std::atomic<std::uint64_t> ahead_{0};
};

}  // namespace ashlar::kv
