#include "ashlar/runtime/memory/buffer_pool.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>

#include "ashlar/base/random.h"

namespace ashlar {
namespace {

using namespace ashlar::literals;

struct BufferPoolTest : ::testing::Test {
  MemoryCap cap{1_GiB};
  MemoryBudget budget{cap};
  Regions regions;
};

TEST_F(BufferPoolTest, AlignsToTheRoundedSize) {
  BufferPool pool(regions, budget);
  for (std::size_t bytes : {std::size_t{1}, std::size_t{4096}, std::size_t{4097}, 64_KiB, 100'000ul, 2_MiB}) {
    auto buffer = pool.allocate(bytes);
    ASSERT_TRUE(buffer);
    EXPECT_EQ(buffer->size(), bytes);
    const std::size_t rounded = std::bit_ceil(std::max<std::size_t>(bytes, 4096));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer->data()) % rounded, 0u);
    const Region region = regions.at(buffer->region());
    EXPECT_GE(buffer->data(), region.data);
    EXPECT_LE(buffer->data() + rounded, region.data + Region::bytes);
    std::memset(buffer->data(), 0xA5, bytes);
  }
  auto large = pool.allocate(BufferPool::buffer_bytes_max + 1);
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, Errc::too_large);
}

TEST_F(BufferPoolTest, RefusesBeyondTheBudgetAndGoesOnAfterwards) {
  MemoryCap small(4_MiB);
  MemoryBudget tight(small);
  BufferPool pool(regions, tight);
  auto a = pool.allocate(2_MiB), b = pool.allocate(2_MiB), c = pool.allocate(2_MiB);
  EXPECT_TRUE(a && b);
  ASSERT_FALSE(c);
  EXPECT_EQ(c.error().code, Errc::no_memory);
  EXPECT_EQ(tight.used_bytes(Purpose::io_buffers), 4_MiB);
  a->reset();
  EXPECT_TRUE(pool.allocate(2_MiB));
}

TEST_F(BufferPoolTest, GivesEmptyRegionsBackToTheProcess) {
  BufferPool pool(regions, budget);
  {
    std::vector<IoBuffer> many;
    for (int i = 0; i < 64; ++i) many.push_back(*pool.allocate(1_MiB));
    EXPECT_EQ(pool.region_bytes(), 64_MiB);
  }
  EXPECT_EQ(pool.region_bytes(), 0u) << "none stays of a size so large";
  (void)*pool.allocate(64_KiB);
  EXPECT_EQ(pool.region_bytes(), 2_MiB) << "one stays";
  const auto made = regions.count();
  BufferPool other(regions, budget);
  std::vector<IoBuffer> many;
  for (int i = 0; i < 31; ++i) many.push_back(*other.allocate(2_MiB));
  EXPECT_EQ(regions.count(), made) << "another pool uses the same regions again";
}

TEST_F(BufferPoolTest, ALargeBufferIsARunOfRegions) {
  BufferPool pool(regions, budget);
  auto large = pool.allocate(5_MiB), other = pool.allocate(2_MiB), larger = pool.allocate(9_MiB);
  ASSERT_TRUE(large && other && larger);
  EXPECT_EQ(budget.used_bytes(), 6_MiB + 2_MiB + 10_MiB);
  for (const IoBuffer* buffer : {&*large, &*larger}) {
    for (std::size_t at = 0; at < buffer->size(); at += Region::bytes) {
      const auto id = static_cast<std::uint32_t>(buffer->region() + at / Region::bytes);
      EXPECT_EQ(regions.at(id).data, buffer->data() + at);
    }
    std::memset(buffer->data(), 0x5A, buffer->size());
  }
  const std::uint32_t made = regions.count(), first = larger->region();
  larger->reset();
  large->reset();
  auto again = pool.allocate(10_MiB);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->region(), first) << "the same run serves again";
  EXPECT_EQ(regions.count(), made);
}

TEST_F(BufferPoolTest, ChargesEachBufferToItsPurposeAndTheRestToItself) {
  BufferPool pool(regions, budget);
  {
    auto table = pool.allocate(60_KiB, Purpose::tables), run = pool.allocate(3_MiB, Purpose::cache);
    ASSERT_TRUE(table && run);
    EXPECT_EQ(budget.used_bytes(Purpose::tables), 64_KiB);
    EXPECT_EQ(budget.used_bytes(Purpose::cache), 4_MiB);
    EXPECT_EQ(budget.used_bytes(Purpose::io_buffers), 2_MiB - 64_KiB);
    IoBuffer moved;
    moved = *std::move(table);
  }
  EXPECT_EQ(budget.used_bytes(Purpose::tables), 0u);
  EXPECT_EQ(budget.used_bytes(), pool.region_bytes());
}

TEST_F(BufferPoolTest, WhatMustNotBeRefusedGoesBeyondTheCap) {
  MemoryCap small(2_MiB);
  MemoryBudget tight(small);
  BufferPool pool(regions, tight);
  auto first = pool.allocate(2_MiB), refused = pool.allocate(4_MiB);
  ASSERT_FALSE(refused);
  auto flush = pool.allocate_regardless(4_MiB);
  ASSERT_TRUE(flush);
  EXPECT_EQ(small.lent_bytes(), 6_MiB);
  EXPECT_TRUE(small.wanted());
}

// Buffers never overlap and keep their contents, through any sequence of sizes and releases.
TEST_F(BufferPoolTest, KeepsEveryBufferApart) {
  const char* given = std::getenv("ASHLAR_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 0) : 20'261'120;
  SCOPED_TRACE("ASHLAR_SEED=" + std::to_string(seed));
  Random random(seed);
  BufferPool pool(regions, budget);
  struct Held {
    IoBuffer buffer;
    unsigned char mark;
  };
  std::vector<Held> held;
  const auto check = [](const Held& one) {
    const auto mark = static_cast<std::byte>(one.mark);
    ASSERT_EQ(one.buffer.data()[0], mark);
    ASSERT_EQ(one.buffer.data()[one.buffer.size() - 1], mark);
    ASSERT_EQ(one.buffer.data()[one.buffer.size() / 2], mark);
  };
  for (int i = 0; i < 20'000; ++i) {
    if (held.size() < 200 && !random.one_in(3)) {
      Held one{*pool.allocate(random.skewed(1, 6_MiB)), static_cast<unsigned char>(i)};
      std::memset(one.buffer.data(), one.mark, one.buffer.size());
      held.push_back(std::move(one));
    } else if (!held.empty()) {
      std::swap(held[random.below(held.size())], held.back());
      check(held.back());
      held.pop_back();
    }
    ASSERT_EQ(pool.buffers_in_use(), held.size());
  }
  for (const Held& one : held) check(one);
}

}  // namespace
}  // namespace ashlar
