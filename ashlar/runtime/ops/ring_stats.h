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

/// How many reads and writes may gather in a submission queue before the kernel is entered for them, rather
/// than at the end of the loop's turn: what is handed over together reaches the device together, which waits
/// for the last of it. A share of what is outstanding, so that the device never lacks more than that share;
/// at least two, since a single one goes with the next wait.
class GatherLimit {
 public:
  /// One in `of` that are outstanding; 0: any number.
  explicit GatherLimit(unsigned of) noexcept : of_(of) {}
  /// Another one is in the queue; whether it is time to enter. `outstanding`: with those in the queue.
  bool reached(unsigned outstanding) noexcept {
    return ++gathered_ >= 2 && of_ != 0 && gathered_ >= outstanding / of_;
  }
  void entered() noexcept { gathered_ = 0; }

 private:
  unsigned of_;
  unsigned gathered_ = 0;
};

}  // namespace ashlar
