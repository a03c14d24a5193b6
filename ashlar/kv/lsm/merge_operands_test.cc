/// Merge operands: through memtable, tables, levels and reopening; in batches; with expiries; with operators
/// that fail.

#include <gtest/gtest.h>

#include "ashlar/base/endian.h"
#include "ashlar/kv/lsm/operands.h"
#include "ashlar/kv/lsm/retention.h"
#include "ashlar/kv/lsm/store_testing.h"

namespace ashlar::lsm {
namespace {

using kv::Kind;
using testing::small_options;

constexpr std::uint64_t soon_ms = 1'700'000'000'000 + 60'000;  // the simulator begins a minute before

/// Refuses to merge what contains an exclamation mark.
class Picky final : public kv::MergeOperator {
 public:
  std::string_view name() const noexcept override { return "picky"; }
  Result<> merge(Bytes, std::optional<Bytes> base, std::span<const Bytes> operands,
                 std::vector<std::byte>& result) const override {
    if (base) result.assign(base->begin(), base->end());
    for (const Bytes operand : operands) {
      if (as_text(operand).contains('!')) return fail(Errc::invalid, "picky");
      result.insert(result.end(), operand.begin(), operand.end());
    }
    return {};
  }
};

class MergeOperandsTest : public testing::StoreTest {
 protected:
  static LsmOptions one_partition() {
    LsmOptions options = small_options();
    options.partitions = 1;
    return options;
  }
  LsmPartition& use(LsmStore& store, std::string_view name) {
    LsmPartition& partition = store.partition(kv::PartitionId{0});
    partition.set_rules(static_cast<std::uint8_t>(kv::KeyType::value),
                        {.merge_operator = name == "picky" ? &picky_ : operators_.find(name)});
    return partition;
  }
  static Task<Result<>> merge(LsmPartition& partition, std::string key, std::string operand,
                              std::uint64_t expiry_ms = kv::no_expiry) {
    const StoredKey stored(key);
    const auto ticket = CO_TRY(partition.append(
        {.key = &stored, .value = as_bytes(operand), .kind = Kind::merge, .expiry_ms = expiry_ms}));
    co_return co_await ticket;
  }
  static Task<std::string> read(LsmPartition& partition, std::string key, kv::ReadOptions options = {}) {
    const StoredKey stored(key);
    const auto value = co_await partition.get(stored, options);
    if (!value) co_return value.error().to_string();
    co_return *value ? std::string(as_text((*value)->bytes)) : "(absent)";
  }
  /// All that a scan shows, as "key=value " …
  static Task<std::string> scan(LsmPartition& partition, kv::Direction direction,
                                kv::ReadOptions options = {}) {
    const auto cursor = partition.scan({.direction = direction, .read = options});
    std::string text;
    while (true) {
      const auto more = co_await cursor->next();
      if (!more) co_return text + more.error().to_string();
      if (!*more) co_return text;
      text.append(as_text(kv::user_key_of_stored(cursor->item().key)))
          .append("=")
          .append(as_text(cursor->item().value))
          .append(" ");
    }
  }

  const kv::MergeOperators operators_;
  const Picky picky_;
};

TEST_F(MergeOperandsTest, OperandsMeetTheirBaseWhereverTheyAre) {
  const auto expect = [](LsmPartition& partition) -> Task<> {
    EXPECT_EQ(co_await read(partition, "both"), "base,a,b,c");
    EXPECT_EQ(co_await read(partition, "only"), "x,y");
    EXPECT_EQ(co_await read(partition, "erased"), "z");
    EXPECT_EQ(co_await read(partition, "plain"), "value");
    // In order of slots.
    const std::string forward = co_await scan(partition, kv::Direction::forward);
    for (const char* item : {"both=base,a,b,c ", "only=x,y ", "erased=z ", "plain=value "})
      EXPECT_NE(forward.find(item), forward.npos) << forward;
    EXPECT_EQ((co_await scan(partition, kv::Direction::backward)).size(), forward.size());
  };
  EXPECT_TRUE(with_store(1, one_partition(), [&](LsmStore& store) -> Task<> {
    LsmPartition& partition = use(store, "append:,");
    EXPECT_TRUE(co_await put(store, "both", "base"));
    EXPECT_TRUE(co_await put(store, "erased", "gone"));
    EXPECT_TRUE(co_await put(store, "plain", "value"));
    EXPECT_TRUE(co_await partition.flush());
    EXPECT_TRUE(co_await merge(partition, "both", "a"));
    EXPECT_TRUE(co_await merge(partition, "only", "x"));
    const StoredKey erased("erased");
    EXPECT_TRUE(co_await *partition.append({.key = &erased, .value = {}, .kind = Kind::erase}));
    EXPECT_TRUE(co_await partition.flush());
    EXPECT_TRUE(co_await merge(partition, "both", "b"));
    EXPECT_TRUE(co_await merge(partition, "erased", "z"));
    EXPECT_TRUE(co_await merge(partition, "only", "y"));
    EXPECT_TRUE(co_await merge(partition, "both", "c"));
    co_await expect(partition);  // memtable, and two tables of level 0
    EXPECT_TRUE(co_await partition.flush());
    co_await expect(partition);
    EXPECT_TRUE(co_await partition.settle_compaction());
    co_await expect(partition);
  }));
  EXPECT_TRUE(with_store(1, one_partition(),
                         [&](LsmStore& store) -> Task<> { co_await expect(use(store, "append:,")); }));
}

TEST_F(MergeOperandsTest, ASnapshotKeepsOperandsApart) {
  EXPECT_TRUE(with_store(1, one_partition(), [&](LsmStore& store) -> Task<> {
    LsmPartition& partition = use(store, "append");
    EXPECT_TRUE(co_await merge(partition, "key", "a"));
    {
      const kv::Snapshot first(partition);
      EXPECT_TRUE(co_await merge(partition, "key", "b"));
      const kv::Snapshot second(partition);
      EXPECT_TRUE(co_await merge(partition, "key", "c"));
      for (int flushes = 0; flushes < 3; ++flushes) {
        EXPECT_EQ(co_await read(partition, "key", {.snapshot = &first}), "a");
        EXPECT_EQ(co_await read(partition, "key", {.snapshot = &second}), "ab");
        EXPECT_EQ(co_await scan(partition, kv::Direction::forward, {.snapshot = &second}), "key=ab ");
        EXPECT_EQ(co_await scan(partition, kv::Direction::backward, {.snapshot = &second}), "key=ab ");
        EXPECT_EQ(co_await read(partition, "key"),
                  "abc" + std::string(static_cast<std::size_t>(flushes), 'd'));
        EXPECT_TRUE(co_await merge(partition, "key", "d"));
        EXPECT_TRUE(co_await partition.flush());
      }
    }
    EXPECT_TRUE(co_await partition.settle_compaction());
    EXPECT_EQ(co_await read(partition, "key"), "abcddd");
  }));
}

TEST_F(MergeOperandsTest, ManyAdditionsAreOneNumberInATable) {
  EXPECT_TRUE(with_store(1, one_partition(), [&](LsmStore& store) -> Task<> {
    LsmPartition& partition = use(store, "add64");
    std::byte one[8];
    store_le(one, std::uint64_t{1});
    const StoredKey key("counter");
    kv::Ticket last;
    for (int i = 0; i < 2000; ++i) {
      const auto ticket =
          partition.append({.key = &key, .value = one, .kind = Kind::merge}, kv::Durability::none);
      EXPECT_TRUE(ticket);
      if (ticket) last = *ticket;
    }
    EXPECT_TRUE(co_await partition.sync());
    const auto before = co_await partition.get(key);
    EXPECT_EQ(load_le<std::uint64_t>((*before)->bytes.data()), 2000u);
    EXPECT_TRUE(co_await partition.flush());
    EXPECT_TRUE(co_await partition.settle_compaction());
    EXPECT_LE(partition.stats().table_entries, 2u);
    const auto after = co_await partition.get(key);
    EXPECT_EQ(load_le<std::uint64_t>((*after)->bytes.data()), 2000u);
  }));
}

TEST_F(MergeOperandsTest, WhatABatchWritesToOneKeyIsOneEntry) {
  EXPECT_TRUE(with_store(1, one_partition(), [&](LsmStore& store) -> Task<> {
    LsmPartition& partition = use(store, "append:,");
    const StoredKey put_key("put"), erase_key("erase"), two("two"), over("over");
    const auto operand = [](const StoredKey& key, std::string_view value) {
      return kv::Write{.key = &key, .value = as_bytes(value), .kind = Kind::merge};
    };
    EXPECT_TRUE(co_await merge(partition, "two", "old"));
    EXPECT_TRUE(co_await merge(partition, "over", "old"));
    EXPECT_TRUE(co_await put(store, "erase", "old"));
    const kv::Write batch[] = {{.key = &put_key, .value = as_bytes("base")},
                               operand(put_key, "a"),
                               {.key = &erase_key, .value = {}, .kind = Kind::erase},
                               operand(erase_key, "b"),
                               operand(two, "c"),
                               operand(put_key, "d"),
                               operand(two, "e"),
                               operand(over, "f"),
                               {.key = &over, .value = as_bytes("g")}};
    EXPECT_TRUE(co_await *partition.append(batch, kv::Durability::durable));
    for (int flushed = 0; flushed < 2; ++flushed) {
      EXPECT_EQ(co_await read(partition, "put"), "base,a,d");
      EXPECT_EQ(co_await read(partition, "erase"), "b");
      EXPECT_EQ(co_await read(partition, "two"), "old,c,e");
      EXPECT_EQ(co_await read(partition, "over"), "g");
      EXPECT_TRUE(co_await partition.flush());
    }
  }));
}

TEST_F(MergeOperandsTest, BehindWhatHasExpiredAnOperandOfTheBatchStandsAlone) {
  EXPECT_TRUE(with_store(1, one_partition(), [&](LsmStore& store) -> Task<> {
    LsmPartition& partition = use(store, "append:,");
    const std::uint64_t now = partition.now_ms();
    const StoredKey put_key("put"), list("list"), brief("brief"), last("last"), lives("lives");
    for (const char* key : {"put", "list", "brief", "last", "lives"})
      EXPECT_TRUE(co_await put(store, key, "old"));
    const auto write = [](const StoredKey& key, std::string_view value, Kind kind, std::uint64_t expiry_ms) {
      return kv::Write{.key = &key, .value = as_bytes(value), .kind = kind, .expiry_ms = expiry_ms};
    };
    const kv::Write batch[] = {
        write(put_key, "expired", Kind::put, now),       write(put_key, "a", Kind::merge, kv::no_expiry),
        write(put_key, "b", Kind::merge, kv::no_expiry), write(list, "expired", Kind::merge, now - 1),
        write(list, "a", Kind::merge, kv::no_expiry),    write(brief, "expired", Kind::put, 1),
        write(brief, "a", Kind::merge, soon_ms),         write(last, "v", Kind::put, kv::no_expiry),
        write(last, "expired", Kind::merge, now),        write(lives, "v", Kind::put, soon_ms),
        write(lives, "a", Kind::merge, kv::no_expiry),
    };
    EXPECT_TRUE(co_await *partition.append(batch, kv::Durability::durable));
    for (int flushed = 0; flushed < 2; ++flushed) {
      for (const std::uint64_t at : {std::uint64_t{0}, soon_ms}) {
        EXPECT_EQ(co_await read(partition, "put", {.now_ms = at}), "a,b");
        EXPECT_EQ(co_await read(partition, "list", {.now_ms = at}), "a");
        EXPECT_EQ(co_await read(partition, "brief", {.now_ms = at}), at == 0 ? "a" : "(absent)");
        EXPECT_EQ(co_await read(partition, "last", {.now_ms = at}), "(absent)");
        EXPECT_EQ(co_await read(partition, "lives", {.now_ms = at}), at == 0 ? "v,a" : "(absent)");
      }
      EXPECT_TRUE(co_await partition.flush());
    }
  }));
}

TEST_F(MergeOperandsTest, AnOperandExpiresByItself) {
  EXPECT_TRUE(with_store(1, one_partition(), [&](LsmStore& store) -> Task<> {
    LsmPartition& partition = use(store, "append:,");
    const StoredKey base("base");
    EXPECT_TRUE(co_await *partition.append({.key = &base, .value = as_bytes("v"), .expiry_ms = soon_ms}));
    EXPECT_TRUE(co_await merge(partition, "base", "stays"));
    EXPECT_TRUE(co_await merge(partition, "key", "old"));
    EXPECT_TRUE(co_await merge(partition, "key", "goes", soon_ms));
    EXPECT_TRUE(co_await merge(partition, "key", "new", soon_ms + 1000));
    for (int round = 0; round < 3; ++round) {
      EXPECT_EQ(co_await read(partition, "base"), "v,stays");
      EXPECT_EQ(co_await read(partition, "base", {.now_ms = soon_ms}), "stays");
      EXPECT_EQ(co_await read(partition, "key"), "old,goes,new");
      EXPECT_EQ(co_await read(partition, "key", {.now_ms = soon_ms}), "new");  // hides what is older
      EXPECT_EQ(co_await read(partition, "key", {.now_ms = soon_ms + 1000}), "(absent)");
      EXPECT_TRUE(co_await partition.flush());
      if (round == 1) EXPECT_TRUE(co_await partition.settle_compaction());
    }
  }));
}

TEST_F(MergeOperandsTest, AFailingOperatorFailsReadsAndLosesNothing) {
  EXPECT_TRUE(with_store(1, one_partition(), [&](LsmStore& store) -> Task<> {
    LsmPartition& partition = use(store, "picky");
    EXPECT_TRUE(co_await put(store, "key", "base"));
    EXPECT_TRUE(co_await merge(partition, "key", "a"));
    EXPECT_TRUE(co_await merge(partition, "key", "b!"));
    EXPECT_TRUE(co_await merge(partition, "other", "c"));
    EXPECT_TRUE(co_await partition.flush());
    EXPECT_TRUE(co_await partition.settle_compaction());
    const StoredKey key("key");
    EXPECT_EQ((co_await partition.get(key)).error().code, Errc::invalid);
    EXPECT_EQ(co_await read(partition, "other"), "c");
    use(store, "append");  // one that can
    EXPECT_EQ(co_await read(partition, "key"), "baseab!");
  }));
  EXPECT_TRUE(with_store(1, one_partition(), [&](LsmStore& store) -> Task<> {
    LsmPartition& partition = store.partition(kv::PartitionId{0});
    const StoredKey key("key"), none("none");
    EXPECT_EQ((co_await partition.get(key)).error().code, Errc::unsupported);
    EXPECT_EQ(partition.append({.key = &none, .value = as_bytes("x"), .kind = Kind::merge}).error().code,
              Errc::unsupported);
  }));
}

TEST(MergeOperatorsTest, DoWhatTheirNamesSay) {
  const kv::MergeOperators operators;
  const auto number = [](std::int64_t value) {
    std::string text(8, '\0');
    store_le(reinterpret_cast<std::byte*>(text.data()), static_cast<std::uint64_t>(value));
    return text;
  };
  const auto merge = [&](std::string_view name, std::optional<std::string> base,
                         const std::vector<std::string>& operands) -> std::string {
    std::vector<Bytes> views;
    for (const std::string& operand : operands) views.push_back(as_bytes(operand));
    std::vector<std::byte> result;
    const auto done =
        operators.find(name)->merge({}, base ? std::optional(as_bytes(*base)) : std::nullopt, views, result);
    return done ? std::string(as_text(result)) : done.error().to_string();
  };
  EXPECT_EQ(merge("append", "a", {"b", "c"}), "abc");
  EXPECT_EQ(merge("append:,", std::nullopt, {"b", "c"}), "b,c");
  EXPECT_EQ(merge("append:;", "a", {"b"}), "a;b");
  EXPECT_EQ(merge("add64", std::nullopt, {number(5), number(-7)}), number(-2));
  EXPECT_EQ(merge("add64", number(1), {number(5)}), number(6));
  EXPECT_EQ(merge("max64", number(-3), {number(-5)}), number(-3));
  EXPECT_EQ(merge("min64", number(-3), {number(4), number(-5)}), number(-5));
  EXPECT_EQ(merge("max", "b", {"abc", "c"}), "c");
  EXPECT_EQ(merge("min", std::nullopt, {"b", "abc"}), "abc");
  EXPECT_NE(merge("add64", "text", {number(1)}).find("invalid"), std::string::npos);
  EXPECT_NE(merge("add64", std::nullopt, {"1"}).find("invalid"), std::string::npos);
  EXPECT_EQ(operators.find("unheard of"), nullptr);
  EXPECT_EQ(kv::MergeOperators().add(std::make_unique<Picky>()).has_value(), true);
}

}  // namespace
}  // namespace ashlar::lsm
