#include "ashlar/base/histogram.h"

#include <algorithm>
#include <cmath>

namespace ashlar {

void Histogram::merge(const Histogram& other) noexcept {
  for (unsigned i = 0; i < bucket_count; ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
  sum_ += other.sum_;
  min_ = std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
}

double Histogram::mean() const noexcept {
  return count_ == 0 ? 0 : static_cast<double>(sum_) / static_cast<double>(count_);
}

std::uint64_t Histogram::percentile(double percent) const noexcept {
  if (count_ == 0) return 0;
  const double exact_rank = std::ceil(static_cast<double>(count_) * std::clamp(percent, 0.0, 100.0) / 100);
  const std::uint64_t rank = std::clamp<std::uint64_t>(static_cast<std::uint64_t>(exact_rank), 1, count_);
  if (rank == count_) return max_;
  std::uint64_t seen = 0;
  for (unsigned i = 0; i < bucket_count; ++i) {
    seen += counts_[i];
    if (seen >= rank) return std::clamp(middle_of(i), min_, max_);
  }
  return max_;
}

Histogram::Summary Histogram::summary() const noexcept {
  return {.count = count_,
          .min = min(),
          .p50 = percentile(50),
          .p90 = percentile(90),
          .p99 = percentile(99),
          .p999 = percentile(99.9),
          .p9999 = percentile(99.99),
          .max = max_,
          .mean = mean()};
}

}  // namespace ashlar
