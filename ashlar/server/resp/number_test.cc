#include "ashlar/server/resp/number.h"

#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <string>

namespace ashlar::resp {
namespace {

std::string real_text(long double value) {
  std::array<char, real_text_bytes_max> text;
  return {text.data(), format_real(text.data(), value)};
}

TEST(Number, IntegersAreCanonical) {
  EXPECT_EQ(parse_integer("0"), 0);
  EXPECT_EQ(parse_integer("-1"), -1);
  EXPECT_EQ(parse_integer("9223372036854775807"), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(parse_integer("-9223372036854775808"), std::numeric_limits<std::int64_t>::min());
  for (const char* text : {"", "-", "+1", "01", "-0", "-01", " 1", "1 ", "1a", "0x1", "9223372036854775808",
                           "-9223372036854775809", "99999999999999999999999"}) {
    EXPECT_EQ(parse_integer(text), std::nullopt) << text;
  }
  EXPECT_EQ(parse_integer(std::string_view("1\0", 2)), std::nullopt);
}

TEST(Number, CursorsReachAllOf64Bits) {
  EXPECT_EQ(parse_cursor("18446744073709551615"), ~std::uint64_t{0});
  EXPECT_EQ(parse_cursor("0"), 0u);
  EXPECT_EQ(parse_cursor("18446744073709551616"), std::nullopt);
  EXPECT_EQ(parse_cursor("x"), std::nullopt);
  EXPECT_EQ(parse_cursor("-1"), ~std::uint64_t{0});
  EXPECT_EQ(parse_cursor(""), 0u);
  EXPECT_EQ(parse_cursor("-"), std::nullopt);
  EXPECT_EQ(parse_cursor("1 "), std::nullopt);
}

TEST(Number, RealsAreReadWhole) {
  EXPECT_EQ(parse_real("3.25"), 3.25L);
  EXPECT_EQ(parse_real("-1e3"), -1000.0L);
  EXPECT_EQ(parse_real("0x10"), 16.0L);
  for (const char* text : {"", " 1", "1 ", "1x", "nan", "1e99999", "--1"}) {
    EXPECT_EQ(parse_real(text), std::nullopt) << text;
  }
  EXPECT_EQ(parse_real(std::string_view("1\0", 2)), std::nullopt);
  EXPECT_EQ(parse_real(std::string(6000, '1')), std::nullopt);
}

TEST(Number, RealsAreWrittenAsRedisDoes) {
  EXPECT_EQ(real_text(3.0L), "3");
  EXPECT_EQ(real_text(10.5L), "10.5");
  EXPECT_EQ(real_text(10.1L), "10.1");
  EXPECT_EQ(real_text(-0.0L), "0");
  EXPECT_EQ(real_text(-1e-30L), "0");
  EXPECT_EQ(real_text(5.0e3L), "5000");
  EXPECT_EQ(real_text(1e20L), "100000000000000000000");
  EXPECT_EQ(real_text(std::numeric_limits<long double>::max()).size(), 4933u);
  EXPECT_EQ(real_text(*parse_real("10.50") + *parse_real("0.1")), "10.6");
}

TEST(Number, IntegersRoundTrip) {
  for (const std::int64_t value :
       {std::numeric_limits<std::int64_t>::min(), std::int64_t{-10}, std::int64_t{0}, std::int64_t{7},
        std::numeric_limits<std::int64_t>::max()}) {
    std::array<char, integer_text_bytes_max> text;
    EXPECT_EQ(parse_integer({text.data(), format_integer(text.data(), value)}), value);
  }
}

}  // namespace
}  // namespace ashlar::resp
