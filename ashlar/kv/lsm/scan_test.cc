/// Scans over tables and memtables: against a sorted map, what they read from the device, and what they leave
/// in the cache.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "ashlar/base/random.h"
#include "ashlar/kv/lsm/store_testing.h"
#include "ashlar/kv/lsm/test_partition.h"
#include "ashlar/kv/lsm/test_seed.h"

namespace ashlar::lsm {
namespace {

using kv::Direction;
using Contents = std::map<std::string, std::string>;  // by stored key

class ScanTest : public ::testing::Test {
 protected:
  using Body = std::function<Task<>(LsmPartition&, BlockCache&)>;

  static LsmOptions options() {
    LsmOptions options = testing::small_options();
    options.memtable_bytes = 4u << 20;  // flushed when the test says so
    options.level0_tables = 20;         // and not merged
    return options;
  }
  void with_partition(LsmOptions options, std::uint64_t cache_bytes, const Body& body) {
    sim::World world({.environment = {.seed = test_seed()}}, disk_);
    world.spawn(0, world.on(0, [&] { return run(options, cache_bytes, &body); }));
    EXPECT_EQ(world.run_to_end(), sim::World::Outcome::done) << world.report();
  }

  static std::string stored(int i) {
    char text[32];
    std::snprintf(text, sizeof text, "{s}key-%06d", i);
    return std::string(as_text(StoredKey(std::string_view(text)).bytes()));
  }
  static kv::Ticket put(LsmPartition& partition, const std::string& key, std::string_view value,
                        kv::Kind kind = kv::Kind::put) {
    const StoredKey stored = StoredKey::from_stored(as_bytes(key));
    const auto ticket = partition.append({.key = &stored, .value = as_bytes(value), .kind = kind});
    EXPECT_TRUE(ticket);
    return *ticket;
  }
  static Task<> fill(LsmPartition& partition, int keys) {
    kv::Ticket last;
    for (int i = 0; i < keys; ++i) last = put(partition, stored(i), std::string(100, 'v'));
    EXPECT_TRUE(co_await last);
    EXPECT_TRUE(co_await partition.flush());
  }
  static std::uint64_t blocks_read(const BlockCache& cache) {
    return cache.counters().fills + cache.counters().loose;
  }
  static Task<int> walk(kv::Cursor& cursor, int items) {
    int count = 0;
    while (count < items) {
      const auto more = co_await cursor.next();
      EXPECT_TRUE(more) << more.error().to_string();
      if (!more || !*more) break;
      ++count;
    }
    co_return count;
  }

  sim::Disk disk_;

 private:
  static Task<> run(LsmOptions options, std::uint64_t cache_bytes, const Body* body) {
    ShardContext context(options, cache_bytes);
    EXPECT_TRUE(Shard::current().backend().make_directory("/data"));
    EXPECT_TRUE(co_await create_partition("/data", options, 0));
    auto partition = co_await open_partition("/data", options, context, 0);
    EXPECT_TRUE(partition);
    if (!partition) co_return;
    co_await (*body)(**partition, context.cache());
    EXPECT_TRUE(co_await (*partition)->close());
  }
};

/// What of `model` a scan with these options shows; `from`: a key that it sought, or nothing.
std::vector<std::pair<std::string, std::string>> expected(const Contents& model,
                                                          const kv::ScanOptions& options,
                                                          std::string_view from) {
  std::vector<std::pair<std::string, std::string>> items;
  for (const auto& [key, value] : model) {
    if (key < as_text(options.first) || (!options.last.empty() && key >= as_text(options.last))) continue;
    if (!key.starts_with(as_text(options.prefix))) continue;
    if (!from.empty() && (key < from) == (options.direction == Direction::forward)) continue;
    items.emplace_back(key, value);
  }
  if (options.direction == Direction::backward) std::ranges::reverse(items);
  return items;
}

Task<> expect_items(kv::Cursor& cursor, std::vector<std::pair<std::string, std::string>> items,
                    std::size_t most) {
  for (std::size_t i = 0; i < most; ++i) {
    const auto more = co_await cursor.next();
    EXPECT_TRUE(more);
    if (!more) co_return;
    EXPECT_EQ(*more, i < items.size());
    if (!*more || i >= items.size()) co_return;
    EXPECT_EQ(as_text(cursor.item().key), items[i].first);
    EXPECT_EQ(as_text(cursor.item().value), items[i].second);
  }
}

TEST_F(ScanTest, AgreesWithASortedMapWithBoundsPrefixesAndSeeks) {
  const auto body = [](LsmPartition& partition, BlockCache&) -> Task<> {
    Random random(test_seed());
    Contents model;
    for (int table = 0; table < 6; ++table) {
      kv::Ticket last;
      for (int i = 0; i < 600; ++i) {
        const std::string key = stored(static_cast<int>(random.below(2000)));
        if (random.one_in(5)) {
          last = put(partition, key, {}, kv::Kind::erase);
          model.erase(key);
        } else {
          const std::string value(random.below(120), static_cast<char>('a' + table));
          last = put(partition, key, value);
          model[key] = value;
        }
      }
      EXPECT_TRUE(co_await last);
      if (table != 5) EXPECT_TRUE(co_await partition.flush());
    }
    for (int scan = 0; scan < 300 && !HasFailure(); ++scan) {
      const std::string a = stored(static_cast<int>(random.below(2200)));
      const std::string b = stored(static_cast<int>(random.below(2200)));
      const std::string prefix = a.substr(0, a.size() - random.below(4));
      kv::ScanOptions options;
      if (random.one_in(2)) options.first = as_bytes(std::min(a, b));
      if (random.one_in(2)) options.last = as_bytes(std::max(a, b));
      if (random.one_in(3)) options.prefix = as_bytes(prefix);
      options.direction = random.one_in(2) ? Direction::forward : Direction::backward;
      options.limit = random.below(100);
      options.read.fill_cache = !random.one_in(3);
      const auto cursor = partition.scan(options);
      co_await expect_items(*cursor, expected(model, options, {}), random.below(500));
      for (int seek = 0; seek < 3; ++seek) {
        const std::string to = stored(static_cast<int>(random.below(2200)));
        cursor->seek(as_bytes(to));
        co_await expect_items(*cursor, expected(model, options, to), random.below(200));
      }
    }
  };
  with_partition(options(), 64u << 10, body);
}

TEST_F(ScanTest, ReadsNoMoreThanItsBoundsAndItsLimitAskFor) {
  const auto body = [](LsmPartition& partition, BlockCache& cache) -> Task<> {
    co_await fill(partition, 10'000);  // some 350 blocks of 30 entries
    for (const auto direction : {Direction::forward, Direction::backward}) {
      for (const int length : {10, 100, 1000}) {
        const std::string first = stored(5000), last = stored(5000 + length);
        std::uint64_t before = blocks_read(cache);
        const auto cursor = partition.scan({.first = as_bytes(first),
                                            .last = as_bytes(last),
                                            .direction = direction,
                                            .read = {.fill_cache = false}});
        EXPECT_EQ(co_await walk(*cursor, 1'000'000), length);
        const auto most = static_cast<std::uint64_t>(length / 25 + 2);
        EXPECT_LE(blocks_read(cache) - before, most) << "the bound stops reading ahead";

        before = blocks_read(cache);
        const auto limited = partition.scan({.direction = direction,
                                             .read = {.fill_cache = false},
                                             .limit = static_cast<std::uint64_t>(length)});
        EXPECT_EQ(co_await walk(*limited, length), length);
        EXPECT_LE(blocks_read(cache) - before, most + 1) << "and so does the limit";
      }
    }
  };
  with_partition(options(), 1u << 20, body);
}

TEST_F(ScanTest, ReadsAheadMoreAndMore) {
  const auto body = [](LsmPartition& partition, BlockCache& cache) -> Task<> {
    co_await fill(partition, 10'000);
    const auto cursor = partition.scan({});
    std::uint64_t before = blocks_read(cache);
    EXPECT_EQ(co_await walk(*cursor, 20), 20);
    EXPECT_EQ(blocks_read(cache) - before, 1u) << "the first block alone";
    EXPECT_EQ(co_await walk(*cursor, 2000), 2000);
    const std::uint64_t walked = 2020 / 25;
    EXPECT_LE(blocks_read(cache) - before, 2 * walked);
    EXPECT_GE(blocks_read(cache) - before, 2020 / 40 + 8) << "a long walk reads ahead";
  };  // the cursor goes while blocks are being read
  with_partition(options(), 1u << 20, body);
}

/// Where much of what a scan with a limit walks is hidden, it reads ahead as one without a limit does.
TEST_F(ScanTest, ALimitDoesNotStopReadingAheadThroughWhatIsHidden) {
  const auto body = [](LsmPartition& partition, BlockCache&) -> Task<> {
    co_await fill(partition, 10'000);
    kv::Ticket last;
    for (int i = 10; i < 9'000; ++i) last = put(partition, stored(i), {}, kv::Kind::erase);
    EXPECT_TRUE(co_await last);
    EXPECT_TRUE(co_await partition.flush());
    Duration took[2];
    for (const std::uint64_t limit : {0, 20}) {
      const Instant began = Shard::current().now();
      const auto cursor = partition.scan({.read = {.fill_cache = false}, .limit = limit});
      EXPECT_EQ(co_await walk(*cursor, 20), 20);
      EXPECT_EQ(as_text(cursor->item().key), stored(9'009));
      took[limit != 0] = Shard::current().now() - began;
    }
    EXPECT_LT(took[1], 4 * took[0]) << "block by block it takes nine times as long";
  };
  with_partition(options(), 1u << 20, body);
}

TEST_F(ScanTest, ALongScanDoesNotEvictWhatIsUsed) {
  const auto body = [](LsmPartition& partition, BlockCache&) -> Task<> {
    co_await fill(partition, 20'000);  // 2.4 MB, and a cache of 512 KiB
    const auto read_hot = [&]() -> Task<std::uint64_t> {
      const std::uint64_t before = partition.stats().reads_from_device;
      for (int i = 0; i < 20'000; i += 400) {
        const std::string bytes = stored(i);
        const StoredKey key = StoredKey::from_stored(as_bytes(bytes));
        const auto value = co_await partition.get(key);
        EXPECT_TRUE(value && *value);
      }
      co_return partition.stats().reads_from_device - before;
    };
    for (int round = 0; round < 4; ++round) (void)co_await read_hot();
    EXPECT_EQ(co_await read_hot(), 0u);
    for (const auto direction : {Direction::forward, Direction::backward}) {
      const auto cursor = partition.scan({.direction = direction});
      EXPECT_EQ(co_await walk(*cursor, 1'000'000), 20'000);
      EXPECT_EQ(co_await read_hot(), 0u);
    }
  };
  with_partition(options(), 512u << 10, body);
}

/// Filters and index of a large table are read like blocks: gets, multi-gets, readers elsewhere, scans and
/// seeks go through them.
TEST_F(ScanTest, APartitionedTableAnswersAlike) {
  LsmOptions partitioned = options();
  partitioned.flat_index_bytes = 0;
  const auto body = [](LsmPartition& partition, BlockCache&) -> Task<> {
    constexpr int keys = 20'000;
    co_await fill(partition, keys);
    Random random(test_seed());
    std::vector<StoredKey> wanted;
    for (int i = 0; i < 60; ++i) {
      const std::string key = stored(static_cast<int>(random.below(keys))) + (i % 3 == 0 ? "x" : "");
      wanted.push_back(StoredKey::from_stored(as_bytes(key)));
    }
    {
      const epoch::Guard guard;
      kv::Peek found;
      EXPECT_FALSE(partition.peek(wanted[1], kv::Durability::durable, found)) << "nothing is in memory";
    }
    for (int round = 0; round < 2; ++round) {
      std::vector<kv::Read> reads(wanted.size());
      for (std::size_t i = 0; i < wanted.size(); ++i) reads[i].key = &wanted[i];
      co_await partition.multi_get(reads);
      for (std::size_t i = 0; i < reads.size(); ++i) {
        EXPECT_TRUE(reads[i].settled && reads[i].result);
        EXPECT_EQ(reads[i].result->has_value(), i % 3 != 0) << i;
      }
    }
    {
      const epoch::Guard guard;
      kv::Peek found;
      EXPECT_TRUE(partition.peek(wanted[1], kv::Durability::durable, found) && found.present);
    }
    const std::string last = stored(keys - 10);
    for (const auto direction : {Direction::forward, Direction::backward}) {
      const auto cursor = partition.scan({.last = as_bytes(last), .direction = direction});
      for (int seek = 0; seek < 30; ++seek) {
        const int from = static_cast<int>(random.between(100, keys - 100));
        const std::string key = stored(from);
        cursor->seek(as_bytes(key));
        for (int step = 0; step < 50; ++step) {
          const auto more = co_await cursor->next();
          EXPECT_TRUE(more && *more);
          const int expected = direction == Direction::forward ? from + step : from - 1 - step;
          EXPECT_EQ(as_text(cursor->item().key), stored(expected));
        }
      }
      cursor->seek({});
      EXPECT_EQ(co_await walk(*cursor, keys), keys - 10);
    }
  };
  with_partition(partitioned, 256u << 10, body);
}

TEST_F(ScanTest, StaysValidAcrossFlushAndCompaction) {
  LsmOptions merging = options();
  merging.level0_tables = 2;
  const auto body = [](LsmPartition& partition, BlockCache&) -> Task<> {
    co_await fill(partition, 2000);
    const auto cursor = partition.scan({});
    EXPECT_EQ(co_await walk(*cursor, 500), 500);
    for (int round = 0; round < 3; ++round) co_await fill(partition, 2000);
    EXPECT_TRUE(co_await partition.settle_compaction());
    for (int i = 500; i < 2000; ++i) {
      const auto more = co_await cursor->next();
      EXPECT_TRUE(more && *more);
      EXPECT_EQ(as_text(cursor->item().key), stored(i));
    }
    EXPECT_EQ(co_await walk(*cursor, 1), 0);
  };
  with_partition(merging, 64u << 10, body);
}

}  // namespace
}  // namespace ashlar::lsm
