#include "ashlar/runtime/memory/locked_memory.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "ashlar/base/units.h"
#include "ashlar/runtime/memory/test_memlock.h"

namespace ashlar {
namespace {

using namespace ashlar::literals;

TEST(LockedMemory, StopsAtTheLimit) {
  const testing::LowMemlock low(5_MiB);
  if (!low.works()) GTEST_SKIP() << "this process cannot give up the right to lock memory";
  EXPECT_EQ(LockedMemory::limit_bytes(), 5_MiB);
  LockedMemory account;
  EXPECT_TRUE(account.take(2_MiB));
  EXPECT_TRUE(account.take(2_MiB));
  for (const std::uint64_t bytes : {2_MiB, ~std::uint64_t{0}}) {
    const Result<> refused = account.take(bytes);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::no_memory);
    EXPECT_EQ(account.bytes(), 4_MiB);
  }
  account.give(2_MiB);
  EXPECT_TRUE(account.take(3_MiB)) << "exactly up to it";
  EXPECT_EQ(account.bytes(), 5_MiB);
}

TEST(LockedMemory, ThreadsShareTheLimit) {
  const testing::LowMemlock low(5_MiB);  // which threads inherit
  if (!low.works()) GTEST_SKIP() << "this process cannot give up the right to lock memory";
  LockedMemory account;
  std::atomic<unsigned> granted{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 100; ++j) granted += account.take(64_KiB) ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(granted, 5_MiB / 64_KiB);
  EXPECT_EQ(account.bytes(), 5_MiB);
}

}  // namespace
}  // namespace ashlar
