/// Erased ranges: the fragments, and what they hide in memtables, tables and scans; what compaction makes of
/// them.

#include <gtest/gtest.h>

#include "ashlar/base/random.h"
#include "ashlar/kv/key_range.h"
#include "ashlar/kv/lsm/range_set.h"
#include "ashlar/kv/lsm/store_testing.h"
#include "ashlar/kv/lsm/test_seed.h"

namespace ashlar::lsm {
namespace {

using testing::small_options;

TEST(RangeSetTest, SaysWhatAListOfRangesSays) {
  Random random(test_seed());
  const auto key = [&] {
    return "\1" + std::string(random.between(1, 2), static_cast<char>('a' + random.below(20)));
  };
  for (int round = 0; round < 200; ++round) {
    std::vector<ErasedRange> ranges;
    for (std::uint64_t i = random.below(12); i > 0; --i) {
      std::string first = key(), end = key();
      if (end < first) std::swap(first, end);
      if (random.one_in(6)) end.clear();
      if (first != end) ranges.push_back({first, end, Sequence{random.between(1, 30)}});
    }
    const auto set = RangeSet::make(ranges);
    for (int look = 0; look < 50; ++look) {
      const std::string at = key();
      const Sequence reader{random.below(32)};
      Sequence expected;
      for (const ErasedRange& range : ranges) {
        if (range.covers(as_bytes(at)) && range.sequence <= reader)
          expected = std::max(expected, range.sequence);
      }
      ASSERT_EQ(set->covering(as_bytes(at), reader), expected);
      const auto cover = set->cover(as_bytes(at), reader);
      ASSERT_EQ(cover.sequence, expected);
      if (expected == Sequence{}) continue;
      ASSERT_LE(as_text(cover.first), at);
      ASSERT_TRUE(cover.end.empty() || at < as_text(cover.end));
      ASSERT_EQ(set->covering(cover.first, reader), expected);
    }
  }
}

TEST(KeyRangeTest, PrefixesEndWhereTheyShould) {
  EXPECT_EQ(kv::type_range(0x80).first, "\x80");
  EXPECT_EQ(kv::type_range(0x80).end, "\x81");
  EXPECT_EQ(kv::type_range(0xff).end, "");
  EXPECT_EQ(kv::prefix_range(as_bytes("\1\1\xff")).end, "\1\2");
  EXPECT_EQ(kv::slot_range(1, Slot{0x0102}).first, "\1\1\2");
  EXPECT_EQ(kv::user_key_range(1, as_bytes("a"), {}).end, "\2");
}

class RangeTest : public testing::StoreTest {
 protected:
  static LsmOptions ranged() {
    LsmOptions options = small_options();
    options.partitions = 1;
    return options;
  }
  /// Keys of one type and slot: their order is that of the names.
  static StoredKey key(std::string_view name) {
    return StoredKey(kv::KeyType::value, Slot{1}, as_bytes(name));
  }
  static std::string number(int i) { return std::to_string(1000 + i); }
  static Task<> put(LsmPartition& partition, std::string name, std::size_t bytes = 1) {
    const StoredKey stored = key(name);
    const std::string value(bytes, 'v');
    const auto ticket = partition.append({.key = &stored, .value = as_bytes(value)});
    EXPECT_TRUE(ticket && co_await *ticket);
  }
  static Task<> erase(LsmPartition& partition, std::string first, std::string end) {
    const StoredKey from = key(first), to = key(end);
    const auto ticket = partition.erase_range(from.bytes(), to.bytes());
    EXPECT_TRUE(ticket && co_await *ticket);
  }
  static Task<bool> there(LsmPartition& partition, std::string name, kv::ReadOptions options = {}) {
    const StoredKey stored = key(name);
    const auto value = co_await partition.get(stored, options);
    EXPECT_TRUE(value);
    co_return value && *value;
  }
  static Task<std::string> names(LsmPartition& partition, kv::Direction direction = kv::Direction::forward) {
    const auto cursor = partition.scan({.direction = direction});
    std::string text;
    while ((co_await cursor->next()).value_or(false))
      text.append(as_text(kv::user_key_of_stored(cursor->item().key)));
    co_return text;
  }
};

TEST_F(RangeTest, HidesWhatIsOlderWhereverItIs) {
  const auto expect = [](LsmPartition& partition) -> Task<> {
    for (const char* name : {"a", "c", "f", "g"}) EXPECT_TRUE(co_await there(partition, name)) << name;
    for (const char* name : {"b", "d", "e"}) EXPECT_FALSE(co_await there(partition, name)) << name;
    EXPECT_EQ(co_await names(partition), "acfg");
    EXPECT_EQ(co_await names(partition, kv::Direction::backward), "gfca");
  };
  EXPECT_TRUE(with_store(1, ranged(), [&](LsmStore& store) -> Task<> {
    LsmPartition& partition = store.partition(kv::PartitionId{0});
    for (const char* name : {"a", "b", "c"}) co_await put(partition, name);
    EXPECT_TRUE(co_await partition.flush());
    for (const char* name : {"d", "e", "f", "g"}) co_await put(partition, name);
    co_await erase(partition, "b", "f");
    co_await put(partition, "c");
    co_await expect(partition);
    EXPECT_TRUE(co_await partition.flush());
    co_await expect(partition);
  }));
  EXPECT_TRUE(with_store(1, ranged(), [&](LsmStore& store) -> Task<> {
    LsmPartition& partition = store.partition(kv::PartitionId{0});
    co_await expect(partition);
    EXPECT_TRUE(co_await partition.settle_compaction());
    co_await expect(partition);
  }));
  EXPECT_TRUE(with_store(
      1, ranged(), [&](LsmStore& store) -> Task<> { co_await expect(store.partition(kv::PartitionId{0})); }));
}

TEST_F(RangeTest, SnapshotsSeeWhatWasThere) {
  EXPECT_TRUE(with_store(1, ranged(), [&](LsmStore& store) -> Task<> {
    LsmPartition& partition = store.partition(kv::PartitionId{0});
    co_await put(partition, "k");
    {
      const kv::Snapshot before(partition);
      co_await erase(partition, "a", "z");
      for (int round = 0; round < 3; ++round) {
        EXPECT_TRUE(co_await there(partition, "k", {.snapshot = &before}));
        EXPECT_FALSE(co_await there(partition, "k"));
        co_await put(partition, "zz" + number(round));
        EXPECT_TRUE(co_await partition.flush());
      }
      EXPECT_TRUE(co_await partition.settle_compaction());
      EXPECT_TRUE(co_await there(partition, "k", {.snapshot = &before}));
    }
    EXPECT_FALSE(co_await there(partition, "k"));
  }));
}

TEST_F(RangeTest, InABatchTheOrderCounts) {
  EXPECT_TRUE(with_store(1, ranged(), [&](LsmStore& store) -> Task<> {
    LsmPartition& partition = store.partition(kv::PartitionId{0});
    const StoredKey before = key("b"), after = key("c"), outside = key("z"), first = key("a"), end = key("m");
    const kv::Write batch[] = {
        {.key = &before, .value = as_bytes("1")},
        {.key = &outside, .value = as_bytes("2")},
        {.key = &first, .value = end.bytes(), .kind = kv::Kind::erase_range},
        {.key = &after, .value = as_bytes("3")},
    };
    EXPECT_TRUE(co_await *partition.append(batch, kv::Durability::durable));
    for (int flushed = 0; flushed < 2; ++flushed) {
      EXPECT_EQ(co_await names(partition), "cz");
      EXPECT_TRUE(co_await partition.flush());
    }
    EXPECT_EQ(partition.erase_range(end.bytes(), first.bytes()).error().code, Errc::invalid);
    EXPECT_EQ(partition.erase_range({}, first.bytes()).error().code, Errc::invalid);
  }));
}

/// Nothing but a range: it has a table of its own, keeps hiding what deeper tables hold, and goes when they
/// do.
TEST_F(RangeTest, SpaceComesBackAndTheRangeGoes) {
  EXPECT_TRUE(with_store(1, ranged(), [&](LsmStore& store) -> Task<> {
    LsmPartition& partition = store.partition(kv::PartitionId{0});
    for (int i = 0; i < 300; ++i) co_await put(partition, number(i), 1000);
    EXPECT_TRUE(co_await partition.flush());
    EXPECT_TRUE(co_await partition.settle_compaction());
    const std::uint64_t bytes = partition.stats().table_bytes;
    EXPECT_GT(bytes, 200'000u);
    co_await erase(partition, number(10), number(290));
    EXPECT_TRUE(co_await partition.flush());
    EXPECT_TRUE(co_await partition.settle_compaction());
    EXPECT_EQ((co_await names(partition)).size(), 20u * 4);
    EXPECT_LT(partition.stats().table_bytes, bytes / 3);
    co_await erase(partition, number(0), number(999));
    EXPECT_TRUE(co_await partition.flush());
    EXPECT_TRUE(co_await partition.settle_compaction());
    EXPECT_EQ(co_await names(partition), "");
    EXPECT_EQ(partition.stats().table_count, 0u);
  }));
}

/// A table that is merged away and leaves a range only, beside a table that took an earlier such one in.
TEST_F(RangeTest, WhatIsLeftOfATableMeetsNoOther) {
  LsmOptions options = ranged();
  options.goal = Goal::read_heavy;
  options.level0_tables = 1;
  EXPECT_TRUE(with_store(1, options, [&](LsmStore& store) -> Task<> {
    LsmPartition& partition = store.partition(kv::PartitionId{0});
    for (int i = 0; i < 100; ++i) co_await put(partition, number(i), 100);
    EXPECT_TRUE(co_await partition.compact_all());
    {
      const kv::Snapshot before(partition);
      co_await erase(partition, number(0), number(1));
      EXPECT_TRUE(co_await partition.flush());
      EXPECT_TRUE(co_await partition.compact_all());  // the range, kept for the snapshot, beside all keys
    }
    {
      const kv::Snapshot before(partition);
      co_await put(partition, "zz");
      const StoredKey gone = key("zz");
      EXPECT_TRUE(co_await *partition.append({.key = &gone, .value = {}, .kind = kv::Kind::erase}));
      co_await erase(partition, number(50), number(51));
      EXPECT_TRUE(co_await partition.flush());
      EXPECT_TRUE(co_await partition.settle_compaction());
    }
    EXPECT_TRUE(co_await partition.settle_compaction());
    EXPECT_EQ((co_await names(partition)).size(), 98u * 4);
    EXPECT_TRUE(co_await partition.compact_all());
    EXPECT_EQ((co_await names(partition)).size(), 98u * 4);
  }));
}

}  // namespace
}  // namespace ashlar::lsm
