#include "ashlar/server/resp/set_options.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "ashlar/server/resp/scan_cursor.h"

namespace ashlar::resp {
namespace {

constexpr std::uint64_t now = 1'700'000'000'000;

std::string_view parse(std::vector<std::string_view> words, SetOptions& options,
                       SetOptionsOf kind = SetOptionsOf::set, std::uint64_t* expiry_ms = nullptr) {
  options = {};
  if (!parse_set_options(words, kind, options)) return "ERR syntax error";
  std::uint64_t ignored = 0;
  return options.has_expiry ? resolve_expiry(options, kind, now, expiry_ms != nullptr ? *expiry_ms : ignored)
                            : "";
}

TEST(SetOptions, CombineAsInRedis) {
  SetOptions options;
  std::uint64_t expiry_ms = 0;
  EXPECT_EQ(parse({"NX", "Get", "EX", "10"}, options, SetOptionsOf::set, &expiry_ms), "");
  EXPECT_TRUE(options.only_absent && options.return_old && options.has_expiry);
  EXPECT_EQ(expiry_ms, now + 10'000);
  EXPECT_EQ(parse({"pxat", "5", "xx"}, options, SetOptionsOf::set, &expiry_ms), "");
  EXPECT_EQ(expiry_ms, 5u);
  EXPECT_EQ(parse({"ex", "1", "ex", "2"}, options), "");
  EXPECT_EQ(parse({"keepttl"}, options), "");
  EXPECT_TRUE(options.keep_expiry);
  EXPECT_EQ(parse({"persist"}, options, SetOptionsOf::getex), "");
  for (std::vector<std::string_view> words : std::initializer_list<std::vector<std::string_view>>{
           {"nx", "xx"}, {"ex"}, {"ex", "1", "px", "1"}, {"keepttl", "ex", "1"}, {"persist"}, {"foo"}}) {
    EXPECT_EQ(parse(words, options), "ERR syntax error");
  }
  for (std::vector<std::string_view> words : std::initializer_list<std::vector<std::string_view>>{
           {"nx"}, {"get"}, {"keepttl"}, {"persist", "ex", "1"}}) {
    EXPECT_EQ(parse(words, options, SetOptionsOf::getex), "ERR syntax error");
  }
}

TEST(SetOptions, RefuseTimesOutOfRange) {
  SetOptions options;
  EXPECT_EQ(parse({"ex", "x"}, options), "ERR value is not an integer or out of range");
  for (const char* time : {"0", "-1", "9223372036854775807"}) {
    EXPECT_EQ(parse({"ex", time}, options), "ERR invalid expire time in 'set' command");
    EXPECT_EQ(parse({"ex", time}, options, SetOptionsOf::getex),
              "ERR invalid expire time in 'getex' command");
  }
  EXPECT_EQ(parse({"px", "9223372036854775807"}, options), "ERR invalid expire time in 'set' command");
  EXPECT_EQ(parse({"pxat", "9223372036854775807"}, options), "");
  std::int64_t absolute = 0;
  EXPECT_TRUE(to_absolute_ms(-5, TimeUnit::seconds, TimeBase::now, now, absolute));
  EXPECT_EQ(absolute, static_cast<std::int64_t>(now) - 5000);
  EXPECT_FALSE(to_absolute_ms(std::numeric_limits<std::int64_t>::min(), TimeUnit::seconds, TimeBase::now, now,
                              absolute));
}

TEST(ScanCursor, RoundTrips) {
  for (const std::uint64_t hash : {std::uint64_t{0}, std::uint64_t{1} << 40, ~std::uint64_t{0}}) {
    for (const std::uint16_t slot : {0, 1, 16383}) {
      const ScanCursor cursor{kv::Slot{slot}, ScanCursor::position_of(hash)};
      EXPECT_LE(cursor.encode(), static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()));
      const auto decoded = ScanCursor::decode(cursor.encode());
      EXPECT_EQ(decoded.slot, cursor.slot);
      EXPECT_EQ(decoded.position, cursor.position);
    }
  }
  EXPECT_EQ(ScanCursor::decode(~std::uint64_t{0}).slot.value, kv::slot_count);
}

}  // namespace
}  // namespace ashlar::resp
