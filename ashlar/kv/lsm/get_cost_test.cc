/// What a get costs that finds its key in memory: no allocation, no frame, no suspension. A program of its
/// own, because it counts every `new`.

#include <gtest/gtest.h>

#include "ashlar/base/test_allocations.h"
#include "ashlar/kv/lsm/store_testing.h"

namespace ashlar::lsm {
namespace {

using ashlar::testing::allocations;
using testing::small_options;

class GetCostTest : public testing::StoreTest {
 protected:
  struct Cost {
    std::size_t allocations = 0, frames = 0, suspensions = 0;
  };

  /// Of a hundred gets, each of which finds `value`; nothing: finds that there is none.
  static void expect_free(kv::Partition& partition, const StoredKey& key,
                          std::optional<std::string_view> value) {
    Cost cost;
    bool right = true;
    for (int i = 0; i < 100; ++i) {
      const FramePool& frames = Shard::current().frames();
      const std::size_t allocations_before = allocations, frames_before = frames.frames_live();
      kv::Get get = partition.get(key);
      if (!get.await_ready()) {
        ++cost.suspensions;
        continue;
      }
      const auto found = get.await_resume();
      cost.frames += frames.frames_live() - frames_before;
      cost.allocations += allocations - allocations_before;
      right = right && found && found->has_value() == value.has_value() &&
              (!value || as_text((*found)->bytes) == *value);
    }
    EXPECT_TRUE(right);
    EXPECT_EQ(cost.suspensions, 0u);
    EXPECT_EQ(cost.frames, 0u);
    EXPECT_EQ(cost.allocations, 0u);
  }
};

TEST_F(GetCostTest, AGetThatMemoryAnswersSuspendsNothingAndAllocatesNothing) {
  const Result<> done = with_store(1, small_options(), [&](LsmStore& store) -> Task<> {
    LsmPartition& partition = store.partition(kv::PartitionId{0});
    const StoredKey here = store.stored(as_bytes("here")), erased = store.stored(as_bytes("erased")),
                    never = store.stored(as_bytes("never"));
    const std::string value(300, 'v');
    EXPECT_TRUE(co_await put(store, "here", value));
    EXPECT_TRUE(co_await put(store, "erased", value));
    const auto erase = partition.append({.key = &erased, .value = {}, .kind = kv::Kind::erase});
    EXPECT_TRUE(erase && co_await *erase);

    expect_free(partition, here, value);  // in the memtable
    expect_free(partition, erased, std::nullopt);
    expect_free(partition, never, std::nullopt);

    EXPECT_TRUE(co_await partition.flush());
    EXPECT_TRUE(co_await get(store, "here"));  // reads the block
    expect_free(partition, here, value);       // in a table, its block in the cache
    expect_free(partition, never, std::nullopt);

    const std::size_t before = allocations;
    {
      const epoch::Guard guard;
      kv::Peek found;
      EXPECT_TRUE(partition.peek(here, kv::Durability::durable, found));
      EXPECT_EQ(as_text(found.value), value);
    }
    EXPECT_EQ(allocations, before);
  });
  EXPECT_TRUE(done) << done.error().to_string();
}

}  // namespace
}  // namespace ashlar::lsm
