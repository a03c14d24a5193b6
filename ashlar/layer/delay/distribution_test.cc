#include "ashlar/layer/delay/distribution.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <vector>

#include "ashlar/layer/delay/rate_limit.h"

namespace ashlar {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr Distribution shapes[] = {Distribution::uniform, Distribution::exponential, Distribution::normal,
                                   Distribution::lognormal, Distribution::pareto};

struct Moments {
  double mean, deviation, least;
};
Moments moments_of(const LatencyModel& model, std::uint64_t seed) {
  constexpr int count = 200'000;
  Random random(seed);
  double sum = 0, squares = 0, least = 1e18;
  for (int i = 0; i < count; ++i) {
    const auto latency = static_cast<double>(model.draw(random).count());
    sum += latency;
    squares += latency * latency;
    least = std::min(least, latency);
  }
  const double mean = sum / count;
  return {mean, std::sqrt(squares / count - mean * mean), least};
}

TEST(Distribution, HasTheMeanAndTheDeviationThatWereAskedFor) {
  for (const Distribution shape : shapes) {
    for (const std::uint32_t spread : {10u, 30u}) {
      const Moments found = moments_of(LatencyModel(shape, microseconds(100), spread), 7);
      EXPECT_NEAR(found.mean, 100e3, 1e3) << static_cast<int>(shape);
      EXPECT_NEAR(found.deviation, spread * 1e3, spread * 1e3 * 0.1) << static_cast<int>(shape);
      EXPECT_GE(found.least, 0) << static_cast<int>(shape);
    }
  }
}

TEST(Distribution, AtItsLimitIsStillNotNegative) {
  for (const Distribution shape : shapes) {
    const Moments found =
        moments_of(LatencyModel(shape, microseconds(100), LatencyModel::spread_max(shape)), 3);
    EXPECT_GE(found.least, 0) << static_cast<int>(shape);
  }
  const Moments plain = moments_of(LatencyModel(Distribution::exponential, microseconds(100), 100), 3);
  EXPECT_LT(plain.least, 100);  // the plain exponential starts at 0
  EXPECT_NEAR(plain.mean, 100e3, 1e3);
  EXPECT_NEAR(plain.deviation, 100e3, 2e3);
}

TEST(Distribution, ConstantsDrawNothing) {
  Random random(1), untouched(1);
  EXPECT_EQ(LatencyModel(Distribution::constant, microseconds(5), 50).draw(random), microseconds(5));
  EXPECT_EQ(LatencyModel(Distribution::normal, microseconds(5), 0).draw(random), microseconds(5));
  EXPECT_EQ(LatencyModel(Distribution::pareto, Duration(0), 50).draw(random), Duration(0));
  EXPECT_EQ(LatencyModel().draw(random), Duration(0));
  EXPECT_EQ(random.next(), untouched.next());
}

TEST(Distribution, IsCutOffAtADay) {
  Random random(1);
  const LatencyModel model(Distribution::lognormal, hours(1), 1000);
  Duration longest{0};
  for (int i = 0; i < 100'000; ++i) longest = std::max(longest, model.draw(random));
  EXPECT_EQ(longest, LatencyModel::longest);
}

TEST(RateLimit, AdmitsTheRateAndNoMore) {
  RateLimit limit(1000, Duration(0));
  const Instant start{hours(1)};
  for (int i = 0; i < 10; ++i) EXPECT_EQ(limit.admit(start, 1), start + milliseconds(i));
  // Idle time is not saved up.
  const Instant later = start + hours(1);
  EXPECT_EQ(limit.admit(later, 1), later);
  EXPECT_EQ(limit.admit(later, 1), later + milliseconds(1));
}

TEST(RateLimit, SavesUpABurst) {
  RateLimit limit(1000, milliseconds(4));
  const Instant start{hours(1)};
  for (int i = 0; i < 5; ++i) EXPECT_EQ(limit.admit(start, 1), start);
  EXPECT_EQ(limit.admit(start, 1), start + milliseconds(1));
  EXPECT_EQ(limit.admit(start, 5), start + milliseconds(2));  // what is large pays afterwards
  EXPECT_EQ(limit.admit(start, 1), start + milliseconds(7));
}

TEST(RateLimit, WithoutOneEverythingMayGo) {
  RateLimit limit(0, Duration(0));
  EXPECT_EQ(limit.admit(Instant{}, ~std::uint64_t{0}), Instant{});
}

}  // namespace
}  // namespace ashlar
