#pragma once

/// A token bucket as one number: the time at which all that was admitted will have been paid for (GCRA, ITU-T
/// I.371).

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "ashlar/runtime/ops/clock.h"

namespace ashlar {

/// Thread safety: any shard. One atomic exchange per admission: a limit is of the whole device, so that
/// shards share it, and one that is not set costs nothing.
class RateLimit {
 public:
  /// `per_second` units; 0: no limit. Tokens of up to `burst` of idle time are kept.
  RateLimit(std::uint64_t per_second, Duration burst) noexcept : per_second_(per_second), burst_(burst) {}

  /// When `units` that come now may go on: now, or later. Whoever asked waits until then.
  Instant admit(Instant now, std::uint64_t units) noexcept {
    if (per_second_ == 0 || units == 0) return now;
    __extension__ using Wide = unsigned __int128;
    const Duration cost(
        static_cast<Duration::rep>(std::min<Wide>(Wide{units} * 1'000'000'000 / per_second_, Wide{1} << 61)));
    Duration::rep paid = paid_.load(std::memory_order_relaxed);
    Instant start;
    Duration::rep next;
    do {
      start = std::max(now, Instant(Duration(paid)) - burst_);
      const Instant end = std::min(std::max(start, Instant(Duration(paid))) + cost, now + Duration(longest));
      next = end.time_since_epoch().count();
    } while (!paid_.compare_exchange_weak(paid, next, std::memory_order_relaxed));
    return start;
  }

 private:
  static constexpr std::uint64_t longest = 1'000'000'000ull * 86'400 * 365;  // nobody waits for longer

  const std::uint64_t per_second_;
  const Duration burst_;
  std::atomic<Duration::rep> paid_{0};
};

}  // namespace ashlar
