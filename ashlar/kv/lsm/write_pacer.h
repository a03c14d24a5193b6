#pragma once

/// How fast writers may go: slowed smoothly and early in proportion to what flush and compaction lag behind,
/// so that they need not be stopped. The model: docs/compaction.md, "Debt".

#include <array>
#include <cstdint>
#include <optional>

#include "ashlar/kv/key.h"
#include "ashlar/runtime/ops/clock.h"

namespace ashlar::lsm {

using kv::Sequence;
using kv::sequence_max;

/// A speed that is measured as work gets done, in bytes per second.
class DrainRate {
 public:
  void measured(std::uint64_t bytes, Duration took) noexcept;
  double bytes_per_second() const noexcept { return rate_; }

 private:
  static constexpr double assumed = 64e6;  // until something was measured
  double rate_ = assumed;
  bool known_ = false;
};

/// Owner: one partition. Writes are held back in the order of their sequences, each for at most wait_max.
class WritePacer {
 public:
  /// No write waits longer for flush and compaction, but where memory is used up.
  static constexpr Duration wait_max = std::chrono::milliseconds(100);

  /// What may be lagging: memtables behind flush, tables behind compaction.
  enum class Backlog : std::uint8_t { memtables, tables };

  /// How far it lags: 0 not to speak of, 1 as far as it may. At half of that, writers get the speed at which
  /// it was measured to drain; the speed goes to infinity towards 0 and to nothing towards 1.
  void set_pressure(Backlog backlog, double pressure) noexcept;
  double pressure() const noexcept;
  DrainRate& drain(Backlog backlog) noexcept { return drains_[static_cast<std::size_t>(backlog)]; }
  /// Bytes per second that writers get now; 0: all they want.
  double allowed_rate() const noexcept { return rate_; }

  /// A write of `bytes`, ordered at `now`: whether it is held back, as wrote() is called in their order.
  bool wrote(Sequence sequence, std::uint64_t bytes, Instant now) noexcept;

  /// Nothing at or beyond this sequence may be acknowledged yet.
  Sequence held_from() const noexcept { return held_ == 0 ? sequence_max : slots_[first_].sequence; }
  /// When the next may go on; nothing where none is held.
  std::optional<Instant> next_due() const noexcept {
    return held_ == 0 ? std::nullopt : std::optional(slots_[first_].due);
  }
  /// Lets go of what is due.
  void release(Instant now) noexcept;
  void release_all() noexcept { held_ = 0; }
  /// Of any write that was let go of: a little more than wait_max at most, as late as release() is called.
  Duration longest_wait() const noexcept { return longest_wait_; }

 private:
  /// Writes that go on together: waits are counted in steps of a millisecond.
  struct Slot {
    Sequence sequence;  // the first of them
    Instant since, due;
  };
  static constexpr Duration step = std::chrono::milliseconds(1);
  static constexpr std::size_t slots_max = 128;
  static_assert(wait_max / step < slots_max);

  std::array<double, 2> pressures_{};
  std::array<DrainRate, 2> drains_;
  double rate_ = 0;
  Instant paid_until_{};  // when what was written so far would have been written at the allowed speed
  std::array<Slot, slots_max> slots_;
  std::size_t first_ = 0, held_ = 0;
  Duration longest_wait_{};
};

}  // namespace ashlar::lsm
