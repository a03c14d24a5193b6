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

class FilterOf : public ::testing::TestWithParam<FilterKind> {};
INSTANTIATE_TEST_SUITE_P(Kinds, FilterOf, ::testing::Values(FilterKind::bloom, FilterKind::ribbon));

TEST_P(FilterOf, LetsEveryKeyThroughAndFewOthers) {
  for (std::uint64_t keys : {1u, 7u, 127u, 1000u, 100000u}) {
    FilterBuilder builder(10, GetParam());
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

TEST_P(FilterOf, IsTheSameInHoweverManyPartsItIsBuilt) {
  constexpr std::uint64_t keys = 10'000;
  std::vector<std::byte> whole;
  FilterBuilder builder(10, GetParam());
  for (const std::size_t part : {0, 1, 1000, 7777}) {
    builder.reset();
    for (std::uint64_t i = 0; i < keys; ++i) builder.add(hash_of(i));
    std::size_t parts = 0;
    while (part != 0 && builder.build(part)) ++parts;
    if (part != 0) {
      EXPECT_GE(parts + 1, keys / part);
      EXPECT_FALSE(builder.build(part)) << "nothing is left";
    }
    std::vector<std::byte> payload(builder.payload_bytes());
    builder.finish(payload.data());
    if (whole.empty()) whole = payload;
    EXPECT_EQ(payload, whole) << part;
  }
}

TEST(Filter, ARibbonIsAQuarterSmallerAndLetsNoMoreThrough) {
  FilterBuilder bloom(10), ribbon(10, FilterKind::ribbon);
  constexpr std::uint64_t keys = 50'000, strangers = 400'000;
  for (std::uint64_t i = 0; i < keys; ++i) {
    bloom.add(hash_of(i));
    ribbon.add(hash_of(i));
  }
  EXPECT_LT(ribbon.payload_bytes(), bloom.payload_bytes() * 3 / 4);
  std::vector<std::byte> of_bloom(bloom.payload_bytes()), of_ribbon(ribbon.payload_bytes());
  bloom.finish(of_bloom.data());
  ribbon.finish(of_ribbon.data());
  const auto a = Filter::parse(of_bloom, {}), b = Filter::parse(of_ribbon, {});
  ASSERT_TRUE(a && b);
  std::uint64_t through_a = 0, through_b = 0;
  for (std::uint64_t i = 0; i < strangers; ++i) {
    through_a += a->may_contain(hash_of(1'000'000 + i));
    through_b += b->may_contain(hash_of(1'000'000 + i));
  }
  EXPECT_LE(through_b, through_a);
  EXPECT_LT(through_b, strangers / 100);
}

TEST(Filter, WithoutOneEveryKeyMayBeThere) {
  EXPECT_TRUE(Filter().may_contain(42));
  FilterBuilder none(0);
  none.add(1);
  EXPECT_EQ(none.payload_bytes(), 0u);
}

TEST_P(FilterOf, RefusesWrongSizes) {
  FilterBuilder builder(10, GetParam());
  for (std::uint64_t i = 0; i < 200; ++i) builder.add(hash_of(i));
  std::vector<std::byte> payload(builder.payload_bytes());
  builder.finish(payload.data());
  for (std::size_t size = 0; size < payload.size(); ++size) {
    EXPECT_EQ(Filter::parse(Bytes(payload).first(size), {}).error().code, Errc::corrupt);
  }
  payload[1] = std::byte{25};
  EXPECT_EQ(Filter::parse(payload, {}).error().code, Errc::corrupt);
  payload[0] = std::byte{3};
  EXPECT_EQ(Filter::parse(payload, {}).error().code, Errc::unsupported);
}

}  // namespace
}  // namespace ashlar::lsm
