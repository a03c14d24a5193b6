#pragma once

/// The machine under the benchmark: its cores, its cycle counter, what it runs.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace ashlar::bench {

/// Cores that this process may use.
const std::vector<int>& cores();

/// Runs `work` on a thread of its own, bound to these cores; threads that it starts inherit the binding.
void on_cores(const std::vector<int>& where, const std::function<void()>& work);

/// The invariant cycle counter (TSC on x86), and how fast it runs.
std::uint64_t cycles() noexcept;
double cycles_per_second();

/// Seconds of the monotonic clock.
double seconds_now();

/// Times a run in slices of equal work and answers with the median slice: a slice in which the scheduler gave
/// the core to somebody else does not count. Both sides of a case use it alike.
class SliceClock {
 public:
  explicit SliceClock(std::uint64_t slices) { marks_.reserve(slices + 1); }
  /// At the start, and after each slice.
  void mark() { marks_.push_back(cycles()); }
  double cycles_each(std::uint64_t operations_per_slice) const;
  double ns_each(std::uint64_t operations_per_slice) const;

 private:
  std::vector<std::uint64_t> marks_;
};

/// "Linux 6.18.0, AMD EPYC, 2 cores".
std::string machine_name();

}  // namespace ashlar::bench
