/// Keys that are overwritten again and again: what is held stays, what is not takes no more memory.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "ashlar/kv/lsm/store_testing.h"

namespace ashlar::lsm {
namespace {

constexpr int key_count = 4;

LsmOptions one_memtable() {
  LsmOptions options = testing::small_options();
  options.memtable_bytes = 2u << 20;
  return options;
}

std::string value_of(int write) {
  return std::string(100, static_cast<char>('a' + write % 26)) + std::to_string(write);
}

class OverwriteTest : public testing::StoreTest {
 protected:
  static Task<> overwrite(LsmStore& store, int first, int end) {
    for (int write = first; write < end; ++write) {
      EXPECT_TRUE(co_await put(store, name(write % key_count), value_of(write)));
    }
  }
  /// What each key reads as.
  static Task<std::array<std::string, key_count>> read_all(LsmStore& store, kv::ReadOptions options = {}) {
    std::array<std::string, key_count> values;
    for (int i = 0; i < key_count; ++i) {
      const StoredKey key = store.stored(as_bytes(name(i)));
      const auto found = co_await store.partition(kv::PartitionId{0}).get(key, options);
      if (found && *found) values[static_cast<std::size_t>(i)] = as_text((*found)->bytes);
    }
    co_return values;
  }
};

TEST_F(OverwriteTest, WhatIsHeldStaysAndTheRestTakesNoMoreMemory) {
  const Result<> done = with_store(1, one_memtable(), [&](LsmStore& store) -> Task<> {
    LsmPartition& partition = store.partition(kv::PartitionId{0});
    co_await overwrite(store, 0, 1000);
    const auto then = co_await read_all(store);
    EXPECT_EQ(then[3], value_of(999));

    std::optional<kv::Snapshot> snapshot(std::in_place, partition);
    const StoredKey key = store.stored(as_bytes(name(2)));
    auto pinned = co_await partition.get(key);
    auto cursor = partition.scan({});
    EXPECT_TRUE(co_await cursor->next());
    co_await overwrite(store, 1000, 3000);

    EXPECT_EQ(co_await read_all(store, {.snapshot = &*snapshot}), then);
    EXPECT_EQ(as_text((*pinned)->bytes), then[2]);
    std::size_t walked = 0;
    do {
      ++walked;
      const auto value = as_text(cursor->item().value);
      EXPECT_NE(std::ranges::find(then, value), then.end()) << value;
    } while ((co_await cursor->next()).value_or(false));
    EXPECT_EQ(walked, then.size());

    // One after the other they let go; each alone holds what it sees.
    cursor.reset();
    co_await overwrite(store, 3000, 4000);
    EXPECT_EQ(as_text((*pinned)->bytes), then[2]);
    pinned = std::nullopt;
    co_await overwrite(store, 4000, 5000);
    EXPECT_EQ(co_await read_all(store, {.snapshot = &*snapshot}), then);
    snapshot.reset();
    co_await overwrite(store, 5000, 8000);

    const std::uint64_t bytes = partition.stats().memtable_bytes;
    co_await overwrite(store, 8000, 16000);
    EXPECT_LT(partition.stats().memtable_bytes, bytes + (64u << 10));
    EXPECT_LT(partition.stats().memtable_entries, 4000u);
    EXPECT_EQ((co_await read_all(store))[3], value_of(15999));
  });
  EXPECT_TRUE(done) << done.error().to_string();

  const Result<> again = with_store(1, one_memtable(), [&](LsmStore& store) -> Task<> {
    const auto values = co_await read_all(store);
    for (int i = 0; i < key_count; ++i) EXPECT_EQ(values[static_cast<std::size_t>(i)], value_of(15996 + i));
  });
  EXPECT_TRUE(again) << again.error().to_string();
}

/// Versions that a crash or a failed log may bring back are not written over before what replaced them is
/// durable.
TEST_F(OverwriteTest, WhatIsNotDurableTakesNothingAway) {
  const Result<> done = with_store(1, one_memtable(), [&](LsmStore& store) -> Task<> {
    LsmPartition& partition = store.partition(kv::PartitionId{0});
    co_await overwrite(store, 0, 1000);
    const kv::Sequence durable = partition.durable_sequence();
    const StoredKey key = store.stored(as_bytes(name(3)));
    for (int write = 1000; write < 3000;
         ++write) {  // no turn of the loop in between: nothing becomes durable
      const std::string value = value_of(write);
      EXPECT_TRUE(partition.append({.key = &key, .value = as_bytes(value)}, kv::Durability::none));
    }
    EXPECT_EQ(partition.durable_sequence(), durable);
    EXPECT_GT(partition.stats().memtable_entries, 2000u);
    const auto newest = co_await partition.get(key, {.durability = kv::Durability::none});
    EXPECT_EQ(as_text((*newest)->bytes), value_of(2999));

    world_->faults().add({.path_part = ".log", .verdict = {.error = EIO}});
    EXPECT_FALSE(co_await partition.sync());
    EXPECT_TRUE(partition.stop_reason());
    const auto last = co_await partition.get(key, {.durability = kv::Durability::none});
    EXPECT_EQ(as_text((*last)->bytes), value_of(999)) << "what was durable when the log failed";
    world_->faults().clear();
  });
  EXPECT_FALSE(done) << "closing says that the log has failed";
}

}  // namespace
}  // namespace ashlar::lsm
