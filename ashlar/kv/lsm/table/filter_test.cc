#include "ashlar/kv/lsm/table/filter.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace ashlar::lsm {
namespace {

std::uint64_t hash_of(std::uint64_t number) {
  const std::string key = "key-" + std::to_string(number);
  return key_hash(as_bytes(key));
}

TEST(Filter, LetsEveryKeyThroughAndFewOthers) {
  for (std::uint64_t keys : {1u, 7u, 1000u, 100000u}) {
    FilterBuilder builder(10);
    for (std::uint64_t i = 0; i < keys; ++i) builder.add(hash_of(i));
    std::vector<std::byte> payload(builder.payload_bytes());
    builder.finish(payload.data());
    const auto filter = Filter::parse(payload, {});
    ASSERT_TRUE(filter.has_value());
    for (std::uint64_t i = 0; i < keys; ++i) ASSERT_TRUE(filter->may_contain(hash_of(i)));
    int wrong = 0;
    for (std::uint64_t i = 0; i < 100000; ++i) wrong += filter->may_contain(hash_of(1'000'000 + i));
    EXPECT_LT(wrong, 1500) << keys;
  }
}

TEST(Filter, WithoutOneEveryKeyMayBeThere) {
  EXPECT_TRUE(Filter().may_contain(42));
  FilterBuilder none(0);
  none.add(1);
  EXPECT_EQ(none.payload_bytes(), 0u);
}

TEST(Filter, RefusesWrongSizes) {
  FilterBuilder builder(10);
  for (std::uint64_t i = 0; i < 200; ++i) builder.add(hash_of(i));
  std::vector<std::byte> payload(builder.payload_bytes());
  builder.finish(payload.data());
  for (std::size_t size = 0; size < payload.size(); ++size) {
    EXPECT_EQ(Filter::parse(Bytes(payload).first(size), {}).error().code, Errc::corrupt);
  }
  payload[1] = std::byte{17};
  EXPECT_EQ(Filter::parse(payload, {}).error().code, Errc::corrupt);
  payload[0] = std::byte{2};
  EXPECT_EQ(Filter::parse(payload, {}).error().code, Errc::unsupported);
}

}  // namespace
}  // namespace ashlar::lsm
