#include "ashlar/base/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "ashlar/base/random.h"

namespace ashlar {
namespace {

TEST(Histogram, IsZeroWhereNothingWasRecorded) {
  const Histogram histogram;
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.min(), 0u);
  EXPECT_EQ(histogram.max(), 0u);
  EXPECT_EQ(histogram.mean(), 0.0);
  EXPECT_EQ(histogram.percentile(50), 0u);
}

TEST(Histogram, KnowsSmallValuesExactly) {
  Histogram histogram;
  for (std::uint64_t value = 0; value < 100; ++value) histogram.record(value);
  for (std::uint64_t percent = 1; percent <= 100; ++percent)
    EXPECT_EQ(histogram.percentile(static_cast<double>(percent)), percent - 1);
  EXPECT_EQ(histogram.mean(), 49.5);
}

TEST(Histogram, TakesTheWholeRange) {
  for (unsigned bit = 0; bit < 64; ++bit) {
    for (const std::uint64_t value :
         {std::uint64_t{1} << bit, (std::uint64_t{1} << bit) - 1, ~std::uint64_t{0} >> bit}) {
      Histogram histogram;
      histogram.record(value, 3);
      EXPECT_EQ(histogram.percentile(50), value);  // clamped to the exact minimum and maximum
      EXPECT_EQ(histogram.max(), value);
      EXPECT_EQ(histogram.count(), 3u);
    }
  }
}

TEST(Histogram, PercentilesAreWithinOnePercentOfTheSortedSample) {
  Random random(7);
  std::vector<std::uint64_t> sample;
  Histogram histogram;
  for (int i = 0; i < 200'000; ++i) {
    const std::uint64_t value = random.skewed(0, 10'000'000'000);
    sample.push_back(value);
    histogram.record(value);
  }
  std::sort(sample.begin(), sample.end());
  for (const double percent : {0.0, 1.0, 10.0, 25.0, 50.0, 75.0, 90.0, 99.0, 99.9, 99.99, 100.0}) {
    const auto rank = static_cast<std::size_t>(std::ceil(static_cast<double>(sample.size()) * percent / 100));
    const auto exact = static_cast<double>(sample[rank == 0 ? 0 : rank - 1]);
    EXPECT_NEAR(static_cast<double>(histogram.percentile(percent)), exact, exact * 0.01) << percent;
  }
  const Histogram::Summary summary = histogram.summary();
  EXPECT_EQ(summary.count, sample.size());
  EXPECT_EQ(summary.min, sample.front());
  EXPECT_EQ(summary.max, sample.back());
  EXPECT_LE(summary.p50, summary.p90);
  EXPECT_LE(summary.p999, summary.p9999);
}

TEST(Histogram, MergedPartsEqualTheWhole) {
  Random random(11);
  Histogram whole, left, right;
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t value = random.skewed(1, 1'000'000);
    whole.record(value);
    (random.one_in(3) ? left : right).record(value);
  }
  left.merge(right);
  EXPECT_EQ(left.count(), whole.count());
  EXPECT_EQ(left.mean(), whole.mean());
  EXPECT_EQ(left.min(), whole.min());
  EXPECT_EQ(left.max(), whole.max());
  for (int percent = 0; percent <= 100; ++percent)
    EXPECT_EQ(left.percentile(percent), whole.percentile(percent));
  left.reset();
  EXPECT_EQ(left.count(), 0u);
}

}  // namespace
}  // namespace ashlar
