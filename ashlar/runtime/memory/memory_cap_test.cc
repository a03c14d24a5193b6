#include "ashlar/runtime/memory/memory_cap.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "ashlar/base/random.h"

namespace ashlar {
namespace {

constexpr std::uint64_t step = MemoryBudget::step_bytes;

TEST(MemoryCap, AccountsByPurposeAndBorrowsInSteps) {
  MemoryCap cap(16 * step);
  {
    MemoryBudget budget(cap);
    auto a = budget.charge(Purpose::cache, 100);
    auto b = budget.charge(Purpose::memtables, 200);
    ASSERT_TRUE(a && b);
    EXPECT_EQ(budget.used_bytes(Purpose::cache), 100u);
    EXPECT_EQ(budget.used_bytes(Purpose::memtables), 200u);
    EXPECT_EQ(budget.used_bytes(), 300u);
    EXPECT_EQ(cap.lent_bytes(), step) << "one step serves both";
    ASSERT_TRUE(a->resize(2 * step));
    EXPECT_EQ(budget.used_bytes(Purpose::cache), 2 * step);
    ASSERT_TRUE(a->resize(1));
    const MemoryCharge moved = *std::move(b);
    EXPECT_EQ(moved.bytes(), 200u);
    EXPECT_EQ(budget.used_bytes(), 201u);
  }
  EXPECT_EQ(cap.lent_bytes(), 0u);
}

TEST(MemoryCap, RefusesBeyondTheCapAndTakesTheLastByte) {
  MemoryCap cap(2 * step + 10);
  MemoryBudget one(cap), two(cap);
  auto a = one.charge(Purpose::cache, 2 * step);
  ASSERT_TRUE(a);
  EXPECT_TRUE(cap.tight());
  auto b = two.charge(Purpose::cache, 11);
  ASSERT_FALSE(b);
  EXPECT_EQ(b.error().code, Errc::no_memory);
  EXPECT_TRUE(two.charge(Purpose::cache, 10)) << "less than a step is left, and enough";
  EXPECT_FALSE(a->resize(3 * step));
  EXPECT_EQ(a->bytes(), 2 * step) << "a refused resize changes nothing";
  EXPECT_FALSE(two.charge(Purpose::cache, ~std::uint64_t{0}));

  two.take_regardless(Purpose::connections, 5 * step);
  EXPECT_GT(cap.lent_bytes(), cap.cap_bytes());
  EXPECT_FALSE(one.take(Purpose::cache, step));
  two.give(Purpose::connections, 5 * step);
  a->reset();
  EXPECT_LE(cap.lent_bytes(), cap.cap_bytes());
}

/// Keeps what it was given for as long as nobody asks.
struct Hoard final : MemoryReclaimer {
  explicit Hoard(MemoryBudget& budget) { budget.add(*this); }
  bool reclaim() noexcept override {
    charges.pop_back();
    return !charges.empty();
  }
  std::vector<MemoryCharge> charges;
};

TEST(MemoryCap, CachesGiveBackUntilThereIsRoomAgain) {
  MemoryCap cap(16 * step);
  int woken = 0;
  cap.set_waker([](void* count) noexcept { ++*static_cast<int*>(count); }, &woken);
  MemoryBudget budget(cap), other(cap);
  Hoard hoard(budget);
  while (cap.roomy()) hoard.charges.push_back(*budget.charge(Purpose::cache, step));
  EXPECT_FALSE(cap.wanted());

  auto needed = other.charge(Purpose::memtables, 3 * step);
  ASSERT_TRUE(needed) << "what caches leave free";
  EXPECT_TRUE(cap.wanted());
  EXPECT_EQ(woken, 1);
  while (budget.reclaim()) {
  }
  EXPECT_FALSE(cap.tight());
  EXPECT_FALSE(cap.wanted());
  EXPECT_FALSE(hoard.charges.empty()) << "no more than was needed";
  EXPECT_GT(cap.lent_bytes_peak(), cap.lent_bytes());
  EXPECT_LE(cap.lent_bytes_peak(), cap.cap_bytes());
}

TEST(MemoryCap, ManyShardsNeverExceedIt) {
  MemoryCap cap(64 * step);
  std::vector<std::thread> shards;
  for (std::uint64_t id = 0; id < 4; ++id) {
    shards.emplace_back([&cap, id] {
      Random random(id);
      MemoryBudget budget(cap);
      std::vector<MemoryCharge> charges;
      std::uint64_t held = 0;
      for (int i = 0; i < 20'000; ++i) {
        if (random.one_in(2)) {
          if (auto charge = budget.charge(Purpose::cache, random.skewed(1, 8 * step))) {
            held += charge->bytes();
            charges.push_back(*std::move(charge));
          }
        } else if (!charges.empty()) {
          std::swap(charges[random.below(charges.size())], charges.back());
          held -= charges.back().bytes();
          charges.pop_back();
        }
        ASSERT_EQ(budget.used_bytes(), held);
        ASSERT_LE(held, budget.borrowed_bytes());
        ASSERT_LT(budget.borrowed_bytes(), held + 2 * step);
        ASSERT_LE(cap.lent_bytes(), cap.cap_bytes());
      }
    });
  }
  for (std::thread& shard : shards) shard.join();
  EXPECT_EQ(cap.lent_bytes(), 0u);
}

}  // namespace
}  // namespace ashlar
