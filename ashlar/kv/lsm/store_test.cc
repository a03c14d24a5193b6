/// Stores of several partitions on several shards; what a full disk and damaged files do.

#include "ashlar/kv/lsm/store.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "ashlar/kv/lsm/store_testing.h"
#include "ashlar/kv/transaction.h"
#include "ashlar/runtime/sync/sleep.h"

namespace ashlar::lsm {
namespace {

using kv::Durability;
using kv::PartitionId;

using testing::small_options;
using StoreTest = testing::StoreTest;

TEST_F(StoreTest, ChargesWhatItKeepsAndRefusesGrowthAtTheCap) {
  const LsmOptions options = small_options();
  MemoryCap cap(options.cache_bytes + (8u << 20));
  const Result<> done = with_store(
      1, options,
      [&](LsmStore& store) -> Task<> {
        const MemoryBudget& memory = Shard::current().memory();
        EXPECT_GT(memory.used_bytes(Purpose::io_buffers), 0u);
        EXPECT_TRUE(co_await put(store, name(1), "kept"));
        EXPECT_GT(memory.used_bytes(Purpose::memtables), 0u);

        cap.borrow_regardless(cap.cap_bytes());  // somebody else needs it all
        const auto refused = co_await put(store, name(2), "too much");
        EXPECT_TRUE(!refused && refused.error().code == Errc::no_memory);
        const auto read = co_await get(store, name(1));
        EXPECT_TRUE(read && *read == "kept");
        kv::Partition& partition = store.partition(PartitionId{0});
        const StoredKey key = store.stored(as_bytes(name(1)));
        const auto erased = partition.append({.key = &key, .value = {}, .kind = kv::Kind::erase});
        EXPECT_TRUE(erased && co_await *erased);

        cap.give_back(cap.cap_bytes());
        EXPECT_TRUE(co_await put(store, name(2), "room again"));
      },
      &cap);
  EXPECT_TRUE(done) << done.error().to_string();
  EXPECT_EQ(cap.lent_bytes(), 0u);  // closed: everything was given back
}

TEST_F(StoreTest, CachesGiveWayToOthersAndNoWriteIsRefusedMeanwhile) {
  LsmOptions options = small_options();
  options.cache_bytes = 64u << 20;
  options.memtable_bytes = options.table_bytes = 4u << 20;
  options.log.segment_bytes = 4u << 20;
  static constexpr int keys = 4000;
  const std::string value(3000, 'v');
  MemoryCap cap(64u << 20);
  const Result<> done = with_store(
      2, options,
      [&](LsmStore& store) -> Task<> {
        const auto cached = [&] {
          return world_->shard(0).memory().used_bytes(Purpose::cache) +
                 world_->shard(1).memory().used_bytes(Purpose::cache);
        };
        for (int i = 0; i < keys; ++i) EXPECT_TRUE(co_await put(store, name(i), value));
        for (std::uint16_t id = 0; id < store.partitions(); ++id) {
          EXPECT_TRUE(co_await invoke(store.home_of(PartitionId{id}),
                                      [&] { return store.partition(PartitionId{id}).flush(); }));
        }
        for (int i = 0; i < keys; ++i) EXPECT_TRUE(co_await get(store, name(i)));
        const std::uint64_t before = cached();
        EXPECT_GT(before, 10u << 20) << "most of the data";
        EXPECT_TRUE(cap.roomy());

        const MemoryCharge others = Shard::current().memory().charge_regardless(
            Purpose::other, cap.cap_bytes() - (1u << 20) - cap.lent_bytes());
        EXPECT_TRUE(cap.tight());
        for (int i = 0; i < 200 && cap.tight(); ++i) EXPECT_TRUE(co_await put(store, name(i), "new"));
        EXPECT_FALSE(cap.tight());
        EXPECT_LT(cached(), before - (5u << 20));
        for (int i = 0; i < keys; i += 100) EXPECT_TRUE(co_await get(store, name(i)));
        EXPECT_FALSE(cap.tight()) << "caches do not grow while there is little room";
      },
      &cap);
  EXPECT_TRUE(done) << done.error().to_string();
  EXPECT_EQ(cap.lent_bytes(), 0u);
}

TEST_F(StoreTest, IsCreatedOnTwoShardsAndOpensOnOneAndThree) {
  LsmOptions options = small_options();
  options.partitions = 5;
  static constexpr int keys = 500;
  std::uint64_t directory_id = 0;
  const Result<> created = with_store(2, options, [&](LsmStore& store) -> Task<> {
    directory_id = store.root().directory_id;
    EXPECT_EQ(store.partitions(), 5u);
    EXPECT_EQ(store.home_of(PartitionId{3}), ShardId{1});
    for (int i = 0; i < keys; ++i) EXPECT_TRUE(co_await put(store, name(i), "value-" + std::to_string(i)));
  });
  ASSERT_TRUE(created) << created.error().to_string();
  for (const unsigned shards : {1u, 3u, 2u, 7u}) {
    options.partitions = shards;  // of no effect any more
    const Result<> opened = with_store(shards, options, [&](LsmStore& store) -> Task<> {
      EXPECT_EQ(store.root().directory_id, directory_id);
      EXPECT_EQ(store.partitions(), 5u);
      for (int i = 0; i < keys; ++i) {
        const auto value = co_await get(store, name(i));
        EXPECT_TRUE(value && *value == "value-" + std::to_string(i));
      }
    });
    ASSERT_TRUE(opened) << opened.error().to_string();
  }
}

TEST_F(StoreTest, ComparesAndSwaps) {
  const Result<> done = with_store(1, small_options(), [](LsmStore& store) -> Task<> {
    const StoredKey key = store.stored(as_bytes("key"));
    kv::Partition& partition = store.partition_for(key);
    EXPECT_TRUE(*co_await kv::compare_and_swap(partition, key, std::nullopt, as_bytes("a")));
    EXPECT_FALSE(*co_await kv::compare_and_swap(partition, key, std::nullopt, as_bytes("b")));
    EXPECT_FALSE(*co_await kv::compare_and_swap(partition, key, as_bytes("b"), as_bytes("c")));
    EXPECT_TRUE(*co_await kv::compare_and_swap(partition, key, as_bytes("a"), as_bytes("c")));
    EXPECT_TRUE(*co_await kv::compare_and_swap(partition, key, as_bytes("c"), std::nullopt));
    EXPECT_FALSE((*co_await partition.get(key)).has_value());
  });
  EXPECT_TRUE(done);
}

/// A value that is pinned stays what it is, whatever happens to where it came from.
TEST_F(StoreTest, PinsOutliveOverwritesFlushesAndEviction) {
  LsmOptions options = small_options();
  options.cache_bytes = 1u << 16;
  const Result<> done = with_store(1, options, [](LsmStore& store) -> Task<> {
    const StoredKey key = store.stored(as_bytes("pinned"));
    LsmPartition& partition = store.partition(store.partition_of(key));
    EXPECT_TRUE(co_await put(store, "pinned", "in memory"));
    auto from_memtable = *co_await partition.get(key);
    EXPECT_TRUE(co_await partition.flush());
    auto from_table = *co_await partition.get(key);
    for (int i = 0; i < 2000; ++i) EXPECT_TRUE(co_await put(store, name(i), std::string(100, 'x')));
    EXPECT_TRUE(co_await put(store, "pinned", "another"));
    EXPECT_TRUE(co_await partition.flush());
    EXPECT_TRUE(co_await partition.settle_compaction());
    for (int i = 0; i < 2000; ++i) EXPECT_TRUE(co_await get(store, name(i)));
    EXPECT_EQ(as_text(from_memtable->bytes), "in memory");
    EXPECT_EQ(as_text(from_table->bytes), "in memory");
    EXPECT_EQ(as_text((*co_await partition.get(key))->bytes), "another");
    from_memtable.reset();
    from_table.reset();
  });
  EXPECT_TRUE(done);
}

TEST_F(StoreTest, OnAFullDiskReadsGoOnErasesWorkAndSpaceBringsWritesBack) {
  LsmOptions options = small_options();
  options.partitions = 1;
  const Result<> done = with_store(1, options, [this](LsmStore& store) -> Task<> {
    LsmPartition& partition = store.partition(PartitionId{0});
    int stored = 0;
    disk_.set_capacity(12u << 20);
    Result<> written;
    for (; stored < 20000 && written; ++stored)
      written = co_await put(store, name(stored), std::string(1000, 'v'));
    EXPECT_FALSE(written);
    EXPECT_EQ(written.error().code, Errc::no_space);
    --stored;
    for (int i = 0; i < stored; i += 97) EXPECT_TRUE((co_await get(store, name(i))).value().has_value()) << i;
    EXPECT_FALSE(partition.stop_reason());
    for (int i = 0; i < stored; ++i) {
      const StoredKey key = store.stored(as_bytes(name(i)));
      const auto ticket = partition.append({.key = &key, .value = {}, .kind = kv::Kind::erase});
      EXPECT_TRUE(ticket && co_await *ticket) << i;
      if (!ticket) break;
    }
    (void)co_await sleep_for(std::chrono::seconds(10));
    (void)co_await partition.flush();
    (void)co_await partition.settle_compaction();
    (void)co_await sleep_for(std::chrono::seconds(10));
    EXPECT_TRUE(co_await put(store, "after", "space again"));
    EXPECT_EQ((co_await get(store, "after")).value(), "space again");
    EXPECT_FALSE((co_await get(store, name(1))).value().has_value());
  });
  EXPECT_TRUE(done);
}

TEST_F(StoreTest, RefusesValuesThatTablesAndRecoveryWouldRefuse) {
  const Result<> done = with_store(1, LsmOptions(), [](LsmStore& store) -> Task<> {
    LsmPartition& partition = store.partition(PartitionId{0});
    const StoredKey key = store.stored(as_bytes("key"));
    const std::vector<std::byte> value(kv::value_bytes_max + 1);
    EXPECT_EQ(partition.append({.key = &key, .value = value}).error().code, Errc::too_large);
    const auto largest = partition.append({.key = &key, .value = Bytes(value).first(kv::value_bytes_max)});
    EXPECT_TRUE(largest && co_await *largest);
    EXPECT_TRUE(co_await partition.flush());
  });
  EXPECT_TRUE(done);
}

/// Every read asks whether the transaction itself wrote the key: with so many that must not mean all of them.
TEST_F(StoreTest, ALargeTransactionReadsItsOwnWrites) {
  LsmOptions options = small_options();
  options.partitions = 1;
  options.log.segment_bytes = 8u << 20;  // all of it is one record
  const Result<> done = with_store(1, options, [](LsmStore& store) -> Task<> {
    static constexpr int keys = 50'000;
    LsmPartition& partition = store.partition(PartitionId{0});
    std::vector<StoredKey> names;
    for (int i = 0; i < keys; ++i) names.push_back(store.stored(as_bytes(name(i))));
    kv::Transaction step(partition);
    for (int i = 0; i < keys; ++i) step.put(names[static_cast<std::size_t>(i)], as_bytes(name(i)));
    for (int i = 0; i < keys; i += 2) step.put(names[static_cast<std::size_t>(i)], as_bytes("second"));
    for (int i = 0; i < keys; i += 5) step.erase(names[static_cast<std::size_t>(i)]);
    EXPECT_EQ(step.write_count(), std::size_t{keys});
    for (int i = 0; i < keys; ++i) {
      const auto own = co_await step.get(names[static_cast<std::size_t>(i)]);
      EXPECT_TRUE(own) << i;
      EXPECT_EQ(own->has_value(), i % 5 != 0) << i;
      if (*own) EXPECT_EQ(as_text((*own)->bytes), i % 2 == 0 ? "second" : name(i));
    }
    const auto ticket = step.commit(Durability::durable);
    EXPECT_TRUE(ticket && co_await *ticket);
    EXPECT_EQ((co_await get(store, name(1))).value(), name(1));
    EXPECT_FALSE((co_await get(store, name(5))).value().has_value());
  });
  EXPECT_TRUE(done);
}

/// Nothing comes after it that would start a compaction or remove files.
TEST_F(StoreTest, AClearGivesSpaceBackByItself) {
  LsmOptions options = small_options();
  options.partitions = 1;
  const Result<> done = with_store(1, options, [this](LsmStore& store) -> Task<> {
    LsmPartition& partition = store.partition(PartitionId{0});
    for (int i = 0; i < 200; ++i) EXPECT_TRUE(co_await put(store, name(i), std::string(1000, 'v')));
    EXPECT_TRUE(co_await partition.flush());
    EXPECT_GT(partition.stats().table_count, 0u);
    const auto cleared = partition.append({.value = {}, .kind = kv::Kind::clear});
    EXPECT_TRUE(cleared && co_await *cleared);
    (void)co_await sleep_for(std::chrono::seconds(1));
    EXPECT_EQ(partition.stats().table_count, 0u);
    for (const auto& file : disk_.files()) EXPECT_FALSE(file.ends_with(".table")) << file;
  });
  EXPECT_TRUE(done);
}

/// Small durable writes fill the log long before the memtable.
TEST_F(StoreTest, TheLogOfSmallWritesIsBounded) {
  LsmOptions options = small_options();
  options.partitions = 1;
  options.memtable_bytes = 256u << 10;
  const Result<> done = with_store(1, options, [](LsmStore& store) -> Task<> {
    LsmPartition& partition = store.partition(PartitionId{0});
    for (int i = 0; i < 1500; ++i) {
      EXPECT_TRUE(co_await put(store, name(i % 10), "small"));
      EXPECT_LE(partition.stats().log_bytes, 9 * (256u << 10));
    }
    EXPECT_GT(partition.stats().flushes, 0u);
  });
  EXPECT_TRUE(done);
}

TEST_F(StoreTest, DoesNotBeginAnewOverData) {
  EXPECT_TRUE(with_store(1, small_options(), [](LsmStore& store) -> Task<> {
    EXPECT_TRUE(co_await put(store, "key", "value"));
  }));
  ASSERT_EQ(disk_.rename("/data/0.root", "/data/elsewhere"), 0);
  EXPECT_EQ(with_store(1, small_options(), [](LsmStore&) -> Task<> { co_return; }).error().code,
            Errc::corrupt);
  ASSERT_EQ(disk_.rename("/data/elsewhere", "/data/0.root"), 0);
  EXPECT_TRUE(with_store(1, small_options(), [](LsmStore& store) -> Task<> {
    EXPECT_EQ((co_await get(store, "key")).value(), "value");
  }));
}

/// D12: that a key is absent is shown once the erase is durable, not before.
TEST_F(StoreTest, AScanWaitsForErasesItPassesOver) {
  LsmOptions options = small_options();
  options.partitions = 1;
  const Result<> done = with_store(1, options, [](LsmStore& store) -> Task<> {
    LsmPartition& partition = store.partition(PartitionId{0});
    for (const kv::Kind kind : {kv::Kind::erase, kv::Kind::clear}) {
      EXPECT_TRUE(co_await put(store, "key", "value"));
      const StoredKey key = store.stored(as_bytes("key"));
      const auto ticket = partition.append({.key = &key, .value = {}, .kind = kind}, Durability::none);
      EXPECT_GT(ticket->sequence(), partition.durable_sequence());
      const auto cursor = partition.scan({});
      EXPECT_FALSE((co_await cursor->next()).value());
      EXPECT_LE(ticket->sequence(), partition.durable_sequence());
    }
  });
  EXPECT_TRUE(done);
}

/// Other threads read what memory holds while the owner writes, flushes and merges: never an older value than
/// one that was acknowledged before they looked.
TEST_F(StoreTest, AnyThreadReadsWhatMemoryHolds) {
  LsmOptions options = small_options();
  options.partitions = 1;
  const Result<> done = with_store(1, options, [](LsmStore& store) -> Task<> {
    LsmPartition& partition = store.partition(PartitionId{0});
    static constexpr int keys = 20, rounds = 150;
    std::vector<StoredKey> names;
    for (int i = 0; i < keys; ++i) names.push_back(store.stored(as_bytes(name(i))));
    std::atomic<int> acknowledged{0};
    std::atomic<std::uint64_t> answered{0};
    std::vector<std::jthread> readers;
    for (int reader = 0; reader < 2; ++reader) {
      readers.emplace_back([&] {
        for (int least = 0; least < rounds;) {
          least = acknowledged.load(std::memory_order_acquire);
          for (const StoredKey& key : names) {
            const epoch::Guard guard;
            kv::Peek found;
            if (!partition.peek(key, Durability::durable, found))
              continue;  // the owner would have to be asked
            answered.fetch_add(1, std::memory_order_relaxed);
            ASSERT_TRUE(found.present || least == 0);
            if (found.present) ASSERT_GE(std::stoi(std::string(as_text(found.value))), least);
          }
        }
      });
    }
    for (int round = 1; round <= rounds; ++round) {
      const std::string value = std::to_string(round) + std::string(200, ' ');
      kv::Ticket last;
      for (const StoredKey& key : names) {
        const auto ticket = partition.append({.key = &key, .value = as_bytes(value)});
        EXPECT_TRUE(ticket);
        if (ticket) last = *ticket;
      }
      EXPECT_TRUE(co_await last);
      acknowledged.store(round, std::memory_order_release);
      if (round % 20 == 0) EXPECT_TRUE(co_await partition.flush());
      for (const StoredKey& key : names) EXPECT_TRUE(co_await partition.get(key));
    }
    readers.clear();
    EXPECT_GT(answered.load(), 0u);
  });
  EXPECT_TRUE(done);
}

/// Of one number, one size and valid in itself, but another partition's.
TEST_F(StoreTest, SwappedTablesAreCorrupt) {
  LsmOptions options = small_options();
  options.partitions = 2;
  ASSERT_TRUE(with_store(1, options, [](LsmStore& store) -> Task<> {
    for (int id = 0; id < 2; ++id) {
      const PartitionId partition{static_cast<std::uint16_t>(id)};
      std::string key = "a";
      while (store.partition_of(store.stored(as_bytes(key))) != partition) ++key[0];
      EXPECT_TRUE(co_await put(store, key, "value"));
      EXPECT_TRUE(co_await store.partition(partition).flush());
    }
  }));
  std::vector<std::string> tables = disk_.files();
  std::erase_if(tables, [](const std::string& file) { return !file.ends_with(".table"); });
  ASSERT_EQ(tables.size(), 2u);
  ASSERT_EQ(tables[0].substr(tables[0].rfind('/')), tables[1].substr(tables[1].rfind('/')));
  ASSERT_EQ(disk_.rename(tables[0], "/data/aside"), 0);
  ASSERT_EQ(disk_.rename(tables[1], tables[0]), 0);
  ASSERT_EQ(disk_.rename("/data/aside", tables[1]), 0);
  const Result<> opened = with_store(1, options, [](LsmStore&) -> Task<> { co_return; });
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::corrupt) << opened.error().to_string();
}

/// Every kind of file, a flipped bit in the middle of what it holds: an error that names it, or no effect at
/// all.
TEST_F(StoreTest, ReportsDamageAsCorrupt) {
  LsmOptions options = small_options();
  options.partitions = 1;
  const auto fill = [](LsmStore& store) -> Task<> {
    for (int i = 0; i < 300; ++i) EXPECT_TRUE(co_await put(store, name(i), std::string(100, 'v')));
    EXPECT_TRUE(co_await store.partition(PartitionId{0}).flush());
    for (int i = 0; i < 20; ++i) EXPECT_TRUE(co_await put(store, name(i), "newer"));
  };
  ASSERT_TRUE(with_store(1, options, fill));
  const auto read_all = [](LsmStore& store) -> Task<> {
    for (int i = 0; i < 300; ++i) {
      const auto value = co_await get(store, name(i));
      if (!value) EXPECT_EQ(value.error().code, Errc::corrupt);
      if (value) EXPECT_EQ(*value, i < 20 ? "newer" : std::string(100, 'v'));
    }
  };
  int refused = 0;
  for (const std::string& path : disk_.files()) {
    const auto content = disk_.contents(path);
    if (!content || content->empty() || path.ends_with("reserve")) continue;
    const std::uint64_t middle = path.ends_with(".table") ? 2000 : path.ends_with(".log") ? 4096 + 100 : 40;
    ASSERT_EQ(disk_.flip_bit(path, middle, 3), 0);
    const Result<> opened = with_store(1, options, read_all);
    if (!opened) {
      EXPECT_EQ(opened.error().code, Errc::corrupt) << path << ": " << opened.error().to_string();
      ++refused;
    }
    ASSERT_EQ(disk_.flip_bit(path, middle, 3), 0);
    ASSERT_TRUE(with_store(1, options, read_all)) << path;
  }
  EXPECT_GE(refused, 2);
}

}  // namespace
}  // namespace ashlar::lsm
