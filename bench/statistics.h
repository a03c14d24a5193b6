#pragma once

/// Order statistics of a few measurements.

#include <span>
#include <vector>

namespace ashlar::bench {

struct Quartiles {
  double low = 0, median = 0, high = 0;
};

/// Interpolates between neighbours (Hyndman and Fan's type 7). Of nothing: zeros.
Quartiles quartiles(std::vector<double> values);

/// Each pair's ratio, above 1 where the first is better.
std::vector<double> ratios(std::span<const double> ours, std::span<const double> theirs, bool more_is_better);

}  // namespace ashlar::bench
