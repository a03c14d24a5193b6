/// Jobs that are divided between shards: a store holds the same however its jobs were divided, whose time
/// they take, and what ends them.

#include <gtest/gtest.h>

#include <map>

#include "ashlar/base/random.h"
#include "ashlar/kv/lsm/helpers.h"
#include "ashlar/kv/lsm/store_testing.h"
#include "ashlar/kv/lsm/test_seed.h"
#include "ashlar/runtime/shard/runtime.h"
#include "ashlar/runtime/sync/sleep.h"

namespace ashlar::lsm {
namespace {

using kv::PartitionId;
using std::chrono::milliseconds;

using Contents = std::map<std::string, std::string>;  // by stored key

struct Shards {
  unsigned serving, set_aside;
};

class JobPartsTest : public testing::StoreTest {
 protected:
  static LsmOptions options(unsigned set_aside) {
    LsmOptions options = testing::small_options();
    options.partitions = 1;
    options.memtable_bytes = 4u << 20;  // flushed when the test says so
    options.merge_operator = "append:,";
    options.background_shards = set_aside;
    return options;
  }
  static StoredKey key(int i) { return StoredKey("{t}" + std::to_string(100'000 + i)); }

  static Task<> write(LsmPartition& partition, kv::Write write) {
    const auto ticket = partition.append(write);
    EXPECT_TRUE(ticket && co_await *ticket);
  }
  static Task<> put(LsmPartition& partition, int i, std::string value) {
    const StoredKey stored = key(i);
    co_await write(partition, {.key = &stored, .value = as_bytes(value)});
  }
  static Task<> flush(LsmPartition& partition) { EXPECT_TRUE(co_await partition.flush()); }

  /// Writes of every kind, as `random` will have them.
  static Task<> churn(LsmPartition& partition, Random& random, Contents& contents) {
    for (int i = 0; i < 1500; ++i) {
      const StoredKey stored = key(static_cast<int>(random.below(1000)));
      const std::string name(as_text(stored.bytes()));
      const auto kind = random.below(100);
      if (kind == 0) {
        const StoredKey end = key(static_cast<int>(random.below(1100)));
        if (compare(stored.bytes(), end.bytes()) >= 0) continue;
        const auto ticket = partition.erase_range(stored.bytes(), end.bytes());
        EXPECT_TRUE(ticket && co_await *ticket);
        contents.erase(contents.lower_bound(name), contents.lower_bound(std::string(as_text(end.bytes()))));
      } else if (kind < 15) {
        co_await write(partition, {.key = &stored, .value = {}, .kind = kv::Kind::erase});
        contents.erase(name);
      } else if (kind < 25) {
        const std::string operand = std::to_string(i);
        co_await write(partition, {.key = &stored, .value = as_bytes(operand), .kind = kv::Kind::merge});
        std::string& value = contents[name];
        value += value.empty() ? operand : "," + operand;
      } else {
        const std::string value = std::to_string(i) + std::string(1 + random.below(400), 'v');
        co_await write(partition, {.key = &stored, .value = as_bytes(value)});
        contents[name] = value;
      }
    }
    co_await flush(partition);
    EXPECT_TRUE(co_await partition.settle_compaction());
  }
  static Task<> expect_all(LsmPartition& partition, const Contents& contents) {
    const auto cursor = partition.scan({});
    auto expected = contents.begin();
    for (;; ++expected) {
      const auto more = co_await cursor->next();
      EXPECT_TRUE(more) << more.error().to_string();
      if (!more || !*more || expected == contents.end()) {
        EXPECT_TRUE(more && !*more && expected == contents.end());
        co_return;
      }
      EXPECT_EQ(as_text(cursor->item().key), expected->first);
      EXPECT_EQ(as_text(cursor->item().value), expected->second);
      if (as_text(cursor->item().value) != expected->second) co_return;
    }
  }
};

TEST_F(JobPartsTest, AStoreHoldsTheSameHoweverItsJobsAreDivided) {
  for (const Shards shards : {Shards{1, 0}, Shards{1, 1}, Shards{1, 2}, Shards{3, 0}, Shards{2, 1}}) {
    for (const bool separate : {false, true}) {
      for (const bool partitioned : {false, true}) {
        SCOPED_TRACE(::testing::Message() << shards.serving << " shards serve, " << shards.set_aside
                                          << " are set aside, " << separate << partitioned);
        Random random(test_seed());
        Contents contents;
        LsmOptions with = options(shards.set_aside);
        with.separate_bytes = separate ? 300 : 0;
        with.flat_index_bytes = partitioned ? 0 : with.flat_index_bytes;
        disk_ = sim::Disk();
        const auto expect_divided = [&](const kv::PartitionStats& stats) {
          EXPECT_GT(stats.compactions, 0u);
          if (shards.serving == 1 && shards.set_aside == 0) {
            EXPECT_LE(stats.compaction_parts, stats.compactions);
            EXPECT_EQ(stats.helped_parts, 0u);
          } else if (shards.set_aside != 0) {
            EXPECT_GT(stats.helped_parts, 0u);
            EXPECT_EQ(stats.helped_parts, stats.compaction_parts);
          }
          const bool alone = shards.serving == 1 && shards.set_aside == 0;
          if (alone || separate) return;  // without their values, all keys are in one table
          EXPECT_GT(stats.compaction_parts, stats.compactions);
          EXPECT_GT(stats.helped_parts, 0u);
        };
        EXPECT_TRUE(with_store(shards.serving, with, [&](LsmStore& store) -> Task<> {
          LsmPartition& partition = store.partition(PartitionId{0});
          for (int round = 0; round < 4; ++round) {
            co_await churn(partition, random, contents);
            co_await expect_all(partition, contents);
          }
          for (int i = 0; i < 1000; ++i) {
            const std::string value = std::to_string(i) + std::string(250, 'w');
            co_await put(partition, i, value);
            contents[std::string(as_text(key(i).bytes()))] = value;
          }
          EXPECT_TRUE(co_await partition.compact_all());
          expect_divided(partition.stats());
          co_await expect_all(partition, contents);
          const kv::PartitionStats stats = partition.stats();
          EXPECT_EQ(stats.failed_jobs, 0u);
          EXPECT_LE(stats.table_count, 2 * (stats.table_bytes / with.table_bytes + 1));
        }));
        EXPECT_TRUE(with_store(1, with, [&](LsmStore& store) -> Task<> {
          co_await expect_all(store.partition(PartitionId{0}), contents);
        }));
        if (HasFailure()) return;
      }
    }
  }
}

TEST_F(JobPartsTest, ClosingEndsThePartsThatOthersWorkOn) {
  const auto fill = [](LsmPartition& partition, const std::string& tag) -> Task<> {
    for (int i = 0; i < 1000; ++i) co_await put(partition, i, tag + std::string(300, 'v'));
    co_await flush(partition);
  };
  const LsmOptions with = options(2);
  EXPECT_TRUE(with_store(1, with, [&](LsmStore& store) -> Task<> {
    LsmPartition& partition = store.partition(PartitionId{0});
    co_await fill(partition, "a");
    world_->faults().add(
        {.code = OpCode::read, .path_part = ".table", .verdict = {.delay = milliseconds(500)}});
    co_await fill(partition, "b");
    while (partition.stats().compactions_running == 0) EXPECT_TRUE(co_await sleep_for(milliseconds(1)));
    (void)co_await sleep_for(milliseconds(100));
  }));
  EXPECT_TRUE(with_store(1, with, [&](LsmStore& store) -> Task<> {
    LsmPartition& partition = store.partition(PartitionId{0});
    EXPECT_EQ(partition.stats().levels[0].runs, 2u) << "the job was not waited for";
    EXPECT_TRUE(co_await partition.settle_compaction());
    EXPECT_EQ(partition.stats().levels[0].runs, 0u);
    EXPECT_EQ((co_await get(store, "{t}100007")).value_or(std::nullopt).value_or(""),
              "b" + std::string(300, 'v'));
  }));
}

Task<Result<>> find_helpers(Helpers* helpers, std::atomic<bool>* found) {
  helpers->measure();
  const std::vector<unsigned> shards{1, 2};
  for (const unsigned shard : shards) co_await invoke(ShardId(shard), [&] { helpers->measure(); });
  (void)co_await sleep_for(milliseconds(150));  // over which they are measured
  {
    const auto idle = co_await helpers->take_idle();
    EXPECT_TRUE(idle && idle->shard() == ShardId(2)) << "the other one is busy";
    EXPECT_FALSE(co_await helpers->take_idle()) << "and that one has a part now";
  }
  EXPECT_TRUE(co_await helpers->take_idle()) << "it was given back";
  found->store(true);
  co_return Result<>{};
}

/// Busy, and answering all the same.
Task<Result<>> be_busy(const std::atomic<bool>* enough) {
  while (!enough->load()) co_await yield();
  co_return Result<>{};
}

Task<Result<>> rest() {
  co_return Result<>{};
}

TEST(Helpers, AreThoseThatHaveTime) {
  Helpers helpers(3, 0, 3);
  std::atomic<bool> found{false};
  RuntimeOptions options;
  options.shards = 3;
  options.pin = false;
  Runtime runtime(options);
  const Result<> done = runtime.run([&](Shard& shard) {
    switch (shard.id().value) {
      case 0: return find_helpers(&helpers, &found);
      case 1: return be_busy(&found);
      default: return rest();
    }
  });
  EXPECT_TRUE(done) << done.error().to_string();
}

TEST(Helpers, ThoseSetAsideShareTheParts) {
  Helpers helpers(2, 2, 2);
  const HelpTurn first = helpers.take_set_aside();
  {
    const HelpTurn second = helpers.take_set_aside();
    EXPECT_NE(first.shard(), second.shard());
    EXPECT_GE(std::min(first.shard().value, second.shard().value), 2u);
  }
  EXPECT_NE(helpers.take_set_aside().shard(), first.shard());
  std::vector<HelpTurn> all;
  while (auto turn = helpers.take_free_set_aside()) all.push_back(*std::move(turn));
  EXPECT_EQ(all.size(), 3u) << "each has two";
  EXPECT_GE(helpers.take_set_aside().shard().value, 2u) << "one there is always";
  EXPECT_FALSE(Helpers().any(ShardId(0)));
  EXPECT_FALSE(Helpers(1, 0, 1).any(ShardId(0))) << "alone";
  EXPECT_TRUE(Helpers(2, 0, 1).any(ShardId(1))) << "the other one is not driven";
}

}  // namespace
}  // namespace ashlar::lsm
