#include "ashlar/runtime/task/frame_pool.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "ashlar/base/random.h"
#include "ashlar/runtime/memory/poison.h"
#include "ashlar/runtime/sync/test_shard.h"

namespace ashlar {
namespace {

using testing::TestShard;

TEST(FramePool, UsesTheSameMemoryAgain) {
  TestShard shard;
  void* first = FramePool::allocate(200);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(first) % 16, 0u);
  EXPECT_EQ(shard->frames().frames_live(), 1u);
  FramePool::release(first);
  const std::size_t reserved = shard->frames().bytes_reserved();
  for (int i = 0; i < 10'000; ++i) {
    void* again = FramePool::allocate(200);
    EXPECT_EQ(again, first) << "last in, first out: it is warm";
    FramePool::release(again);
  }
  EXPECT_EQ(shard->frames().bytes_reserved(), reserved);
  EXPECT_EQ(shard->frames().frames_live(), 0u);
}

TEST(FramePool, LargeFramesAndThreadsWithoutAShardUseTheHeap) {
  {
    TestShard shard;
    void* large = FramePool::allocate(FramePool::frame_bytes_max + 1);
    EXPECT_EQ(shard->frames().frames_live(), 1u);
    EXPECT_GT(shard->memory().used_bytes(Purpose::frames), FramePool::frame_bytes_max);
    std::memset(large, 1, FramePool::frame_bytes_max + 1);
    FramePool::release(large);
    EXPECT_EQ(shard->memory().used_bytes(Purpose::frames), 0u);
  }
  std::thread([] {
    void* frame = FramePool::allocate(100);
    std::memset(frame, 1, 100);
    FramePool::release(frame);
  }).join();
}

TEST(FramePool, AFrameReturnsToThePoolItCameFrom) {
  TestShard home;
  void* frame = FramePool::allocate(100);
  {
    TestShard other;
    FramePool::release(frame);
    EXPECT_EQ(other->frames().frames_live(), 0u);
  }
  EXPECT_EQ(home->frames().frames_live(), 0u);
  EXPECT_EQ(FramePool::allocate(100), frame);
  FramePool::release(frame);
}

TEST(FramePool, KeepsFramesApart) {
  const char* given = std::getenv("ASHLAR_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 0) : 7;
  SCOPED_TRACE("ASHLAR_SEED=" + std::to_string(seed));
  TestShard shard;
  Random random(seed);
  struct Frame {
    unsigned char* data;
    std::size_t bytes;
    unsigned char mark;
  };
  std::vector<Frame> live;
  const auto release = [&](std::size_t index) {
    std::swap(live[index], live.back());
    const Frame frame = live.back();
    live.pop_back();
    for (std::size_t i = 0; i < frame.bytes; ++i) ASSERT_EQ(frame.data[i], frame.mark);
    FramePool::release(frame.data);
  };
  for (int i = 0; i < 50'000; ++i) {
    if (live.size() < 300 && !random.one_in(3)) {
      const std::size_t bytes = random.skewed(1, FramePool::frame_bytes_max + 500);
      live.push_back(
          {static_cast<unsigned char*>(FramePool::allocate(bytes)), bytes, static_cast<unsigned char>(i)});
      std::memset(live.back().data, live.back().mark, bytes);
    } else if (!live.empty()) {
      release(random.below(live.size()));
    }
  }
  while (!live.empty()) release(0);
}

#if defined(__has_feature) && __has_feature(address_sanitizer)
TEST(FramePool, AFreeFrameIsPoisoned) {
  TestShard shard;
  void* frame = FramePool::allocate(300);
  EXPECT_EQ(__asan_address_is_poisoned(frame), 0);
  FramePool::release(frame);
  EXPECT_EQ(__asan_address_is_poisoned(frame), 1);
}
#endif

}  // namespace
}  // namespace ashlar
