#pragma once

/// Timers: a pairing heap of nodes that live in their owners' frames. Insert O(1), remove O(log n) amortised,
/// exact.

#include <cstdint>

#include "ashlar/runtime/ops/clock.h"

namespace ashlar {

/// One timer. Owner: one shard; linked while armed; must be disarmed before it is destroyed.
struct Timer {
  Instant when{};
  std::uint64_t order = 0;                  ///< ties fire in the order of arming
  void (*fire)(Timer&) noexcept = nullptr;  ///< called once on the owner shard; may arm timers again

  bool armed = false;
  Timer* child = nullptr;
  Timer* sibling = nullptr;
  Timer* previous = nullptr;  ///< parent where it is the first child, else the sibling before
};

class TimerHeap {
 public:
  void arm(Timer& timer, Instant when) noexcept;
  void disarm(Timer& timer) noexcept;  ///< does nothing where it is not armed
  /// Fires everything due at `now`; returns how many.
  unsigned expire(Instant now) noexcept;
  Instant next() const noexcept { return root_ == nullptr ? never : root_->when; }

 private:
  static bool before(const Timer& a, const Timer& b) noexcept {
    return a.when != b.when ? a.when < b.when : a.order < b.order;
  }
  static Timer* meld(Timer* a, Timer* b) noexcept;
  static Timer* merge_pairs(Timer* first) noexcept;

  Timer* root_ = nullptr;
  std::uint64_t armed_count_ = 0;
};

}  // namespace ashlar
