#pragma once

/// What one io_uring has carried: reads and writes, how many at once, and how long they took.

#include <algorithm>
#include <cstdint>

#include "ashlar/base/histogram.h"
#include "ashlar/runtime/ops/clock.h"

namespace ashlar {

/// Owner: a ring, on its shard; a value type, merged by whoever reports.
struct RingStats {
  std::uint64_t completed = 0;
  std::uint64_t polled = 0;  ///< of those: by IOPOLL
  std::uint64_t enters = 0;  ///< system calls that submitted or collected
  unsigned in_flight = 0;
  unsigned in_flight_max = 0;
  Histogram latency_ns;  ///< from the turn of the loop that submitted one to the one that saw its end

  void began() noexcept { in_flight_max = std::max(in_flight_max, ++in_flight); }
  void ended(std::uint64_t began_ns, Instant now) noexcept {
    --in_flight;
    ++completed;
    const auto now_ns = static_cast<std::uint64_t>(now.time_since_epoch().count());
    latency_ns.record(now_ns > began_ns ? now_ns - began_ns : 0);
  }
  void merge(const RingStats& other) noexcept {
    completed += other.completed;
    polled += other.polled;
    enters += other.enters;
    in_flight += other.in_flight;
    in_flight_max = std::max(in_flight_max, other.in_flight_max);
    latency_ns.merge(other.latency_ns);
  }
};

}  // namespace ashlar
