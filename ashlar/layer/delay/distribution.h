#pragma once

/// Latencies drawn from a distribution, each given by its mean and its standard deviation.

#include <cstdint>

#include "ashlar/base/random.h"
#include "ashlar/runtime/ops/clock.h"

namespace ashlar {

enum class Distribution : std::uint8_t {
  constant,     ///< the mean, always
  uniform,      ///< between two bounds; at most 57 % of spread, where the lower one is 0
  exponential,  ///< a least latency, and an exponential tail; the plain one at 100 %, which is the most
  normal,       ///< cut off at 0
  lognormal,    ///< skewed: what most disks look like
  pareto,       ///< a heavy tail: few that take very long
};

/// A value type. The same seed gives the same latencies (on one machine: libm decides the last bit).
class LatencyModel {
 public:
  LatencyModel() = default;
  /// `spread_percent`: the standard deviation, in percent of the mean; at most spread_max(shape).
  LatencyModel(Distribution shape, Duration mean, std::uint32_t spread_percent) noexcept;

  static constexpr std::uint32_t spread_max(Distribution shape) noexcept {
    return shape == Distribution::uniform ? 57 : shape == Distribution::exponential ? 100 : 1000;
  }
  /// Longer ones are cut to this.
  static constexpr Duration longest = std::chrono::hours(24);

  /// Draws nothing where the mean is 0 or the latency is constant.
  Duration draw(Random& random) const noexcept;

 private:
  // What the shape needs, worked out once: least and width; mean and deviation; mu and sigma; least and
  // exponent.
  double first_ = 0, second_ = 0;
  Distribution shape_ = Distribution::constant;
};

}  // namespace ashlar
