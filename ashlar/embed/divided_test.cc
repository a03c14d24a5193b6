/// Compactions that are divided between real threads: shards that serve, such as are set aside, and one that
/// the program drives, while everybody reads and writes.

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "ashlar/embed/test_db.h"

namespace ashlar {
namespace {

constexpr int keys = 4000;  // of each writer

struct Shape {
  const char* name;
  unsigned shards;
  const char* set_aside;
};

class DividedTest : public DbTest, public ::testing::WithParamInterface<Shape> {
 protected:
  /// Two partitions, on whichever shards there are.
  static DbOptions options() {
    DbOptions options = small_options();
    options.shards = GetParam().shards;
    options.boundaries = {"b"};
    options.settings.emplace_back("kv.background-shards", GetParam().set_aside);
    options.settings.emplace_back("kv.separate-values", "400B");
    return options;
  }
  static std::string key(char writer, int i) { return writer + std::to_string(100'000 + i); }
  static std::string value(int i, int round) {
    return std::to_string(i) + "/" + std::to_string(round) +
           std::string(static_cast<std::size_t>(i % 7) * 80, 'v');
  }
  /// Each key once a round, in an order of its own.
  static void overwrite(Db& db, char writer, int round) {
    const WriteOptions at_once{.durability = Durability::none};
    for (int n = 0; n < keys; ++n) {
      const int i = n * 1009 % keys;
      ASSERT_TRUE(db.put(key(writer, i), value(i, round), at_once));
    }
  }
  /// What is there was written, and is never older than what was seen before.
  static void read(const Db& db, char writer, const std::atomic<bool>& done) {
    const Reader reader = db.reader({.durability = Durability::none});
    std::mt19937 random(static_cast<unsigned>(writer));
    std::vector<int> seen(keys, -1);
    std::string found;
    while (!done) {
      const int i = static_cast<int>(random() % keys);
      const auto there = reader.get(key(writer, i), found);
      ASSERT_TRUE(there) << there.error().to_string();
      if (!*there) {
        ASSERT_EQ(seen[static_cast<std::size_t>(i)], -1);
        continue;
      }
      const int round = std::atoi(found.c_str() + found.find('/') + 1);
      ASSERT_EQ(found, value(i, round));
      ASSERT_GE(round, seen[static_cast<std::size_t>(i)]);
      seen[static_cast<std::size_t>(i)] = round;
    }
  }
};

TEST_P(DividedTest, NothingIsLostWhileOthersHelp) {
  constexpr int rounds = 4;
  {
    Db db = open(options());
    std::atomic<bool> done{false};
    std::vector<std::thread> readers;
    for (const char writer : {'a', 'b'}) readers.emplace_back([&, writer] { read(db, writer, done); });
    std::vector<std::thread> writers;
    for (const char writer : {'a', 'b'}) {
      writers.emplace_back([&, writer] {
        for (int round = 0; round < rounds; ++round) overwrite(db, writer, round);
      });
    }
    for (std::thread& writer : writers) writer.join();
    EXPECT_TRUE(db.compact());
    done = true;
    for (std::thread& reader : readers) reader.join();
    const auto stats = db.stats();
    ASSERT_TRUE(stats);
    EXPECT_EQ(stats->failed_jobs, 0u);
    const bool set_aside = std::string_view(GetParam().set_aside) != "0";
    EXPECT_EQ(stats->helped_parts != 0, set_aside || GetParam().shards > 2);
    if (set_aside) EXPECT_EQ(stats->helped_parts, stats->compaction_parts) << "who serves is left alone";
    EXPECT_TRUE(db.close());
  }
  DbOptions alone = small_options();
  alone.boundaries = {"b"};
  const Db db = open(alone);
  for (const char writer : {'a', 'b'}) {
    for (int i = 0; i < keys; ++i) ASSERT_EQ(db.get(key(writer, i)), value(i, rounds - 1)) << writer << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, DividedTest,
                         ::testing::Values(Shape{"alone", 1, "0"}, Shape{"idle_shards", 4, "0"},
                                           Shape{"one_set_aside", 1, "1"}, Shape{"two_set_aside", 2, "2"}),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_F(DbTest, AShardThatIsDrivenLeavesCompactionToOneThatIsNot) {
  DbOptions options = small_options();
  options.drive = true;
  options.settings.emplace_back("kv.background-shards", "1");
  Db db = open(options);
  const WriteOptions at_once{.durability = Durability::none};
  for (int i = 0; i < 3 * keys; ++i)
    ASSERT_TRUE(db.put("key" + std::to_string(i % keys), std::string(100, static_cast<char>('a' + i / keys)),
                       at_once));
  ASSERT_TRUE(db.compact());
  const auto stats = db.stats();
  ASSERT_TRUE(stats);
  EXPECT_GT(stats->compaction_parts, 0u);
  EXPECT_EQ(stats->helped_parts, stats->compaction_parts);
  EXPECT_EQ(db.get("key7"), std::string(100, 'c'));
  EXPECT_TRUE(db.close());
}

}  // namespace
}  // namespace ashlar
