/// The blocking database on real files and real threads, through its public interface alone.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <thread>

#include "ashlar/base/random.h"
#include "ashlar/embed/test_db.h"
#include "ashlar/runtime/shard/test_threads.h"

namespace ashlar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(DbTest, WhatWasPutIsThereAfterItWasOpenedAgain) {
  {
    Db db = open();
    EXPECT_TRUE(db.put("key", "value"));
    EXPECT_EQ(db.get("key").value(), "value");
    EXPECT_TRUE(db.put("gone", "x"));
    EXPECT_TRUE(db.erase("gone"));
    EXPECT_EQ(db.get("gone").value(), std::nullopt);
    EXPECT_EQ(db.get("never").value(), std::nullopt);
    EXPECT_TRUE(db.close());
    EXPECT_TRUE(db.close());
  }
  Db db = open();
  EXPECT_EQ(db.get("key").value(), "value");
  EXPECT_EQ(db.get("gone").value(), std::nullopt);
}

TEST_F(DbTest, EveryWayToReadFindsTheSame) {
  Db db = open();
  const std::string value(300, 'v');
  EXPECT_TRUE(db.put("key", value));
  for (const bool in_table : {false, true}) {
    if (in_table) EXPECT_TRUE(db.flush());
    const Reader reader = db.reader();
    for (int round = 0; round < 2; ++round) {  // in a table: from the device, then from the cache
      std::string text = "before";
      EXPECT_TRUE(reader.get("key", text).value());
      EXPECT_EQ(text, value);
      PinnedValue pinned;
      EXPECT_TRUE(reader.get("key", pinned).value());
      EXPECT_EQ(pinned.view(), value);
      EXPECT_FALSE(reader.get("none", pinned).value());
      EXPECT_EQ(pinned.view(), "");
      std::array<char, 5> few{};
      EXPECT_EQ(reader.get("key", few).value(), value.size());
      EXPECT_EQ(std::string_view(few.data(), few.size()), "vvvvv");
      EXPECT_EQ(reader.get("none", few).value(), std::nullopt);
      EXPECT_TRUE(reader.contains("key").value());
      EXPECT_FALSE(reader.contains("none").value());
      EXPECT_FALSE(reader.get("none", text).value());
      EXPECT_EQ(text, value);  // as it was
    }
    const std::vector<std::string_view> keys{"none", "key", "key"};
    EXPECT_THAT(db.multi_get(keys).value(), ElementsAre(std::nullopt, value, value));
  }
}

TEST_F(DbTest, WhatHasExpiredIsAbsentInPlaceToo) {
  Db db = open();
  EXPECT_TRUE(db.put_until("past", "x", 1000));
  EXPECT_TRUE(db.put_until("future", "x", 4102444800000));  // 2100
  EXPECT_EQ(db.get("past").value(), std::nullopt);
  EXPECT_EQ(db.get("future").value(), "x");
}

TEST_F(DbTest, OfABatchTheLastWriteOfAKeyCounts) {
  WriteBatch batch;
  batch.put("a", "1");
  batch.put("b", "1");
  batch.erase("a");
  batch.put("b", "2");
  for (int round = 0; round < 2; ++round) {
    Db db = open();
    if (round == 0) EXPECT_TRUE(db.write(batch));
    for (const bool flushed : {false, true}) {
      if (flushed) EXPECT_TRUE(db.flush());
      EXPECT_EQ(db.get("a").value(), std::nullopt);
      EXPECT_EQ(db.get("b").value(), "2");
    }
  }
}

TEST_F(DbTest, AnIteratorWalksBothWaysWithinBounds) {
  DbOptions options = small_options();
  options.boundaries = {"c", "e"};
  Db db = open(options);
  EXPECT_TRUE(db.ordered());
  for (const char* key : {"a", "b", "ba", "c", "d", "e", "f"})
    EXPECT_TRUE(db.put(key, std::string("is ") + key));

  Iterator all = db.iterate().value();
  EXPECT_THAT(keys_of(all), ElementsAre("a", "b", "ba", "c", "d", "e", "f"));
  EXPECT_THAT(keys_of(all, true), ElementsAre("f", "e", "d", "c", "ba", "b", "a"));
  EXPECT_TRUE(all.seek("bb"));
  EXPECT_EQ(all.key(), "c");
  EXPECT_EQ(all.value(), "is c");
  EXPECT_TRUE(all.previous());
  EXPECT_EQ(all.key(), "ba");
  EXPECT_TRUE(all.next());
  EXPECT_EQ(all.key(), "c");
  EXPECT_TRUE(all.seek_backward("d"));
  EXPECT_EQ(all.key(), "d");
  EXPECT_TRUE(all.seek_backward("dd"));
  EXPECT_EQ(all.key(), "d");
  EXPECT_FALSE(all.seek("g"));
  EXPECT_FALSE(all.seek_backward("A"));
  EXPECT_TRUE(all.status());

  Iterator some = db.iterate({.lower = "b", .upper = "e"}).value();
  EXPECT_THAT(keys_of(some), ElementsAre("b", "ba", "c", "d"));
  EXPECT_THAT(keys_of(some, true), ElementsAre("d", "c", "ba", "b"));
  EXPECT_TRUE(some.seek("a"));
  EXPECT_EQ(some.key(), "b");
  EXPECT_FALSE(some.seek("x"));

  Iterator with_prefix = db.iterate({.prefix = "b"}).value();
  EXPECT_THAT(keys_of(with_prefix), ElementsAre("b", "ba"));
}

TEST_F(DbTest, BoundsInTheWrongOrderHoldNothing) {
  for (const std::vector<std::string>& boundaries : {std::vector<std::string>{}, {"c", "e"}}) {
    std::filesystem::remove_all(directory_);
    DbOptions options = small_options();
    options.boundaries = boundaries;
    Db db = open(options);
    for (const char* key : {"a", "b", "c", "d", "e", "f"}) EXPECT_TRUE(db.put(key, "v"));
    Transaction step = db.begin().value();
    EXPECT_TRUE(step.put("cc", "own"));
    for (const auto& [lower, upper] :
         {std::pair("f", "a"), {"d", "b"}, {"dd", "d"}, {"c", "c"}, {"z", "A"}}) {
      const IterateOptions bounds{.lower = lower, .upper = upper};
      for (const bool of_transaction : {false, true}) {
        Iterator it = of_transaction ? step.iterate(bounds).value() : db.iterate(bounds).value();
        EXPECT_THAT(keys_of(it), ElementsAre()) << lower << upper;
        EXPECT_THAT(keys_of(it, true), ElementsAre()) << lower << upper;
        for (const char* key : {"A", "b", "c", "cc", "e", "z"}) {
          EXPECT_FALSE(it.seek(key)) << lower << upper << key;
          EXPECT_FALSE(it.seek_backward(key)) << lower << upper << key;
          EXPECT_TRUE(it.status());
        }
      }
    }
  }
}

TEST_F(DbTest, AnIteratorAndASnapshotStayAtTheirMoment) {
  Db db = open();
  for (int i = 0; i < 500; ++i)
    EXPECT_TRUE(db.put(std::to_string(i), "old", {.durability = Durability::none}));
  const Snapshot before = db.snapshot().value();
  Iterator it = db.iterate().value();
  EXPECT_TRUE(it.seek_first());
  for (int i = 0; i < 500; ++i)
    EXPECT_TRUE(db.put(std::to_string(i), "new", {.durability = Durability::none}));
  EXPECT_TRUE(db.put("x", "new"));
  EXPECT_TRUE(db.flush());
  int seen = 0;
  for (; it.valid(); it.next(), ++seen) EXPECT_EQ(it.value(), "old") << it.key();
  EXPECT_TRUE(it.status());
  EXPECT_EQ(seen, 500);
  EXPECT_EQ(db.reader({.snapshot = &before}).get("7").value(), "old");
  EXPECT_EQ(db.reader({.snapshot = &before}).get("x").value(), std::nullopt);
  EXPECT_EQ(db.get("7").value(), "new");
}

TEST_F(DbTest, CompareAndSwapDecidesByWhatIsThere) {
  Db db = open();
  EXPECT_TRUE(db.compare_and_swap("k", std::nullopt, "1").value());
  EXPECT_FALSE(db.compare_and_swap("k", std::nullopt, "2").value());
  EXPECT_TRUE(db.compare_and_swap("k", "1", "2").value());
  EXPECT_EQ(db.get("k").value(), "2");
  EXPECT_TRUE(db.compare_and_swap("k", "2", std::nullopt).value());
  EXPECT_EQ(db.get("k").value(), std::nullopt);
}

TEST_F(DbTest, OneThreadHasManyWritesAndReadsInFlight) {
  Db db = open();
  constexpr int count = 1000;
  std::atomic<int> written{0}, found{0};
  for (int i = 0; i < count; ++i) {
    EXPECT_TRUE(db.put_async(std::to_string(i), "v", [&](Result<> done) {
      EXPECT_TRUE(done);
      if (++written == count) written.notify_all();
    }));
  }
  for (int now = written; now != count; now = written) written.wait(now);
  EXPECT_TRUE(db.flush());
  for (int i = 0; i < 2 * count; ++i) {
    EXPECT_TRUE(db.get_async(std::to_string(i), [&, i](Result<std::optional<std::string_view>> value) {
      EXPECT_TRUE(value && value->has_value() == (i < count));
      if (++found == 2 * count) found.notify_all();
    }));
  }
  for (int now = found; now != 2 * count; now = found) found.wait(now);
}

TEST_F(DbTest, InACallbackACallThatWaitsIsRefused) {
  Db db = open();
  std::atomic<int> code{-1};
  EXPECT_TRUE(db.put_async("a", "1", [&](Result<>) {
    code = static_cast<int>(db.put("b", "2").error().code);
    code.notify_all();
  }));
  code.wait(-1);
  EXPECT_EQ(code, static_cast<int>(Errc::invalid));
  EXPECT_EQ(db.get("b").value(), std::nullopt);
}

TEST_F(DbTest, ErrorsSayWhatAndWhere) {
  std::string message;
  EXPECT_EQ(Db::open(path() + "/a/b", {}, &message).error().code, Errc::not_found);
  EXPECT_THAT(message, HasSubstr(path() + "/a/b: "));
  EXPECT_EQ(Db::open(path(), {.create = false}, &message).error().code, Errc::not_found);
  EXPECT_EQ(Db::open(path(), {.settings = {{"kv.memtables", "1"}}}, &message).error().code, Errc::invalid);
  EXPECT_THAT(message, HasSubstr("kv.memtables"));
  EXPECT_EQ(Db::open("blob(nonsense:/x)", {}, &message).error().code, Errc::not_found);
  EXPECT_THAT(message, HasSubstr("nonsense"));
  Db db = open();
  EXPECT_EQ(Db::open(path(), {}, &message).error().code, Errc::busy);
  EXPECT_THAT(message, HasSubstr("has it open"));
  EXPECT_EQ(db.put(std::string(70'000, 'k'), "").error().code, Errc::too_large);
  EXPECT_EQ(db.put("k", std::string((16u << 20) + 1, 'v')).error().code, Errc::too_large);
  EXPECT_EQ(db.get(std::string(70'000, 'k')).error().code, Errc::too_large);
}

TEST_F(DbTest, WhereThereIsNoThreadItIsNotOpened) {
  const NoThreads none;
  DbOptions options = small_options();
  std::string message;
  const auto db = Db::open(path(), options, &message);
  ASSERT_FALSE(db);
  EXPECT_EQ(db.error().code, Errc::no_memory);
  EXPECT_EQ(message, path() + ": start a thread: out of memory (EAGAIN: Resource temporarily unavailable)");
  options.drive = true;  // this one will do
  Db driven = open(options);
  EXPECT_TRUE(driven.put("k", "v"));
  EXPECT_EQ(driven.get("k").value(), "v");
}

TEST_F(DbTest, HandlesOutliveTheDatabaseAndSaySo) {
  std::optional<Db> db = open();
  EXPECT_TRUE(db->put("k", "v"));
  const Reader reader = db->reader();
  Iterator it = db->iterate().value();
  EXPECT_TRUE(it.seek_first());
  const Snapshot snapshot = db->snapshot().value();
  const Reader past = db->reader({.snapshot = &snapshot});
  {
    PinnedValue pinned;
    EXPECT_TRUE(reader.get("k", pinned).value());
    EXPECT_EQ(db->close().error().code, Errc::busy);  // would wait for this thread
  }
  db.reset();
  EXPECT_EQ(reader.get("k").error().code, Errc::closed);
  EXPECT_EQ(past.get("k").error().code, Errc::closed);
  EXPECT_FALSE(it.seek_last());
  EXPECT_EQ(it.status().error().code, Errc::closed);
}

TEST_F(DbTest, ThreadsThatAreUnderWayWhenItClosesAreDoneOrToldSo) {
  for (int round = 0; round < 5; ++round) {
    std::filesystem::remove_all(directory_);
    std::atomic<int> acknowledged{0}, refused{0};
    {
      Db db = open();
      std::vector<std::thread> threads;
      for (int t = 0; t < 8; ++t) {
        threads.emplace_back([&, t] {
          for (int i = 0;; ++i) {
            const Result<> done = db.put(std::to_string(t) + "/" + std::to_string(i), "v");
            acknowledged += done ? 1 : 0;
            if (done) continue;
            EXPECT_EQ(done.error().code, Errc::closed);
            ++refused;
            return;
          }
        });
      }
      while (acknowledged < 100) std::this_thread::yield();
      EXPECT_TRUE(db.close());
      for (auto& thread : threads) thread.join();
    }
    EXPECT_EQ(refused, 8);
    Db db = open();
    Iterator it = db.iterate().value();
    EXPECT_GE(static_cast<int>(keys_of(it).size()), acknowledged);
  }
}

TEST_F(DbTest, ManyThreadsAgreeWithTheirModels) {
  DbOptions options = small_options();
  options.shards = 2;
  options.boundaries = {"3", "5"};
  const std::uint64_t seed = ::testing::UnitTest::GetInstance()->random_seed();
  std::vector<std::map<std::string, std::string>> models(6);
  {
    Db db = open(options);
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < models.size(); ++t) {
      threads.emplace_back([&, t] {  // keys of its own, among everybody's
        Random random(seed * 100 + t);
        auto& model = models[t];
        const Reader reader = db.reader();
        for (int i = 0; i < 1500; ++i) {
          const std::string key = std::to_string(random.below(8)) + "/" + std::to_string(t) + "/" +
                                  std::to_string(random.below(50));
          const WriteOptions how{random.below(4) == 0 ? Durability::durable : Durability::none};
          switch (random.below(5)) {
            case 0:
              EXPECT_TRUE(db.erase(key, how));
              model.erase(key);
              break;
            case 1:
            case 2: {
              const std::string value(random.below(200), static_cast<char>('a' + random.below(26)));
              EXPECT_TRUE(db.put(key, value, how));
              model[key] = value;
              break;
            }
            default: {
              const auto found = reader.get(key);
              const auto expected = model.find(key);
              ASSERT_TRUE(found) << found.error().to_string();
              EXPECT_EQ(*found, expected == model.end() ? std::nullopt : std::optional(expected->second))
                  << key;
            }
          }
        }
      });
    }
    for (auto& thread : threads) thread.join();
  }
  std::map<std::string, std::string> all;
  for (auto& model : models) all.merge(model);
  Db db = open(options);
  std::map<std::string, std::string> found;
  Iterator it = db.iterate().value();
  for (bool more = it.seek_first(); more; more = it.next()) found.emplace(it.key(), it.value());
  EXPECT_TRUE(it.status());
  EXPECT_EQ(found, all) << "seed " << seed;
}

TEST_F(DbTest, MaintenanceAndFigures) {
  Db db = open();
  for (int i = 0; i < 2000; ++i)
    EXPECT_TRUE(db.put(std::to_string(i % 500), std::string(100, 'x'), {.durability = Durability::none}));
  EXPECT_TRUE(db.sync());
  EXPECT_TRUE(db.compact());
  const DbStats stats = db.stats().value();
  EXPECT_EQ(stats.partitions, 1u);
  EXPECT_EQ(stats.writes, 2000u);
  EXPECT_EQ(stats.memtable_entries, 0u);
  EXPECT_GT(stats.table_count, 0u);
  EXPECT_GT(stats.memory_bytes, 0u);
  EXPECT_GT(stats.memory_cap_bytes, stats.memory_bytes);
}

}  // namespace
}  // namespace ashlar
