/// What a partition does by itself: repeats what failed, gives space back without new writes, moves tables.

#include <gtest/gtest.h>

#include "ashlar/kv/lsm/store_testing.h"
#include "ashlar/kv/lsm/test_partition.h"
#include "ashlar/runtime/ops/file.h"
#include "ashlar/runtime/sync/sleep.h"

namespace ashlar::lsm {
namespace {

using kv::Durability;
using kv::PartitionId;
using std::chrono::seconds;

class BackgroundTest : public testing::StoreTest {
 protected:
  using PartitionBody = std::function<Task<>(LsmPartition&)>;

  static LsmOptions options() {
    LsmOptions options = testing::small_options();
    options.partitions = 1;
    options.memtable_bytes = 1u << 20;  // flushed when the test says so
    options.level0_tables = 4;
    return options;
  }
  void with_partition(const LsmOptions& options, const PartitionBody& body) {
    const Result<> done = with_store(
        1, options, [&](LsmStore& store) -> Task<> { co_await body(store.partition(PartitionId{0})); });
    EXPECT_TRUE(done) << done.error().to_string();
  }

  /// So many keys of one slot, which is where `tag` leads.
  static Task<> put_keys(LsmPartition& partition, std::string tag, int count, std::uint64_t expiry_ms = 0) {
    const std::string value(100, 'v');
    kv::Ticket last;
    for (int i = 0; i < count; ++i) {
      const StoredKey key(key_of(tag, i));
      const auto ticket = partition.append({.key = &key, .value = as_bytes(value), .expiry_ms = expiry_ms},
                                           Durability::durable);
      EXPECT_TRUE(ticket);
      if (ticket) last = *ticket;
    }
    EXPECT_TRUE(co_await last);
  }
  static Task<> erase_keys(LsmPartition& partition, std::string tag, int count) {
    kv::Ticket last;
    for (int i = 0; i < count; ++i) {
      const StoredKey key(key_of(tag, i));
      const auto ticket = partition.append({.key = &key, .value = {}, .kind = kv::Kind::erase});
      EXPECT_TRUE(ticket);
      if (ticket) last = *ticket;
    }
    EXPECT_TRUE(co_await last);
  }
  static Task<std::size_t> count_keys(LsmPartition& partition) {
    const auto cursor = partition.scan({});
    std::size_t count = 0;
    while (true) {
      const auto more = co_await cursor->next();
      EXPECT_TRUE(more) << more.error().to_string();
      if (!more || !*more) co_return count;
      ++count;
    }
  }
  static std::string key_of(const std::string& tag, int i) {
    return "{" + tag + "}" + std::to_string(100000 + i);
  }
  std::vector<std::string> tables() const {
    std::vector<std::string> result = disk_.files();
    std::erase_if(result, [](const std::string& file) { return !file.ends_with(".table"); });
    return result;
  }
};

/// What writers wait for the log's device is told apart from what the engine makes them wait.
TEST_F(BackgroundTest, WaitsForTheLogsDeviceAreTheDevices) {
  LsmOptions slow = options();
  slow.memtable_bytes = 16u << 20;
  slow.log.segment_bytes = 8u << 20;
  slow.log.memory_bytes = 4u << 20;
  with_partition(slow, [this](LsmPartition& partition) -> Task<> {
    co_await put_keys(partition, "a", 10);
    EXPECT_EQ(partition.stats().longest_log_wait_ns, 0u);
    world_->faults().add({.code = OpCode::write, .path_part = ".log", .verdict = {.delay = seconds(2)}});
    const std::string value(1000, 'v');
    kv::Ticket last;
    for (int i = 0; i < 2000; ++i) {  // more than may be queued: a quarter of the log's memory
      const StoredKey key(key_of("b", i));
      const auto ticket = partition.append({.key = &key, .value = as_bytes(value)}, Durability::none);
      EXPECT_TRUE(ticket);
      if (ticket) last = *ticket;
    }
    EXPECT_EQ(partition.stats().stalls, 1u);
    EXPECT_TRUE(co_await last);
    EXPECT_GE(partition.stats().longest_log_wait_ns, 2'000'000'000u);
    EXPECT_EQ(partition.stats().longest_stall_ns, 0u);
    EXPECT_EQ(partition.stats().longest_delay_ns, 0u);
    world_->faults().clear();
  });
}

TEST_F(BackgroundTest, AFailingFlushPausesLongerEachTimeAndRecovers) {
  with_partition(options(), [this](LsmPartition& partition) -> Task<> {
    co_await put_keys(partition, "a", 10);
    world_->faults().add({.path_part = ".table", .verdict = {.error = EIO}});
    EXPECT_FALSE(co_await partition.flush());
    (void)co_await sleep_for(seconds(60));
    const kv::PartitionStats failing = partition.stats();
    EXPECT_GE(failing.failed_jobs, 5u);
    EXPECT_LE(failing.failed_jobs, 12u);
    EXPECT_TRUE(failing.flush_error && failing.flush_error->code == Errc::io);
    EXPECT_FALSE(failing.compaction_error);

    world_->faults().clear();
    (void)co_await sleep_for(seconds(30));
    EXPECT_FALSE(partition.stats().flush_error);
    EXPECT_EQ(partition.stats().table_count, 1u);
    co_await put_keys(partition, "b", 10);
    EXPECT_TRUE(co_await partition.flush());
  });
}

TEST_F(BackgroundTest, ADamagedTableStopsCompactionAndNothingElse) {
  LsmOptions with = options();
  with.level0_tables = 2;
  with.level0_tables_max = 4;
  with_partition(with, [this](LsmPartition& partition) -> Task<> {
    co_await put_keys(partition, "a", 100);
    EXPECT_TRUE(co_await partition.flush());
    EXPECT_EQ(tables().size(), 1u);
    EXPECT_EQ(disk_.flip_bit(tables().front(), 1000, 3), 0);
    co_await put_keys(partition, "b", 100);
    co_await put_keys(partition, "a", 1);  // so that the two must be merged
    EXPECT_TRUE(co_await partition.flush());
    const Result<> settled = co_await partition.settle_compaction();
    EXPECT_TRUE(!settled && settled.error().code == Errc::corrupt);
    (void)co_await sleep_for(seconds(60));
    EXPECT_EQ(partition.stats().failed_jobs, 1u);
    EXPECT_TRUE(partition.stats().compaction_error->code == Errc::corrupt);

    const StoredKey good(key_of("b", 1)), bad(key_of("a", 1));
    EXPECT_TRUE((co_await partition.get(good)).value().has_value());
    EXPECT_EQ((co_await partition.get(bad)).error().code, Errc::corrupt);
    for (int flushes = 0; flushes < 2; ++flushes) {
      co_await put_keys(partition, "c", 10);
      EXPECT_TRUE(co_await partition.flush());
    }
    // Level 0 cannot become shorter: what grows is refused with the reason, nobody waits for it.
    const auto refused = partition.append({.key = &good, .value = as_bytes("more")});
    EXPECT_TRUE(!refused && refused.error().code == Errc::corrupt);
    co_await erase_keys(partition, "b", 1);

    const auto cleared = partition.append({.value = {}, .kind = kv::Kind::clear});
    EXPECT_TRUE(cleared && co_await *cleared);
    (void)co_await sleep_for(seconds(1));
    EXPECT_EQ(partition.stats().table_count, 0u);
    EXPECT_FALSE(partition.stats().compaction_error);
    co_await put_keys(partition, "a", 100);
    EXPECT_EQ(co_await count_keys(partition), 100u);
  });
}

TEST_F(BackgroundTest, ASnapshotKeepsWhatItsOwnClockHasNotSeenExpire) {
  with_partition(options(), [this](LsmPartition& partition) -> Task<> {
    const std::uint64_t began_ms = partition.now_ms();
    const StoredKey key("expires");
    const auto put =
        partition.append({.key = &key, .value = as_bytes("value"), .expiry_ms = began_ms + 60'000});
    EXPECT_TRUE(put && co_await *put);
    world_->environment().step_wall(100'000);
    const kv::Snapshot later(partition);
    world_->environment().step_wall(-100'000);
    const kv::Snapshot earlier(partition);
    world_->environment().step_wall(100'000);
    EXPECT_TRUE(co_await partition.flush());
    EXPECT_FALSE((co_await partition.get(key, {.snapshot = &later})).value().has_value());
    EXPECT_TRUE((co_await partition.get(key, {.snapshot = &earlier})).value().has_value());
  });
}

TEST_F(BackgroundTest, TheEndOfASnapshotStartsWhatItKeptFromBeingDropped) {
  with_partition(options(), [](LsmPartition& partition) -> Task<> {
    co_await put_keys(partition, "a", 100);
    EXPECT_TRUE(co_await partition.flush());
    std::optional<kv::Snapshot> snapshot(partition);
    const auto cleared = partition.append({.value = {}, .kind = kv::Kind::clear});
    EXPECT_TRUE(cleared && co_await *cleared);
    (void)co_await sleep_for(seconds(5));
    EXPECT_EQ(partition.stats().table_count, 1u);
    snapshot.reset();
    (void)co_await sleep_for(seconds(1));
    EXPECT_EQ(partition.stats().table_count, 0u);
  });
}

TEST_F(BackgroundTest, AClosedPartitionSaysSo) {
  sim::World world({.environment = {.seed = 1}}, disk_);
  static const LsmOptions with = options();
  static const auto life = []() -> Task<> {
    EXPECT_TRUE(Shard::current().backend().make_directory("/one"));
    EXPECT_TRUE(co_await create_partition("/one", with, 7));
    ShardContext context(with, 1u << 20);
    auto opened = co_await open_partition("/one", with, context, 7);
    EXPECT_TRUE(opened);
    if (!opened) co_return;
    LsmPartition& partition = **opened;
    const StoredKey key("key");
    const auto put = partition.append({.key = &key, .value = as_bytes("value")});
    EXPECT_TRUE(put && co_await *put);
    EXPECT_TRUE(co_await partition.close());
    {
      const epoch::Guard guard;
      kv::Peek found;
      EXPECT_FALSE(partition.peek(key, Durability::durable, found));
    }
    EXPECT_EQ((co_await partition.get(key)).error().code, Errc::closed);
    EXPECT_EQ((co_await partition.scan({})->next()).error().code, Errc::closed);
    EXPECT_EQ(partition.append({.key = &key, .value = {}}).error().code, Errc::closed);
    EXPECT_EQ(partition.stats().table_count, 0u);
    opened->reset();
  };
  world.spawn(0, world.on(0, [] { return life(); }));
  EXPECT_EQ(world.run_to_end(), sim::World::Outcome::done) << world.report();
}

TEST_F(BackgroundTest, WhatExpiresGivesItsSpaceBackByItself) {
  with_partition(options(), [](LsmPartition& partition) -> Task<> {
    co_await put_keys(partition, "stays", 100);
    co_await put_keys(partition, "goes", 300, partition.now_ms() + 3'600'000);
    EXPECT_TRUE(co_await partition.flush());
    EXPECT_TRUE(co_await partition.settle_compaction());
    (void)co_await sleep_for(std::chrono::minutes(55));
    EXPECT_EQ(partition.stats().table_entries, 400u);
    (void)co_await sleep_for(std::chrono::minutes(6));
    EXPECT_EQ(partition.stats().table_entries, 100u);
    EXPECT_EQ(co_await count_keys(partition), 100u);
    (void)co_await sleep_for(std::chrono::hours(2));
    EXPECT_LE(partition.stats().compactions, 2u);
  });
}

TEST_F(BackgroundTest, ATableOfDifferentExpiriesIsRewrittenAFewTimes) {
  with_partition(options(), [](LsmPartition& partition) -> Task<> {
    const std::uint64_t began_ms = partition.now_ms();
    for (int minute = 0; minute < 100; ++minute) {
      co_await put_keys(partition, std::to_string(minute), 20,
                        began_ms + 60'000 * static_cast<std::uint64_t>(minute + 5));
    }
    EXPECT_TRUE(co_await partition.flush());
    for (int quarter = 1; quarter < 4; ++quarter) {
      (void)co_await sleep_for(std::chrono::minutes(25));
      EXPECT_LE(partition.stats().table_entries, 2000u - static_cast<unsigned>(quarter - 1) * 400) << quarter;
    }
    (void)co_await sleep_for(std::chrono::minutes(35));
    EXPECT_EQ(partition.stats().table_count, 0u);
    EXPECT_LE(partition.stats().compactions, 30u);
  });
}

TEST_F(BackgroundTest, ACompactionThatGetsNowhereIsSeen) {
  with_partition(options(), [this](LsmPartition& partition) -> Task<> {
    for (int flushes = 0; flushes < 4; ++flushes) {
      if (flushes == 3)
        world_->faults().add(
            {.code = OpCode::read, .path_part = ".table", .nth = 6, .verdict = {.delay = seconds(300)}});
      co_await put_keys(partition, "a", 500);
      EXPECT_TRUE(co_await partition.flush());
    }
    EXPECT_FALSE(partition.stats().compaction_stuck);
    (void)co_await sleep_for(seconds(150));
    EXPECT_TRUE(partition.stats().compaction_stuck);
    EXPECT_EQ(partition.stats().compactions_running, 1u);
    (void)co_await sleep_for(seconds(300));
    EXPECT_FALSE(partition.stats().compaction_stuck);
    EXPECT_EQ(partition.stats().table_entries, 500u);
  });
}

TEST_F(BackgroundTest, ErasesOfAQuietPartitionGiveSpaceBack) {
  LsmOptions with = options();
  with_partition(with, [](LsmPartition& partition) -> Task<> {
    co_await put_keys(partition, "a", 300);
    EXPECT_TRUE(co_await partition.flush());
    co_await erase_keys(partition, "a", 200);
    EXPECT_TRUE(co_await partition.flush());
    EXPECT_TRUE(co_await partition.settle_compaction());
    EXPECT_EQ(partition.stats().table_entries, 100u);
    EXPECT_EQ(co_await count_keys(partition), 100u);
  });
}

TEST_F(BackgroundTest, ATableThatMeetsNothingMovesAsItIs) {
  LsmOptions with = options();
  with.goal = Goal::read_heavy;
  with.level0_tables = 1;
  with_partition(with, [this](LsmPartition& partition) -> Task<> {
    for (const char* tag : {"a", "b", "c"}) {
      co_await put_keys(partition, tag, 100);
      EXPECT_TRUE(co_await partition.flush());
      EXPECT_TRUE(co_await partition.settle_compaction());
    }
    EXPECT_EQ(partition.stats().moves, 3u);
    EXPECT_EQ(partition.stats().compaction_bytes, 0u);
    EXPECT_EQ(tables().size(), 3u);
    EXPECT_EQ(co_await count_keys(partition), 300u);

    co_await put_keys(partition, "b", 50);  // meets something
    EXPECT_TRUE(co_await partition.flush());
    EXPECT_TRUE(co_await partition.settle_compaction());
    EXPECT_EQ(partition.stats().moves, 3u);
    EXPECT_GT(partition.stats().compaction_bytes, 0u);
    EXPECT_EQ(co_await count_keys(partition), 300u);

    co_await put_keys(partition, "d", 50);
    co_await put_keys(partition, "e", 50, partition.now_ms() + 1);  // has expired: a rewrite drops it
    (void)co_await sleep_for(seconds(1));
    EXPECT_TRUE(co_await partition.flush());
    EXPECT_TRUE(co_await partition.settle_compaction());
    EXPECT_EQ(partition.stats().moves, 3u);
    EXPECT_EQ(partition.stats().table_entries, 350u);
  });
  with_partition(with, [](LsmPartition& partition) -> Task<> {  // the manifest says the same
    EXPECT_EQ(co_await count_keys(partition), 350u);
  });
}

}  // namespace
}  // namespace ashlar::lsm
