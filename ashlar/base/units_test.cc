#include "ashlar/base/units.h"

#include <gtest/gtest.h>

#include "ashlar/base/random.h"

namespace ashlar {
namespace {

using namespace std::chrono_literals;

TEST(Units, ParsesSizes) {
  EXPECT_EQ(parse_bytes("0"), 0u);
  EXPECT_EQ(parse_bytes("512"), 512u);
  EXPECT_EQ(parse_bytes("512B"), 512u);
  EXPECT_EQ(parse_bytes("64KiB"), 65'536u);
  EXPECT_EQ(parse_bytes("64K"), 65'536u);
  EXPECT_EQ(parse_bytes("3MiB"), 3_MiB);
  EXPECT_EQ(parse_bytes("1GiB"), 1_GiB);
  EXPECT_EQ(parse_bytes("2T"), 2_TiB);
  EXPECT_EQ(parse_bytes("5MB"), 5'000'000u);
  EXPECT_EQ(parse_bytes("18446744073709551615"), ~std::uint64_t{0});
}

TEST(Units, ParsesDurations) {
  EXPECT_EQ(parse_duration("0"), 0ns);
  EXPECT_EQ(parse_duration("100us"), 100us);
  EXPECT_EQ(parse_duration("5s"), 5s);
  EXPECT_EQ(parse_duration("250ms"), 250ms);
  EXPECT_EQ(parse_duration("2min"), 2min);
  EXPECT_EQ(parse_duration("7d"), 168h);
}

TEST(Units, RejectsEverythingElse) {
  for (const char* text : {"", " 1", "1 KiB", "-1", "+1", "KiB", "1Ki", "1kib", "1.5GiB", "0x10", "1KiBB"}) {
    ASSERT_FALSE(parse_bytes(text)) << text;
    EXPECT_EQ(parse_bytes(text).error().code, Errc::invalid) << text;
  }
  for (const char* text : {"", "5", "5 s", "-5s", "5S", "5m", "1.5s", "s"}) {
    ASSERT_FALSE(parse_duration(text)) << text;
    EXPECT_EQ(parse_duration(text).error().code, Errc::invalid) << text;
  }
  EXPECT_EQ(parse_bytes("18446744073709551616").error().code, Errc::too_large);
  EXPECT_EQ(parse_bytes("16777216TiB").error().code, Errc::too_large);
  EXPECT_EQ(parse_duration("9223372037s").error().code, Errc::too_large);
  EXPECT_EQ(parse_duration("18446744073709551615ns").error().code, Errc::too_large);
}

TEST(Units, FormatsExactlyInTheLargestUnitThatDivides) {
  EXPECT_EQ(format_bytes(0), "0B");
  EXPECT_EQ(format_bytes(1000), "1000B");
  EXPECT_EQ(format_bytes(65'536), "64KiB");
  EXPECT_EQ(format_bytes(1_TiB + 1_GiB), "1025GiB");
  EXPECT_EQ(format_duration(0ns), "0ns");
  EXPECT_EQ(format_duration(1500us), "1500us");
  EXPECT_EQ(format_duration(90s), "90s");
  EXPECT_EQ(format_duration(48h), "2d");
}

TEST(Units, ReadsBackWhatItFormats) {
  Random random(1);
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t value = random.skewed(0, ~std::uint64_t{0} >> 1);
    ASSERT_EQ(parse_bytes(format_bytes(value)), value);
    const auto duration = std::chrono::nanoseconds(value);
    ASSERT_EQ(parse_duration(format_duration(duration)), duration);
  }
}

TEST(Units, ApproximatesForPeople) {
  EXPECT_EQ(approximate_bytes(17), "17 B");
  EXPECT_EQ(approximate_bytes(1536), "1.50 KiB");
  EXPECT_EQ(approximate_bytes(1_GiB * 3 / 2), "1.50 GiB");
  EXPECT_EQ(approximate_bytes(~std::uint64_t{0}), "16777216 TiB");
  EXPECT_EQ(approximate_duration(735us), "735 us");
  EXPECT_EQ(approximate_duration(12'345ns), "12.3 us");
  EXPECT_EQ(approximate_duration(90s), "1.50 min");
}

}  // namespace
}  // namespace ashlar
