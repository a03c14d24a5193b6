#pragma once

#include <algorithm>

namespace ashlar {

/// How many reads and writes may gather in a submission queue before the kernel is entered for them, rather
/// than at the end of the loop's turn: what is handed over together reaches the device together, which waits
/// for the last of it; what is handed over one by one costs a system call, and the device a notification,
/// each. So a share of what is outstanding may gather, which is all that the device then lacks; and half of
/// what came back together, because where the shard finds many completions when it looks, it is the shard
/// that the device outruns. At least two: a single one goes with the next wait.
///
/// Owner: a ring.
class GatherBound {
 public:
  /// One in `of` that are outstanding; 0: any number.
  explicit GatherBound(unsigned of) noexcept : of_(of) {}
  /// So many completions were found at once.
  void came_back(unsigned together) noexcept {
    if (together != 0) together_ = together;
  }
  /// Another one is in the queue; whether it is time to enter. `outstanding`: with those in the queue.
  bool reached(unsigned outstanding) noexcept {
    ++gathered_;
    return gathered_ >= 2 && of_ != 0 && gathered_ >= std::max(outstanding / of_, together_ / 2);
  }
  void entered() noexcept { gathered_ = 0; }

 private:
  unsigned of_;
  unsigned gathered_ = 0;
  unsigned together_ = 0;
};

}  // namespace ashlar
