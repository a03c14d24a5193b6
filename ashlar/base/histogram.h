#pragma once

/// Distributions of latencies and sizes: a log-linear histogram over all 64-bit values in fixed memory.

#include <array>
#include <bit>
#include <cstdint>

namespace ashlar {

/// Counts of values, each known to within 0.8 %: values below 128 exactly, above that 64 equal steps to each
/// power of two. Recording is a handful of instructions without a branch. 30 KiB; a value type, merged by
/// addition. Not thread-safe: one per shard, merged by whoever reports.
class Histogram {
 public:
  void record(std::uint64_t value) noexcept { record(value, 1); }
  void record(std::uint64_t value, std::uint64_t times) noexcept {
    counts_[bucket_of(value)] += times;
    count_ += times;
    sum_ += value * times;
    min_ = value < min_ ? value : min_;
    max_ = value > max_ ? value : max_;
  }

  void merge(const Histogram& other) noexcept;
  void reset() noexcept { *this = Histogram(); }

  std::uint64_t count() const noexcept { return count_; }
  std::uint64_t sum() const noexcept { return sum_; }  ///< modulo 2^64: 584 years of nanoseconds
  std::uint64_t min() const noexcept {
    return count_ == 0 ? 0 : min_;
  }  ///< exact; 0 where nothing was recorded
  std::uint64_t max() const noexcept { return max_; }  ///< exact
  double mean() const noexcept;

  /// The smallest recorded value that at least `percent` (0 to 100) of all values do not exceed, to within
  /// 0.8 %.
  std::uint64_t percentile(double percent) const noexcept;

  struct Summary {
    std::uint64_t count, min, p50, p90, p99, p999, p9999, max;
    double mean;
  };
  Summary summary() const noexcept;

 private:
  static constexpr unsigned step_bits =
      6;  // 2^6 steps to each power of two: half a step is 1/128 of the value
  static constexpr std::uint64_t steps = 1 << step_bits;

  // Value v with shift e = max(0, width(v) - 7) lies in step v >> e, of [64, 128) where e > 0. Adding 64 e
  // continues the numbers without a gap: e = 0 gives 0 to 127, e = 1 gives 128 to 191, and so on.
  static constexpr unsigned bucket_of(std::uint64_t value) noexcept {
    const auto shift = static_cast<unsigned>(std::bit_width(value | (steps * 2 - 1))) - (step_bits + 1);
    return (shift << step_bits) + static_cast<unsigned>(value >> shift);
  }
  static constexpr unsigned bucket_count = ((64 - (step_bits + 1)) << step_bits) + steps * 2;

  static constexpr std::uint64_t middle_of(unsigned bucket) noexcept {
    const unsigned shift = bucket < steps * 2 ? 0 : (bucket >> step_bits) - 1;
    const std::uint64_t low = std::uint64_t{bucket - (shift << step_bits)} << shift;
    return low + ((std::uint64_t{1} << shift) >> 1);
  }

  std::array<std::uint64_t, bucket_count> counts_{};
  std::uint64_t count_ = 0, sum_ = 0, max_ = 0;
  std::uint64_t min_ = ~std::uint64_t{0};
};

}  // namespace ashlar
