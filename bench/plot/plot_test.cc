#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "bench/plot/bars.h"
#include "bench/plot/timeline.h"

namespace ashlar::bench::plot {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(BarsTest, ShowBothSidesAndTheRatio) {
  BarRow row{.name = "a-default",
             .unit = "op/s",
             .peer_name = "Rocks & Co",
             .ours = {300, 290, 310},
             .peer = {100, 90, 110}};
  row.ratio = {3, 2.8, 3.1};
  row.target = 1.5;
  const std::string picture = render_bars("kv-ycsb", "a machine", {row});
  EXPECT_THAT(picture, HasSubstr("a-default"));
  EXPECT_THAT(picture, HasSubstr("Rocks &amp; Co"));
  EXPECT_THAT(picture, HasSubstr("3.00 ×"));
  EXPECT_THAT(picture, HasSubstr("2.80 to 3.10, target 1.5"));
  EXPECT_THAT(picture, HasSubstr("</svg>"));
}

TEST(BarsTest, SayWhatWasNotMeasured) {
  const std::string picture = render_bars(
      "x", "", {BarRow{.name = "alone", .unit = "ns", .peer_name = "", .ours = {5, 5, 5}, .peer = {}}});
  EXPECT_THAT(picture, HasSubstr("not measured"));
  EXPECT_THAT(picture, Not(HasSubstr("nan")));
}

TEST(TimelineTest, DrawsBothSides) {
  const std::vector<Moment> ours = {{0.25, 100'000, 1}, {0.5, 120'000, 20}}, peer = {{0.25, 50'000, 3}};
  const std::string picture = render_timeline("kv-overwrite", "a machine", ours, peer, "RocksDB");
  EXPECT_THAT(picture, HasSubstr("200 K"));
  EXPECT_THAT(picture, HasSubstr("red: RocksDB"));
  EXPECT_THAT(picture, Not(HasSubstr("nan")));
}

TEST(TimelineTest, NothingIsNoReasonToFail) {
  EXPECT_THAT(render_timeline("x", "", {}, {}, ""), Not(HasSubstr("nan")));
}

}  // namespace
}  // namespace ashlar::bench::plot
