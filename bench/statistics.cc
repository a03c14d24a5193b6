#include "bench/statistics.h"

#include <algorithm>
#include <cmath>

namespace ashlar::bench {

Quartiles quartiles(std::vector<double> values) {
  if (values.empty()) return {};
  std::ranges::sort(values);
  const auto at = [&](double fraction) {
    const double place = fraction * static_cast<double>(values.size() - 1);
    const auto below = static_cast<std::size_t>(place);
    const std::size_t above = std::min(below + 1, values.size() - 1);
    return std::lerp(values[below], values[above], place - std::floor(place));
  };
  return {at(0.25), at(0.5), at(0.75)};
}

std::vector<double> ratios(std::span<const double> ours, std::span<const double> theirs,
                           bool more_is_better) {
  std::vector<double> result;
  for (std::size_t i = 0; i < std::min(ours.size(), theirs.size()); ++i) {
    const double ratio = more_is_better ? ours[i] / theirs[i] : theirs[i] / ours[i];
    result.push_back(ours[i] == theirs[i] ? 1 : ratio);  // two zeros are equal too
  }
  return result;
}

}  // namespace ashlar::bench
