#include "ashlar/kv/lsm/manifest.h"

#include <gtest/gtest.h>

#include "ashlar/base/random.h"
#include "ashlar/kv/lsm/batch.h"
#include "ashlar/kv/lsm/test_seed.h"

namespace ashlar::lsm {
namespace {

TableMeta named(unsigned level, std::uint64_t number, char smallest, char largest) {
  return {.level = level,
          .run = default_run(level, number),
          .number = number,
          .file_bytes = 8192,
          .entries = 10,
          .tombstones = 1,
          .smallest_sequence = Sequence{number * 100},
          .largest_sequence = Sequence{number * 100 + 50},
          .smallest_key = std::string(5, smallest),
          .largest_key = std::string(5, largest)};
}

Edit round_trip(const Edit& edit) {
  const auto bytes = edit.encode();
  auto decoded = Edit::decode(bytes, {});
  EXPECT_TRUE(decoded) << decoded.error().to_string();
  EXPECT_EQ(decoded->encode(), bytes);
  return *decoded;
}

TEST(Manifest, AddsUpEditsAndItsSnapshotSaysTheSame) {
  ManifestState state;
  ASSERT_TRUE(state.apply(round_trip({.snapshot = true,
                                      .partition = 3,
                                      .next_number = 10,
                                      .flushed = Sequence{550},
                                      .log_index = 77,
                                      .cleared = {},
                                      .last_sequence = Sequence{600},
                                      .added = {named(0, 4, 'a', 'm'), named(0, 5, 'c', 'z')},
                                      .removed = {}}),
                          {}));
  Edit compaction;
  compaction.next_number = 12;
  compaction.removed = {4, 5};
  compaction.added = {named(1, 10, 'n', 'z'), named(1, 11, 'a', 'm')};
  ASSERT_TRUE(state.apply(round_trip(compaction), {}));
  ASSERT_EQ(state.in_order().size(), 2u);
  EXPECT_EQ(state.in_order()[0]->number, 11u);

  ManifestState restored;
  ASSERT_TRUE(restored.apply(round_trip(state.snapshot()), {}));
  EXPECT_EQ(restored.tables, state.tables);
  EXPECT_EQ(restored.log_index, 77u);
  EXPECT_EQ(restored.partition, 3u);
  EXPECT_EQ(restored.last_sequence, Sequence{600});
}

TEST(Manifest, ALevelMayHaveRunsThatOverlap) {
  const auto in_run = [](std::uint64_t run, std::uint64_t number, char smallest, char largest) {
    TableMeta table = named(1, number, smallest, largest);
    table.run = run;
    return table;
  };
  ManifestState state;
  ASSERT_TRUE(state.apply(
      round_trip({.snapshot = true,
                  .next_number = 20,
                  .added = {in_run(0, 4, 'a', 'm'), in_run(8, 6, 'k', 'z'), in_run(8, 5, 'a', 'j'),
                            in_run(9, 7, 'b', 'c'), named(0, 11, 'a', 'z'), named(0, 12, 'a', 'z')}}),
      {}));
  std::vector<std::uint64_t> numbers;
  for (const TableMeta* table : state.in_order()) numbers.push_back(table->number);
  EXPECT_EQ(numbers, (std::vector<std::uint64_t>{12, 11, 7, 5, 6, 4}));
  ManifestState restored;
  ASSERT_TRUE(restored.apply(round_trip(state.snapshot()), {}));
  EXPECT_EQ(restored.tables, state.tables);

  EXPECT_FALSE(state.apply({.added = {in_run(8, 13, 'i', 'j')}}, {}));
  EXPECT_FALSE(state.apply({.added = {in_run(20, 13, 'i', 'j')}}, {}));
  EXPECT_TRUE(state.apply({.added = {in_run(10, 13, 'i', 'j')}}, {}));
}

/// Edits as they were written before there were runs: level 0 newest first, one run on each further level.
TEST(Manifest, ReadsTablesWithoutARun) {
  const auto text = [](std::initializer_list<int> bytes) {
    std::vector<std::byte> result;
    for (const int byte : bytes) result.push_back(static_cast<std::byte>(byte));
    return result;
  };
  for (const int level : {0, 1}) {
    const auto edit =
        Edit::decode(text({6, 15, level, 4, 100, 10, 1, 20, 30, 3, 'a', 'b', 'c', 3, 'd', 'e', 'f'}), {});
    ASSERT_TRUE(edit) << edit.error().to_string();
    EXPECT_EQ(edit->added.at(0).run, level == 0 ? 4u : 0u);
    EXPECT_EQ(edit->added.at(0).number, 4u);
  }
}

TEST(Manifest, RefusesEditsThatContradictIt) {
  ManifestState state;
  ASSERT_TRUE(state.apply(
      {.snapshot = true, .next_number = 10, .flushed = Sequence{9}, .added = {named(1, 4, 'a', 'm')}}, {}));
  const auto refused = [&](const Edit& edit) {
    const auto before = state.snapshot().encode();
    const auto result = state.apply(edit, {.object = 7, .offset = 4096});
    return !result && result.error().code == Errc::corrupt && result.error().offset == 4096 &&
           state.snapshot().encode() == before;
  };
  EXPECT_TRUE(refused({.removed = {5}}));
  EXPECT_TRUE(refused({.added = {named(0, 4, 'a', 'b')}}));
  EXPECT_TRUE(refused({.added = {named(0, 10, 'a', 'b')}}));
  EXPECT_TRUE(refused({.added = {named(1, 6, 'm', 'z')}}));
  EXPECT_TRUE(refused({.flushed = Sequence{8}}));
}

TEST(Manifest, KnowsValueTables) {
  ManifestState state;
  Edit flush{.snapshot = true, .next_number = 10, .added = {named(0, 4, 'a', 'm')}};
  flush.added_values = {{.number = 3, .data_bytes = 4112}, {.number = 7, .data_bytes = 16}};
  ASSERT_TRUE(state.apply(round_trip(flush), {}));
  EXPECT_EQ(state.numbers(), (std::vector<std::uint64_t>{3, 4, 7}));
  EXPECT_EQ(state.file_bytes(3), 3 * 4096u);
  EXPECT_EQ(state.file_bytes(4), 8192u);
  ManifestState restored;
  ASSERT_TRUE(restored.apply(round_trip(state.snapshot()), {}));
  EXPECT_EQ(restored.values, state.values);

  const auto refused = [&](std::vector<ValueTableMeta> added, std::vector<std::uint64_t> removed) {
    Edit edit;
    edit.added_values = std::move(added);
    edit.removed_values = std::move(removed);
    const auto before = state.snapshot().encode();
    return !state.apply(edit, {}) && state.snapshot().encode() == before;
  };
  EXPECT_TRUE(refused({{.number = 4, .data_bytes = 16}}, {}));
  EXPECT_TRUE(refused({{.number = 7, .data_bytes = 16}}, {}));
  EXPECT_TRUE(refused({{.number = 10, .data_bytes = 16}}, {}));
  EXPECT_TRUE(refused({}, {4}));
  EXPECT_FALSE(state.apply({.added = {named(0, 7, 'a', 'm')}}, {}));
  EXPECT_FALSE(refused({{.number = 8, .data_bytes = 32}}, {3}));
  EXPECT_EQ(state.numbers(), (std::vector<std::uint64_t>{4, 7, 8}));
  for (const std::uint64_t bytes : {0u, 17u}) {
    Edit odd;
    odd.added_values = {{.number = 9, .data_bytes = bytes}};
    EXPECT_FALSE(Edit::decode(odd.encode(), {}));
  }
}

TEST(Manifest, SkipsWhatItMayAndRefusesWhatItMust) {
  const std::byte skippable[] = {std::byte{0x80}, std::byte{0x01}, std::byte{1}, std::byte{0}};
  EXPECT_TRUE(Edit::decode(skippable, {}));
  const std::byte needed[] = {std::byte{0x20}, std::byte{0}};
  EXPECT_EQ(Edit::decode(needed, {}).error().code, Errc::unsupported);
}

TEST(Manifest, DamagedEditsAreErrorsAtMost) {
  Random random(test_seed());
  const auto bytes = Edit{.next_number = 9, .added = {named(0, 4, 'a', 'm')}, .removed = {1, 2}}.encode();
  for (int round = 0; round < 2000; ++round) {
    auto damaged = bytes;
    for (int flips = 0; flips < 3; ++flips)
      damaged[random.below(damaged.size())] = static_cast<std::byte>(random.next());
    damaged.resize(random.between(0, damaged.size()));
    if (const auto edit = Edit::decode(damaged, {})) (void)edit->encode();
  }
}

TEST(Batch, SurvivesEncodingAndDamage) {
  const StoredKey key("key"), other("other");
  const kv::Write writes[] = {{.key = nullptr, .value = {}, .kind = Kind::clear},
                              {.key = &key, .value = as_bytes("value"), .expiry_ms = 12345},
                              {.key = &other, .value = {}, .kind = Kind::erase},
                              {.key = &other, .value = {}}};
  std::vector<std::byte> bytes(batch_bytes(writes));
  ASSERT_EQ(encode_batch(writes, bytes.data()), bytes.data() + bytes.size());
  BatchReader reader(bytes, Sequence{5}, {});
  for (const kv::Write& write : writes) {
    ASSERT_TRUE(*reader.next());
    EXPECT_EQ(reader.entry().kind, write.kind);
    EXPECT_EQ(reader.entry().expiry_ms, write.expiry_ms);
    EXPECT_EQ(as_text(reader.entry().value), as_text(write.value));
    EXPECT_EQ(reader.entry().sequence, Sequence{5});
    if (write.key != nullptr) {
      EXPECT_TRUE(equal(reader.entry().key, write.key->bytes()));
    }
  }
  EXPECT_FALSE(*reader.next());

  Random random(test_seed());
  for (int round = 0; round < 2000; ++round) {
    auto damaged = bytes;
    damaged[random.below(damaged.size())] = static_cast<std::byte>(random.next());
    damaged.resize(random.between(0, damaged.size()));
    BatchReader in(damaged, Sequence{1}, {});
    for (auto more = in.next(); more && *more; more = in.next()) {
    }
  }
}

}  // namespace
}  // namespace ashlar::lsm
