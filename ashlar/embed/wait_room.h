#pragma once

/// Where plain threads wait for the answers of one shard.
///
/// The answers of one commit group come together, so those who wait for them share a futex: a call is given
/// the slot of the batch in which it was handed in, and one system call wakes all of a slot. A thread that is
/// woken for another's answer sleeps again.

#include <array>
#include <atomic>
#include <cstdint>

#include "ashlar/runtime/ops/clock.h"

namespace ashlar::embed {

/// Thread safety: wake() by the shard, all else by any thread. Outlives who waits in it.
class WaitRoom {
 public:
  static constexpr unsigned slot_count = 16;

  explicit WaitRoom(Duration spin) noexcept : spin_(spin) {}

  /// For a call that is handed in now.
  unsigned slot() const noexcept { return batch_.load(std::memory_order_relaxed) % slot_count; }
  /// Returns once `done`. The only one in the room spins first.
  void wait(const std::atomic<bool>& done, unsigned slot) noexcept;
  /// Wakes those of each slot whose bit is set; what they wait for was stored before.
  void wake(std::uint32_t slots) noexcept;

 private:
  struct alignas(64) Slot {
    std::atomic<std::uint32_t> wakes{0};
    std::atomic<std::uint32_t> sleepers{0};
  };

  bool spin(const std::atomic<bool>& done) const noexcept;

  const Duration spin_;
  alignas(64) std::atomic<std::uint32_t> batch_{0};
  alignas(64) std::atomic<std::uint32_t> waiting_{0};
  std::array<Slot, slot_count> slots_;
};

}  // namespace ashlar::embed
