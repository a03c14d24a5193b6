#include "bench/statistics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ashlar::bench {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Quartiles, InterpolateBetweenNeighbours) {
  const Quartiles odd = quartiles({5, 1, 4, 2, 3});
  EXPECT_EQ(odd.low, 2);
  EXPECT_EQ(odd.median, 3);
  EXPECT_EQ(odd.high, 4);
  const Quartiles even = quartiles({4, 1, 3, 2});
  EXPECT_EQ(even.low, 1.75);
  EXPECT_EQ(even.median, 2.5);
  EXPECT_EQ(even.high, 3.25);
}

TEST(Quartiles, OfOneAndOfNothing) {
  EXPECT_EQ(quartiles({7}).low, 7);
  EXPECT_EQ(quartiles({7}).high, 7);
  EXPECT_EQ(quartiles({}).median, 0);
}

TEST(Ratios, AboveOneIsBetterWhicheverWayTheUnitCounts) {
  const double ours[] = {10, 30};
  const double theirs[] = {20, 10, 99};
  EXPECT_THAT(ratios(ours, theirs, false), ElementsAre(2, 1.0 / 3));  // time: less is better
  EXPECT_THAT(ratios(ours, theirs, true), ElementsAre(0.5, 3));       // throughput
  EXPECT_THAT(ratios(ours, {}, true), IsEmpty());
  const double nothing[] = {0};
  EXPECT_THAT(ratios(nothing, nothing, false), ElementsAre(1));
}

}  // namespace
}  // namespace ashlar::bench
