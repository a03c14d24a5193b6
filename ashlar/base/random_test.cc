#include "ashlar/base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

namespace ashlar {
namespace {

TEST(Random, MatchesTheReferenceImplementation) {
  // splitmix64 from state 0, as published with it (https://prng.di.unimi.it/splitmix64.c).
  std::uint64_t state = 0;
  EXPECT_EQ(splitmix64(state), 0xe220a8397b1dcdafu);
  EXPECT_EQ(splitmix64(state), 0x6e789e6aa1b965f4u);
  EXPECT_EQ(splitmix64(state), 0x06c45d188009454fu);
  // xoshiro256** over that state: fixed here, because stored seeds must mean the same test for ever.
  Random random(0);
  EXPECT_EQ(random.next(), 0x99ec5f36cb75f2b4u);
  EXPECT_EQ(random.next(), 0xbf6e1f784956452au);
  EXPECT_EQ(random.next(), 0x1a5f849d4933e6e0u);
}

TEST(Random, BelowIsUniform) {
  Random random(1);
  std::array<int, 7> counts{};
  for (int i = 0; i < 70'000; ++i) ++counts[random.below(7)];
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 500);
}

TEST(Random, BetweenIncludesBothEnds) {
  Random random(2);
  bool low = false, high = false;
  for (int i = 0; i < 1'000; ++i) {
    const std::uint64_t value = random.between(5, 8);
    ASSERT_GE(value, 5u);
    ASSERT_LE(value, 8u);
    low |= value == 5;
    high |= value == 8;
  }
  EXPECT_TRUE(low && high);
  EXPECT_EQ(random.between(9, 9), 9u);
  random.between(0, ~std::uint64_t{0});
}

TEST(Random, SkewedStaysWithinItsBoundsAndReachesSmallValues) {
  Random random(3);
  int small = 0;
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t value = random.skewed(3, 1'000'000);
    ASSERT_GE(value, 3u);
    ASSERT_LE(value, 1'000'000u);
    small += value < 1'000;
  }
  EXPECT_GT(small, 3'000);
  EXPECT_EQ(random.skewed(0, 0), 0u);
  EXPECT_EQ(random.skewed(~std::uint64_t{0}, ~std::uint64_t{0}), ~std::uint64_t{0});
}

TEST(Random, ForksAreIndependentAndRepeatable) {
  Random a(5), b(5);
  Random fork_of_a = a.fork(), fork_of_b = b.fork();
  fork_of_a.next();
  EXPECT_EQ(a.next(), b.next());  // draws of a fork do not shift those of its origin
  fork_of_b.next();
  EXPECT_EQ(fork_of_a.next(), fork_of_b.next());
}

TEST(Random, FractionIsBelowOne) {
  Random random(6);
  double sum = 0;
  for (int i = 0; i < 10'000; ++i) {
    const double value = random.fraction();
    ASSERT_GE(value, 0.0);
    ASSERT_LT(value, 1.0);
    sum += value;
  }
  EXPECT_NEAR(sum / 10'000, 0.5, 0.02);
}

}  // namespace
}  // namespace ashlar
