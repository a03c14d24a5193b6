#include "ashlar/layer/delay/distribution.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numbers>

namespace ashlar {

namespace {

/// Uniform in (0, 1]: its logarithm is finite.
double positive_fraction(Random& random) noexcept {
  return 1.0 - random.fraction();
}

/// Box and Muller, 1958. The second value is not kept: a draw depends on nothing but the generator.
double standard_normal(Random& random) noexcept {
  const double radius = std::sqrt(-2.0 * std::log(positive_fraction(random)));
  return radius * std::cos(2.0 * std::numbers::pi * random.fraction());
}

}  // namespace

LatencyModel::LatencyModel(Distribution shape, Duration mean_latency, std::uint32_t spread_percent) noexcept
    : shape_(mean_latency <= Duration(0) || spread_percent == 0 ? Distribution::constant : shape) {
  assert(spread_percent <= spread_max(shape) || shape_ == Distribution::constant);
  const auto mean = static_cast<double>(mean_latency.count());
  const double variation = spread_percent / 100.0;  // standard deviation over mean
  const double deviation = mean * variation;
  switch (shape_) {
    case Distribution::constant: first_ = mean; break;
    case Distribution::uniform:  // of width w: a deviation of w / √12
      second_ = deviation * std::sqrt(12.0);
      first_ = mean - second_ / 2;
      break;
    case Distribution::exponential:  // its deviation is its mean
      first_ = mean - deviation;
      second_ = deviation;
      break;
    case Distribution::normal:
      first_ = mean;
      second_ = deviation;
      break;
    case Distribution::lognormal:  // mean e^(µ + σ²/2), variation √(e^σ² - 1)
      second_ = std::sqrt(std::log1p(variation * variation));
      first_ = std::log(mean) - second_ * second_ / 2;
      break;
    case Distribution::pareto:  // mean α m / (α - 1), variation 1 / √(α (α - 2))
      second_ = 1 + std::sqrt(1 + 1 / (variation * variation));
      first_ = mean * (second_ - 1) / second_;
      break;
  }
}

Duration LatencyModel::draw(Random& random) const noexcept {
  double latency = first_;
  switch (shape_) {
    case Distribution::constant: break;
    case Distribution::uniform: latency += second_ * random.fraction(); break;
    case Distribution::exponential: latency -= second_ * std::log(positive_fraction(random)); break;
    case Distribution::normal: latency += second_ * standard_normal(random); break;
    case Distribution::lognormal: latency = std::exp(first_ + second_ * standard_normal(random)); break;
    case Distribution::pareto: latency *= std::pow(positive_fraction(random), -1 / second_); break;
  }
  return Duration(
      static_cast<Duration::rep>(std::clamp(latency, 0.0, static_cast<double>(longest.count())) + 0.5));
}

}  // namespace ashlar
