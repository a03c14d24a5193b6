/// Large values in tables of their own: where they stand, what reads of them cost, and that their space comes
/// back.

#include <gtest/gtest.h>

#include "ashlar/kv/lsm/store_testing.h"
#include "ashlar/kv/lsm/test_partition.h"
#include "ashlar/kv/transaction.h"
#include "ashlar/runtime/sync/sleep.h"

namespace ashlar::lsm {
namespace {

using kv::Direction;
using kv::Durability;
using kv::PartitionId;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t large = 5000;

class ValueTest : public testing::StoreTest {
 protected:
  using PartitionBody = std::function<Task<>(LsmPartition&)>;

  static LsmOptions options() {
    LsmOptions options = testing::small_options();
    options.partitions = 1;
    options.memtable_bytes = 4u << 20;  // flushed when the test says so
    options.level0_tables = 2;
    options.merge_operator = "append:,";
    return options;
  }
  void with_partition(const LsmOptions& options, const PartitionBody& body) {
    const Result<> done = with_store(
        1, options, [&](LsmStore& store) -> Task<> { co_await body(store.partition(PartitionId{0})); });
    EXPECT_TRUE(done) << done.error().to_string();
  }
  static StoredKey key_of(int i) { return StoredKey("{t}" + std::to_string(100000 + i)); }
  static std::string value_of(int i, char mark, std::size_t bytes = large) {
    return std::to_string(i) + std::string(bytes, mark);
  }

  static Task<> write(LsmPartition& partition, const kv::Write& write) {
    const auto ticket = partition.append(write);
    EXPECT_TRUE(ticket) << ticket.error().to_string();
    if (ticket) EXPECT_TRUE(co_await *ticket);
  }
  static Task<> put_value(LsmPartition& partition, int i, std::string value, std::uint64_t expiry_ms = 0) {
    const StoredKey key = key_of(i);
    co_await write(partition, {.key = &key, .value = as_bytes(value), .expiry_ms = expiry_ms});
  }
  static Task<> put_all(LsmPartition& partition, int from, int to, char mark, int step = 1) {
    for (int i = from; i < to; i += step) co_await put_value(partition, i, value_of(i, mark));
  }
  static Task<> erase(LsmPartition& partition, int i) {
    const StoredKey key = key_of(i);
    co_await write(partition, {.key = &key, .value = {}, .kind = kv::Kind::erase});
  }
  static Task<> settle(LsmPartition& partition) {
    EXPECT_TRUE(co_await partition.flush());
    EXPECT_TRUE(co_await partition.settle_compaction());
  }
  static Task<Result<std::string>> read(LsmPartition& partition, int i, kv::ReadOptions options = {}) {
    const StoredKey key = key_of(i);
    const auto value = CO_TRY(co_await partition.get(key, options));
    co_return value ? std::string(as_text(value->bytes)) : std::string("(absent)");
  }
  static Task<> expect(LsmPartition& partition, int i, std::string value) {
    const auto found = co_await read(partition, i);
    EXPECT_TRUE(found) << i << ": " << found.error().to_string();
    if (found) EXPECT_TRUE(*found == value) << i << ": " << found->substr(0, 20);
  }
  static Task<> expect_all(LsmPartition& partition, int from, int to, char mark, int step = 1) {
    for (int i = from; i < to; i += step) co_await expect(partition, i, value_of(i, mark));
  }
  /// All items of a scan.
  static Task<std::vector<std::pair<std::string, std::string>>> scan(LsmPartition& partition,
                                                                     kv::ScanOptions options = {}) {
    std::vector<std::pair<std::string, std::string>> items;
    const auto cursor = partition.scan(options);
    while (true) {
      const auto more = co_await cursor->next();
      EXPECT_TRUE(more) << more.error().to_string();
      if (!more || !*more) co_return items;
      items.emplace_back(as_text(cursor->item().key), as_text(cursor->item().value));
    }
  }
  std::vector<std::string> tables() const {
    std::vector<std::string> result = disk_.files();
    std::erase_if(result, [](const std::string& file) { return !file.ends_with(".table"); });
    return result;
  }
};

TEST_F(ValueTest, StandInTablesOfTheirOwnThatCompactionLeavesAlone) {
  with_partition(options(), [this](LsmPartition& partition) -> Task<> {
    for (int round = 0; round < 4; ++round) {
      co_await put_all(partition, 100 * round, 100 * round + 100, 'a');
      co_await put_value(partition, 1000 + round, "small");
      co_await settle(partition);
    }
    const kv::PartitionStats stats = partition.stats();
    EXPECT_GT(stats.compactions, 0u);
    EXPECT_GE(stats.value_table_bytes, 400 * large);
    EXPECT_LE(stats.value_table_bytes, 400 * (large + 100) + stats.value_table_count * 8192);
    EXPECT_EQ(stats.table_entries, 404u);
    EXPECT_LE(stats.table_bytes, 200'000u);
    EXPECT_LE(stats.compaction_bytes, 1'000'000u);
    EXPECT_EQ(stats.moved_value_bytes, 0u);
    (void)co_await sleep_for(seconds(1));  // what was merged is removed in the background
    EXPECT_EQ(tables().size(), stats.table_count + stats.value_table_count);
    EXPECT_NEAR(stats.space_amplification(), 1, 0.2);  // a footer to each 64 KiB
    co_await expect_all(partition, 0, 400, 'a');
    co_await expect(partition, 1003, "small");
  });
  with_partition(options(), [](LsmPartition& partition) -> Task<> {
    co_await expect_all(partition, 0, 400, 'a');
    EXPECT_EQ((co_await scan(partition)).size(), 404u);
  });
}

TEST_F(ValueTest, AGetIsOneReadOfTheDeviceAndAMultiGetReadsAllAtOnce) {
  with_partition(options(), [this](LsmPartition& partition) -> Task<> {
    co_await put_all(partition, 0, 100, 'a');
    co_await settle(partition);
    EXPECT_TRUE(co_await read(partition, 17));  // its neighbours' block is in memory from here on
    kv::Receipt receipt;
    EXPECT_TRUE(co_await read(partition, 18, {.receipt = &receipt}));
    EXPECT_EQ(receipt.blocks_read, 1u);
    EXPECT_LE(receipt.bytes_read, 3 * page_bytes);

    world_->faults().add(
        {.code = OpCode::read, .path_part = ".table", .verdict = {.delay = milliseconds(10)}});
    std::vector<StoredKey> keys;
    for (int i = 0; i < 20; ++i) keys.push_back(key_of(i + 10));
    std::vector<kv::Read> reads(keys.size());
    for (std::size_t i = 0; i < keys.size(); ++i) reads[i].key = &keys[i];
    const Instant began = Shard::current().now();
    co_await partition.multi_get(reads);
    EXPECT_LT(Shard::current().now() - began, milliseconds(35));
    for (int i = 0; i < 20; ++i) {
      const auto& result = reads[static_cast<std::size_t>(i)].result;
      EXPECT_TRUE(result && *result && as_text((*result)->bytes) == value_of(i + 10, 'a')) << i;
    }
    world_->faults().clear();
  });
}

TEST_F(ValueTest, AScanReadsValuesAhead) {
  with_partition(options(), [this](LsmPartition& partition) -> Task<> {
    co_await put_all(partition, 0, 100, 'a');
    co_await put_value(partition, 30, "small");
    co_await settle(partition);
    EXPECT_EQ((co_await scan(partition)).size(), 100u);  // blocks are in memory from here on
    world_->faults().add(
        {.code = OpCode::read, .path_part = ".table", .verdict = {.delay = milliseconds(10)}});
    for (const Direction direction : {Direction::forward, Direction::backward}) {
      const Instant began = Shard::current().now();
      const auto items = co_await scan(partition, {.direction = direction});
      EXPECT_LT(Shard::current().now() - began, milliseconds(300));
      EXPECT_EQ(items.size(), 100u);
      for (std::size_t at = 0; at < items.size(); ++at) {
        const int i = static_cast<int>(direction == Direction::forward ? at : items.size() - 1 - at);
        EXPECT_EQ(items[at].first, as_text(key_of(i).bytes()));
        EXPECT_TRUE(items[at].second == (i == 30 ? "small" : value_of(i, 'a'))) << i;
      }
    }
    world_->faults().clear();
    kv::Receipt receipt;
    kv::ScanOptions two{.read = {.receipt = &receipt}, .limit = 2};
    const auto cursor = partition.scan(two);
    for (int i = 0; i < 2; ++i) EXPECT_TRUE((co_await cursor->next()).value_or(false));
    EXPECT_EQ(receipt.blocks_read, 2u);  // no more than what was asked for
    const StoredKey later = key_of(50);
    cursor->seek(later.bytes());
    EXPECT_TRUE((co_await cursor->next()).value_or(false));
    EXPECT_EQ(as_text(cursor->item().value), value_of(50, 'a'));
  });
}

TEST_F(ValueTest, WhatIsOverwrittenGivesItsSpaceBack) {
  for (const Goal goal : {Goal::balanced, Goal::write_heavy, Goal::read_heavy, Goal::space_bound}) {
    SCOPED_TRACE(static_cast<int>(goal));
    disk_ = sim::Disk();
    LsmOptions with = options();
    with.goal = goal;
    with.compression = CompressionPolicy::none;
    with.table_bytes = 128u << 10;
    with_partition(with, [&](LsmPartition& partition) -> Task<> {
      co_await put_all(partition, 0, 200, 'a');
      co_await settle(partition);
      for (char mark = 'b'; mark < 'f'; ++mark) {
        co_await put_all(partition, 0, 200, mark, 2);
        co_await settle(partition);
      }
      (void)co_await sleep_for(seconds(1));
      const kv::PartitionStats stats = partition.stats();
      EXPECT_GE(stats.live_value_bytes, 200 * large);
      // What tables of one goal or another have not merged yet is alive to them.
      EXPECT_LE(stats.live_value_bytes, 600 * large);
      EXPECT_LE(stats.value_table_bytes, stats.live_value_bytes * (goal == Goal::write_heavy ? 4 : 2) +
                                             stats.value_table_count * 8192);
      EXPECT_EQ(tables().size(), stats.table_count + stats.value_table_count);
      co_await expect_all(partition, 0, 200, 'e', 2);
      co_await expect_all(partition, 1, 200, 'a', 2);

      for (int i = 0; i < 200; ++i) co_await erase(partition, i);
      co_await settle(partition);
      (void)co_await sleep_for(seconds(1));
      EXPECT_EQ((co_await scan(partition)).size(), 0u);
      EXPECT_EQ(partition.stats().value_table_bytes, 0u);
      EXPECT_EQ(tables().size(), partition.stats().table_count);
    });
  }
}

TEST_F(ValueTest, AreMovedOutOfTablesThatAreMostlyGarbage) {
  LsmOptions with = options();
  with.goal = Goal::read_heavy;
  with.level0_tables = 1;
  with.level1_bytes = 8u << 20;  // all that is flushed is merged into the bottom
  with_partition(with, [](LsmPartition& partition) -> Task<> {
    co_await put_all(partition, 0, 100, 'a');
    co_await settle(partition);
    const std::uint64_t before = partition.stats().value_table_bytes;
    for (int i = 0; i < 100; ++i) {  // all but each fourth
      if (i % 4 != 0) co_await put_value(partition, i, "small now");
    }
    co_await settle(partition);
    const kv::PartitionStats stats = partition.stats();
    EXPECT_GE(stats.moved_value_bytes, 25 * large);
    EXPECT_LE(stats.moved_value_bytes, 26 * (large + 50));
    EXPECT_LT(stats.value_table_bytes, before / 3);
    EXPECT_EQ(stats.live_value_bytes, stats.moved_value_bytes);
    co_await expect_all(partition, 0, 100, 'a', 4);
  });
}

TEST_F(ValueTest, StayForSnapshotsCursorsAndPins) {
  LsmOptions with = options();
  with.level0_tables = 1;
  with.goal = Goal::read_heavy;
  with_partition(with, [this](LsmPartition& partition) -> Task<> {
    co_await put_all(partition, 0, 50, 'a');
    co_await settle(partition);
    auto snapshot = std::make_unique<kv::Snapshot>(partition);
    auto cursor = partition.scan({});
    EXPECT_TRUE((co_await cursor->next()).value_or(false));
    const StoredKey key = key_of(7);
    auto held = co_await partition.get(key);
    EXPECT_TRUE(held && *held);
    co_await put_all(partition, 0, 50, 'b');
    co_await settle(partition);
    EXPECT_EQ(as_text(cursor->item().value), value_of(0, 'a'));
    EXPECT_EQ(as_text((*held)->bytes), value_of(7, 'a'));
    for (int i = 0; i < 50; ++i) {
      const auto then = co_await read(partition, i, {.snapshot = snapshot.get()});
      EXPECT_TRUE(then && *then == value_of(i, 'a')) << i;
    }
    EXPECT_GE(partition.stats().live_value_bytes, 100 * large);

    snapshot.reset();
    co_await put_all(partition, 0, 1, 'b');
    co_await settle(partition);
    (void)co_await sleep_for(seconds(5));
    co_await settle(partition);
    for (int i = 1; i < 50; ++i) {  // the cursor's version has the old tables
      EXPECT_TRUE((co_await cursor->next()).value_or(false));
      EXPECT_EQ(as_text(cursor->item().value), value_of(i, 'a'));
    }
    EXPECT_EQ(as_text((*held)->bytes), value_of(7, 'a'));
    held = std::optional<kv::Value>();
    cursor.reset();
    (void)co_await sleep_for(seconds(5));
    EXPECT_LE(partition.stats().live_value_bytes, 51 * (large + 100));
    EXPECT_EQ(tables().size(), partition.stats().table_count + partition.stats().value_table_count);
    co_await expect_all(partition, 0, 50, 'b');
  });
}

TEST_F(ValueTest, AreWhatOperandsAreMergedOnto) {
  LsmOptions with = options();
  with.level0_tables = 4;
  with_partition(with, [](LsmPartition& partition) -> Task<> {
    co_await put_all(partition, 0, 10, 'a');
    EXPECT_TRUE(co_await partition.flush());
    for (int i = 0; i < 10; i += 2) {
      const StoredKey key = key_of(i);
      co_await write(partition, {.key = &key, .value = as_bytes("x"), .kind = kv::Kind::merge});
    }
    const auto check = [&]() -> Task<> {
      for (int i = 0; i < 10; ++i) co_await expect(partition, i, value_of(i, 'a') + (i % 2 == 0 ? ",x" : ""));
      for (const Direction direction : {Direction::forward, Direction::backward}) {
        const auto items = co_await scan(partition, {.direction = direction});
        EXPECT_EQ(items.size(), 10u);
        for (std::size_t at = 0; at < items.size(); ++at) {
          const int i = static_cast<int>(direction == Direction::forward ? at : 9 - at);
          EXPECT_TRUE(items[at].second == value_of(i, 'a') + (i % 2 == 0 ? ",x" : "")) << i;
        }
      }
    };
    co_await check();
    EXPECT_TRUE(co_await partition.flush());
    co_await check();
    for (int round = 0; round < 4; ++round) {
      co_await put_value(partition, 1000 + round, "small");
      co_await settle(partition);
    }
    for (int round = 0; round < 4; ++round) co_await erase(partition, 1000 + round);
    co_await settle(partition);
    co_await check();
    EXPECT_LE(partition.stats().table_entries, 14u);  // merged, and separated again
    EXPECT_LE(partition.stats().table_bytes, 40'000u);
  });
}

TEST_F(ValueTest, GoWhenTheyExpireOrTheirRangeIsErased) {
  LsmOptions with = options();
  with.goal = Goal::read_heavy;
  with.level1_bytes = 8u << 20;
  with.level0_tables = 1;
  with_partition(with, [this](LsmPartition& partition) -> Task<> {
    for (int i = 0; i < 40; ++i)
      co_await put_value(partition, i, value_of(i, 'a'), partition.now_ms() + 2000);
    for (int i = 40; i < 80; ++i) co_await put_value(partition, i, value_of(i, 'b'));
    co_await settle(partition);
    co_await expect(partition, 3, value_of(3, 'a'));
    (void)co_await sleep_for(seconds(3));
    co_await expect(partition, 3, "(absent)");
    const StoredKey first = key_of(40), end = key_of(70);
    EXPECT_TRUE(co_await *partition.erase_range(first.bytes(), end.bytes()));
    co_await expect(partition, 50, "(absent)");
    EXPECT_EQ((co_await scan(partition)).size(), 10u);
    // Both ends of the range are inside of a block, which only a merge with something looks at.
    for (const int i : {0, 79}) co_await put_value(partition, i, value_of(i, 'c'));
    co_await settle(partition);
    (void)co_await sleep_for(seconds(200));
    co_await settle(partition);
    EXPECT_EQ((co_await scan(partition)).size(), 11u);
    EXPECT_LE(partition.stats().live_value_bytes, 11 * (large + 100));
    EXPECT_LE(partition.stats().value_table_bytes, 20 * (large + 100) + 8192);

    const kv::Write clear{.key = nullptr, .value = {}, .kind = kv::Kind::clear};
    co_await write(partition, clear);
    co_await settle(partition);
    (void)co_await sleep_for(seconds(1));
    EXPECT_EQ(partition.stats().value_table_count, 0u);
    EXPECT_TRUE(tables().empty());
  });
}

TEST_F(ValueTest, AreReadInTransactions) {
  with_partition(options(), [](LsmPartition& partition) -> Task<> {
    co_await put_all(partition, 0, 3, 'a');
    co_await settle(partition);
    kv::Transaction step(partition);
    const StoredKey from = key_of(1), to = key_of(9);
    const auto value = co_await step.get(from);
    EXPECT_TRUE(value && *value);
    const std::string copy = value && *value ? std::string(as_text((*value)->bytes)) : "";
    step.put(to, as_bytes(copy));
    const auto ticket = step.commit(Durability::durable);
    EXPECT_TRUE(ticket && co_await *ticket);
    co_await expect(partition, 9, value_of(1, 'a'));
    co_await settle(partition);
    co_await expect(partition, 9, value_of(1, 'a'));
  });
}

TEST_F(ValueTest, AreFoundWhateverTheOptionSaysLater) {
  LsmOptions with = options();
  with.compression = CompressionPolicy::lz4;
  with_partition(with, [](LsmPartition& partition) -> Task<> {
    co_await put_all(partition, 0, 60, 'a');
    co_await settle(partition);
    EXPECT_GT(partition.stats().value_table_count, 0u);
    EXPECT_LT(partition.stats().value_table_bytes, 60 * large / 10);  // compressed
    co_await expect_all(partition, 0, 60, 'a');
  });
  with.separate_bytes = 0;
  with.goal = Goal::read_heavy;
  with.level0_tables = 1;
  with.level1_bytes = 8u << 20;
  with_partition(with, [](LsmPartition& partition) -> Task<> {
    co_await expect_all(partition, 0, 60, 'a');
    for (int i = 0; i < 60; ++i) {
      if (i % 4 != 0) co_await put_value(partition, i, "small now");
    }
    co_await settle(partition);
    EXPECT_EQ(partition.stats().value_table_count, 0u);  // what was alive stands with its keys
    co_await expect_all(partition, 0, 60, 'a', 4);
  });
}

TEST_F(ValueTest, DamageConcernsTheValuesThatItHits) {
  LsmOptions with = options();
  with.goal = Goal::read_heavy;
  with.level0_tables = 1;
  std::string file;
  with_partition(with, [&](LsmPartition& partition) -> Task<> {
    co_await put_all(partition, 0, 40, 'a');
    co_await settle(partition);
  });
  for (const std::string& path : tables()) {
    if (file.empty() || disk_.contents(path)->size() > disk_.contents(file)->size()) file = path;
  }
  ASSERT_EQ(disk_.flip_bit(file, 10 * (large + 34) + 100, 3), 0);
  with_partition(with, [&](LsmPartition& partition) -> Task<> {
    int damaged = 0;
    for (int i = 0; i < 40; ++i) {
      const auto found = co_await read(partition, i);
      if (found) EXPECT_EQ(*found, value_of(i, 'a'));
      if (!found) EXPECT_EQ(found.error().code, Errc::corrupt);
      damaged += found ? 0 : 1;
    }
    EXPECT_EQ(damaged, 1);
    for (int i = 0; i < 40; ++i) {  // its table is due to be emptied
      if (i % 4 != 2) co_await put_value(partition, i, "small now");
    }
    co_await settle(partition);
    co_await put_all(partition, 100, 140, 'b');
    co_await settle(partition);
    EXPECT_FALSE(partition.stats().compaction_error);
    co_await expect_all(partition, 100, 140, 'b');
    for (int i = 2; i < 40; i += 4) {
      const auto found = co_await read(partition, i);
      if (i != 10) EXPECT_TRUE(found && *found == value_of(i, 'a')) << i;
      if (i == 10) EXPECT_FALSE(found);
    }
  });
}

/// Erases leave value tables that are mostly garbage; what is alive in them is moved with what the reserve
/// has.
TEST_F(ValueTest, OnAFullDiskCollectionBringsSpaceBack) {
  LsmOptions with = options();
  with.memtable_bytes = 512u << 10;
  with.table_bytes = 256u << 10;
  with_partition(with, [this](LsmPartition& partition) -> Task<> {
    disk_.set_capacity(16u << 20);
    int stored = 0;
    for (bool written = true; written && stored < 10'000; ++stored) {
      const StoredKey key = key_of(stored);
      const std::string value = value_of(stored, 'a');
      const auto ticket = partition.append({.key = &key, .value = as_bytes(value)});
      written = ticket && co_await *ticket;
    }
    --stored;
    EXPECT_GT(stored, 1000);
    EXPECT_LT(stored, 10'000);
    for (int i = 0; i < stored; ++i) {
      if (i % 4 != 0) co_await erase(partition, i);
    }
    (void)co_await sleep_for(seconds(10));
    (void)co_await partition.flush();
    (void)co_await partition.settle_compaction();
    (void)co_await sleep_for(seconds(10));
    EXPECT_FALSE(partition.stop_reason());
    EXPECT_GT(partition.stats().moved_value_bytes, 0u);
    EXPECT_LE(partition.stats().value_table_bytes, static_cast<std::uint64_t>(stored) * large * 6 / 10);
    co_await put_value(partition, stored, value_of(stored, 'b'));
    co_await expect(partition, stored, value_of(stored, 'b'));
    co_await expect_all(partition, 0, stored, 'a', 4);
  });
}

}  // namespace
}  // namespace ashlar::lsm
