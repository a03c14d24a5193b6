#pragma once

/// Time as the runtime gives it: monotonic from the back end (virtual in simulation), wall-clock where a user
/// sees it.

#include <chrono>

namespace ashlar {

using Duration = std::chrono::nanoseconds;

/// Tag of the runtime's monotonic clock. It has no now(): ask Shard::now(), so that simulation decides.
struct MonotonicClock {
  using duration = Duration;
  using rep = Duration::rep;
  using period = Duration::period;
  static constexpr bool is_steady = true;
};
using Instant = std::chrono::time_point<MonotonicClock, Duration>;

constexpr Instant never = Instant::max();

}  // namespace ashlar
