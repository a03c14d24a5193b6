#include "bench/kv/stream.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace ashlar::bench {
namespace {

TEST(KeyTextTest, HasEightDigitsAtLeast) {
  EXPECT_EQ(std::string_view(KeyText(0)), "key-00000000");
  EXPECT_EQ(std::string_view(KeyText(42)), "key-00000042");
  EXPECT_EQ(std::string_view(KeyText(99'999'999)), "key-99999999");
  EXPECT_EQ(std::string_view(KeyText(1'234'567'890)), "key-1234567890");
}

TEST(ShuffledKeyTest, TakesEachKeyOnce) {
  for (const std::uint64_t count : {1u, 2u, 3u, 500u, 1000u, 4096u, 4097u}) {
    std::set<std::uint64_t> seen;
    bool in_order = true;
    for (std::uint64_t at = 0; at < count; ++at) {
      const std::uint64_t key = shuffled_key(at, count);
      EXPECT_LT(key, count);
      in_order &= key == at;
      seen.insert(key);
    }
    EXPECT_EQ(seen.size(), count);
    EXPECT_TRUE(count < 500 || !in_order);
  }
}

TEST(ZipfianTest, GivesRanksTheirShares) {
  constexpr std::uint64_t ranks = 1000, draws = 200'000;
  const Zipfian zipfian(ranks);
  Random random(1);
  std::vector<double> counts(ranks);
  for (std::uint64_t i = 0; i < draws; ++i) counts[zipfian.next(random)] += 1;
  double zeta = 0;
  for (std::uint64_t rank = 1; rank <= ranks; ++rank) zeta += std::pow(rank, -0.99);
  EXPECT_NEAR(counts[0] / draws, 1 / zeta, 0.01);
  EXPECT_NEAR(counts[1] / draws, std::pow(2, -0.99) / zeta, 0.01);
  double head = 0, expected = 0;
  for (std::uint64_t rank = 0; rank < 100; ++rank) {
    head += counts[rank] / draws;
    expected += std::pow(rank + 1, -0.99) / zeta;
  }
  EXPECT_NEAR(head, expected, 0.03);
}

TEST(StreamTest, WorkersShareTheKeysOfAnOrder) {
  for (const Choice choice : {Choice::sequential, Choice::shuffled}) {
    Plan plan;
    plan.keys = 1001;
    plan.workers = 3;
    plan.mix = {.updates = 100};
    plan.choice = choice;
    std::set<std::uint64_t> seen;
    for (unsigned worker = 0; worker < plan.workers; ++worker) {
      Stream stream(plan, worker);
      const std::uint64_t part = plan.keys * (worker + 1) / 3 - plan.keys * worker / 3;
      for (std::uint64_t i = 0; i < part; ++i) seen.insert(stream.next().key);
    }
    EXPECT_EQ(seen.size(), plan.keys);
  }
}

TEST(StreamTest, MixesAsThePlanSays) {
  Plan plan;
  plan.keys = 100;
  plan.mix = {.reads = 50, .updates = 20, .inserts = 5, .scans = 15, .read_modify_writes = 10};
  plan.scan_entries = 10;
  plan.scan_to_random = true;
  Stream stream(plan, 0);
  std::map<Verb, int> counts;
  std::set<std::uint64_t> inserted;
  for (int i = 0; i < 20'000; ++i) {
    const Operation operation = stream.next();
    ++counts[operation.verb];
    if (operation.verb == Verb::insert) {
      EXPECT_GE(operation.key, plan.keys);
      EXPECT_TRUE(inserted.insert(operation.key).second);
    } else {
      EXPECT_LT(operation.key, plan.keys);
    }
    if (operation.verb == Verb::scan) {
      EXPECT_GE(operation.entries, 1u);
      EXPECT_LE(operation.entries, 10u);
    }
  }
  EXPECT_NEAR(counts[Verb::read], 10'000, 400);
  EXPECT_NEAR(counts[Verb::update], 4'000, 300);
  EXPECT_NEAR(counts[Verb::insert], 1'000, 200);
  EXPECT_NEAR(counts[Verb::scan], 3'000, 300);
  EXPECT_NEAR(counts[Verb::read_modify_write], 2'000, 250);
}

TEST(StreamTest, LatestPrefersTheNewest) {
  Plan plan;
  plan.keys = 1000;
  plan.mix = {.reads = 100};
  plan.choice = Choice::latest;
  Stream stream(plan, 0);
  int newest = 0;
  for (int i = 0; i < 10'000; ++i) newest += stream.next().key >= 990 ? 1 : 0;
  EXPECT_GT(newest, 3'000);
}

TEST(StreamTest, TheSameForTheSameWorker) {
  Plan plan;
  plan.keys = 1000;
  plan.mix = {.reads = 50, .updates = 50};
  plan.choice = Choice::zipfian;
  Stream one(plan, 3), other(plan, 3);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(one.next().key, other.next().key);
    EXPECT_EQ(one.value(), other.value());
  }
}

}  // namespace
}  // namespace ashlar::bench
