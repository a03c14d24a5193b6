#include "ashlar/kv/lsm/table/table.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

#include "ashlar/kv/lsm/table/table_iterator.h"
#include "ashlar/kv/lsm/table/table_testing.h"
#include "ashlar/kv/lsm/test_seed.h"

namespace ashlar::lsm {
namespace {

using testing::MemorySink;
using State = TableIterator::State;

constexpr std::uint64_t number = 42;

struct Version {
  Kind kind;
  std::uint64_t expiry_ms;
  std::string value;
};
struct Newest {  // keys ascending, of one key the newest first
  bool operator()(const std::pair<std::string, std::uint64_t>& a,
                  const std::pair<std::string, std::uint64_t>& b) const {
    return a.first != b.first ? a.first < b.first : a.second > b.second;
  }
};
using Model = std::map<std::pair<std::string, std::uint64_t>, Version, Newest>;

/// A table in memory beside the model it was built from.
struct Built {
  MemorySink sink;
  MutableBytes file;
  Table table;
  std::vector<std::vector<std::byte>> raw;
  std::vector<Block> blocks;

  Built(const Model& model, const TableOptions& options) {
    TableBuilder builder(options, number, sink);
    for (const auto& [key, version] : model) {
      const auto added = builder.add({as_bytes(key.first), Sequence{key.second}, version.kind,
                                      version.expiry_ms, as_bytes(version.value)});
      EXPECT_TRUE(added.has_value()) << added.error().to_string();
    }
    EXPECT_TRUE(builder.finish().has_value());
    file = sink.file();
    EXPECT_EQ(builder.file_bytes(), file.size());
    auto opened = testing::open_table(file, number);
    EXPECT_TRUE(opened.has_value()) << opened.error().to_string();
    table = std::move(*opened);
    EXPECT_EQ(table.properties(), builder.properties());
    raw.resize(table.block_count());
    for (std::uint32_t i = 0; i < table.block_count(); ++i) {
      const auto block = testing::read_block(table, file, i, raw[i]);
      EXPECT_TRUE(block.has_value()) << block.error().to_string();
      EXPECT_TRUE(block->verify({}).has_value());
      blocks.push_back(*block);
    }
  }

  const Entry* get(std::string_view key, std::uint64_t snapshot) {
    const std::uint64_t hash = key_hash(as_bytes(key));
    std::uint32_t at = 0;
    if (table.partitioned()) {
      const std::uint32_t ordinal = table.find_partition(as_bytes(key));
      if (ordinal == table.ordinal_count()) return nullptr;
      const auto partition = testing::read_partition(table, file, ordinal);
      EXPECT_TRUE(partition.has_value()) << partition.error().to_string();
      if (!partition->may_contain(hash)) return nullptr;
      at = partition->find(as_bytes(key));
    } else {
      if (!table.may_contain(hash)) return nullptr;
      at = table.find(as_bytes(key));
    }
    if (at == table.block_count()) return nullptr;
    for (; at < table.block_count(); ++at) {
      const BlockLookup found = blocks[at].find(as_bytes(key), hash, Sequence{snapshot});
      if (found.state == BlockLookup::State::absent) return nullptr;
      if (found.state == BlockLookup::State::found) return &(last = found.entry);
    }
    ADD_FAILURE() << "a block continues beyond the table";
    return nullptr;
  }
  State settle(TableIterator& it, State state) {
    while (state == State::need_block) {
      state = it.needs_partition() ? it.provide(*testing::read_partition(table, file, it.block()))
                                   : it.provide(blocks[it.block()]);
    }
    return state;
  }
  Entry last;
};

void expect_same(const Entry& entry, const Model::value_type& expected) {
  ASSERT_EQ(as_text(entry.key), expected.first.first);
  ASSERT_EQ(entry.sequence.value, expected.first.second);
  ASSERT_EQ(entry.kind, expected.second.kind);
  ASSERT_EQ(entry.expiry_ms, expected.second.expiry_ms);
  ASSERT_EQ(as_text(entry.value), expected.second.value);
}

std::string random_key(std::mt19937_64& random, unsigned space) {
  std::string key(1, '\x01');
  key += "shared-" + std::to_string(random() % space);
  if (random() % 8 == 0) key.append(random() % 40, static_cast<char>(random()));
  return key;
}

Model random_model(std::mt19937_64& random) {
  Model model;
  const auto entries = 1 + random() % 3000;
  const auto space = 1 + static_cast<unsigned>(random() % 2000);
  const std::uint64_t sequences = 1ull << (1 + random() % 63), value_max = 1ull << (random() % 9);
  for (std::uint64_t i = 0; i < entries; ++i) {
    const bool erase = random() % 10 == 0;
    const std::uint64_t expiry = !erase && random() % 5 == 0 ? 1 + random() % (1ull << 45) : no_expiry;
    const std::size_t size = erase ? 0 : random() % 500 == 0 ? random() % 40000 : random() % value_max;
    model[{random_key(random, space), random() % sequences}] = {
        erase ? Kind::erase : Kind::put, expiry, std::string(size, static_cast<char>('a' + i % 26))};
  }
  return model;
}

TableOptions random_options(std::mt19937_64& random) {
  return {.block_bytes = block_bytes_min << (random() % 5),
          .compression = static_cast<Compression>(random() % 3),
          .restart_shift = static_cast<std::uint8_t>(random() % 8),
          .filter_bits_per_key = static_cast<std::uint8_t>(random() % 16),
          .filter_kind = random() % 2 == 0 ? FilterKind::bloom : FilterKind::ribbon,
          .partitioned = random() % 2 == 0};
}

void check_gets(Built& built, const Model& model, std::mt19937_64& random) {
  for (int i = 0; i < 500; ++i) {
    const std::string key =
        random() % 2 == 0 ? random_key(random, 2000)
                          : std::next(model.begin(), static_cast<long>(random() % model.size()))->first.first;
    const std::uint64_t snapshot = random() % 2 == 0 ? ~0ull : random();
    const auto expected = model.lower_bound({key, snapshot});
    const Entry* entry = built.get(key, snapshot);
    if (expected == model.end() || expected->first.first != key) {
      ASSERT_EQ(entry, nullptr);
    } else {
      ASSERT_NE(entry, nullptr);
      expect_same(*entry, *expected);
    }
  }
}

void check_walks(Built& built, const Model& model, std::mt19937_64& random) {
  TableIterator it(built.table);
  auto expected = model.begin();
  for (State s = built.settle(it, it.seek_first()); s != State::end; s = built.settle(it, it.next())) {
    ASSERT_NE(expected, model.end());
    expect_same(it.entry(), *expected++);
  }
  EXPECT_EQ(expected, model.end());
  for (State s = built.settle(it, it.seek_last()); s != State::end; s = built.settle(it, it.prev())) {
    ASSERT_NE(expected, model.begin());
    expect_same(it.entry(), *--expected);
  }
  EXPECT_EQ(expected, model.begin());

  for (int i = 0; i < 200; ++i) {
    const std::string key =
        random() % 4 == 0 ? std::string(1, static_cast<char>(random())) : random_key(random, 2000);
    const std::uint64_t sequence = random() % 2 == 0 ? ~0ull : random();
    const bool before = random() % 2 == 0;
    auto at = model.lower_bound({key, sequence});
    State s = built.settle(it, before ? it.seek_before(as_bytes(key), Sequence{sequence})
                                      : it.seek(as_bytes(key), Sequence{sequence}));
    if (before && at == model.begin()) {
      ASSERT_EQ(s, State::end);
      continue;
    }
    if (before) --at;
    for (int step = 0; step < 20; ++step) {  // to and fro from there
      if (at == model.end()) {
        ASSERT_EQ(s, State::end);
        break;
      }
      ASSERT_EQ(s, State::entry);
      expect_same(it.entry(), *at);
      const bool forward = random() % 2 == 0;
      if (!forward && at == model.begin()) break;
      forward ? ++at : --at;
      s = built.settle(it, forward ? it.next() : it.prev());
    }
  }
}

TEST(Table, AgreesWithAMap) {
  std::mt19937_64 random(test_seed());
  for (int round = 0; round < 40 && !HasFatalFailure(); ++round) {
    const Model model = random_model(random);
    Built built(model, random_options(random));
    check_gets(built, model, random);
    check_walks(built, model, random);
  }
}

/// Filters and index are where they are read when they are wanted; what stays in memory is little.
TEST(Table, KeepsAPartitionedIndexOutOfMemory) {
  Model model;
  for (int i = 0; i < 40'000; ++i)
    model[{"{s}key" + std::to_string(100'000 + i), 7}] = {Kind::put, no_expiry, std::string(60, 'v')};
  Built flat(model, {.block_bytes = block_bytes_min});
  Built parts(model, {.block_bytes = block_bytes_min, .partitioned = true});
  EXPECT_FALSE(flat.table.partitioned());
  ASSERT_TRUE(parts.table.partitioned());
  const auto meta_bytes = [](const Built& built) {
    const Footer footer = *Footer::decode(Bytes(built.file).last(page_bytes), number, built.file.size());
    return footer.offset - footer.meta;
  };
  EXPECT_LT(meta_bytes(parts) * 10, meta_bytes(flat));
  for (std::uint32_t i = parts.table.block_count(); i < parts.table.ordinal_count(); ++i) {
    EXPECT_LE(parts.table.block(i).bytes, block_bytes_min) << "a partition fits the slot of a block";
  }
  int wrong = 0;
  for (int i = 0; i < 2000; ++i) {
    ASSERT_NE(parts.get("{s}key" + std::to_string(100'000 + i * 20), ~0ull), nullptr);
    const std::string absent = "{s}key" + std::to_string(100'000 + i * 20) + "x";
    const std::uint32_t ordinal = parts.table.find_partition(as_bytes(absent));
    if (ordinal == parts.table.ordinal_count()) continue;
    wrong +=
        testing::read_partition(parts.table, parts.file, ordinal)->may_contain(key_hash(as_bytes(absent)));
  }
  EXPECT_LT(wrong, 60);

  for (std::uint32_t i = parts.table.block_count(); i < parts.table.ordinal_count(); i += 7) {
    const std::uint64_t offset = parts.table.block(i).offset;
    parts.file[offset + 100] ^= std::byte{1};
    const auto damaged = testing::read_partition(parts.table, parts.file, i);
    ASSERT_FALSE(damaged.has_value());
    EXPECT_EQ(damaged.error().code, Errc::corrupt);
    EXPECT_EQ(damaged.error().offset, offset);
  }
}

TEST(Table, ATableOfOnePartitionHasItInMemory) {
  Built small({{{"key", 1}, {Kind::put, no_expiry, "value"}}}, {.partitioned = true});
  EXPECT_FALSE(small.table.partitioned());
  EXPECT_EQ(
      load_le<std::uint32_t>(small.file.data() + small.file.size() - page_bytes + frame_header_bytes + 8), 2u)
      << "and former versions can read it";
}

TEST(Table, SpreadsTheVersionsOfOneKeyOverBlocks) {
  Model model;
  for (std::uint64_t i = 1; i <= 2000; ++i) model[{"hot", i}] = {Kind::put, no_expiry, std::to_string(i)};
  model[{"cold", 1}] = {Kind::put, no_expiry, "before"};
  model[{"zero", 1}] = {Kind::put, no_expiry, "after"};
  for (const bool partitioned : {false, true}) {
    Built built(model, {.block_bytes = block_bytes_min, .partitioned = partitioned});
    ASSERT_GT(built.table.block_count(), 4u);
    for (std::uint64_t i = 1; i <= 2000; ++i) {
      const Entry* entry = built.get("hot", i);
      ASSERT_NE(entry, nullptr);
      ASSERT_EQ(as_text(entry->value), std::to_string(i));
    }
    EXPECT_EQ(built.get("hot", 0), nullptr);
    EXPECT_EQ(built.table.properties().keys, 3u);
  }
}

TEST(Table, KnowsWhenItsEntriesWillHaveExpired) {
  for (const std::uint64_t count : {1u, 3u, 4u, 1000u, 100'000u}) {
    ExpirySample sample;
    for (std::uint64_t i = 0; i < count; ++i) sample.add(1 + (i * 7919) % count);
    const auto quartiles = sample.quartiles();
    for (std::uint64_t quarter = 1; quarter <= 3; ++quarter) {
      EXPECT_NEAR(static_cast<double>(quartiles[quarter - 1]), static_cast<double>((count * quarter + 3) / 4),
                  count <= 1000 ? 0.0 : 0.05 * static_cast<double>(count))
          << count;
    }
  }
  EXPECT_EQ(ExpirySample().quartiles(), (std::array<std::uint64_t, 3>{}));
}

/// Tables are kept for years: a change here needs a new format version.
TEST(Table, TheFormatDoesNotChange) {
  Model model;
  for (int i = 0; i < 300; ++i) {
    const Kind kind = i % 7 == 3 ? Kind::erase : Kind::put;
    model[{"key" + std::to_string(1000 + i / 3 * 3), 1'000'000u + static_cast<unsigned>(i)}] = {
        kind, i % 5 == 2 && kind == Kind::put ? 1'700'000'000'000u : no_expiry,
        kind == Kind::put ? std::string(static_cast<std::size_t>(i), 'v') : std::string()};
  }
  Built built(model, {.block_bytes = block_bytes_min});
  EXPECT_EQ(crc32c(built.file), 2138997864u);
}

TEST(Table, CompressesOnlyWhereItSavesPages) {
  Model model;
  std::mt19937_64 random(1);
  for (int i = 0; i < 1000; ++i)
    model[{"text" + std::to_string(10000 + i), 1}] = {Kind::put, no_expiry, std::string(100, 'a')};
  for (const Compression compression : {Compression::lz4, Compression::zstd}) {
    Built text(model, {.compression = compression});
    EXPECT_LT(text.table.properties().data_bytes * 2, text.table.properties().data_raw_bytes);
  }
  for (auto& [key, version] : model) {
    for (char& c : version.value) c = static_cast<char>(random());
  }
  for (const Compression compression : {Compression::lz4, Compression::zstd}) {
    Built noise(model, {.compression = compression});
    EXPECT_EQ(noise.table.block(0).bytes, 16384u);
  }
}

TEST(Table, RefusesWhatIsOutOfOrderOrTooLarge) {
  MemorySink sink;
  TableBuilder builder({}, number, sink);
  const auto add = [&](std::string_view key, std::uint64_t sequence) {
    return builder.add({as_bytes(key), Sequence{sequence}, Kind::put, no_expiry, {}});
  };
  EXPECT_EQ(builder.finish().error().code, Errc::invalid);
  EXPECT_TRUE(add("kkb", 5).has_value());
  EXPECT_EQ(add("kka", 9).error().code, Errc::invalid);
  EXPECT_EQ(add("kkb", 5).error().code, Errc::invalid);
  EXPECT_EQ(add("kkb", 6).error().code, Errc::invalid);
  EXPECT_TRUE(add("kkb", 4).has_value());
  EXPECT_EQ(add("", 4).error().code, Errc::invalid);
  EXPECT_EQ(add("kl", 4).error().code, Errc::invalid);
  EXPECT_EQ(add(std::string(kv::stored_key_bytes_max + 1, 'l'), 4).error().code, Errc::invalid);
}

TEST(Table, ReportsASinkWithoutMemory) {
  struct Empty final : TableSink {
    MutableBytes allocate(std::uint64_t, std::size_t) override { return {}; }
  } sink;
  TableBuilder builder({}, number, sink);
  EXPECT_TRUE(builder.add({as_bytes("key"), Sequence{1}, Kind::put, no_expiry, {}}).has_value());
  EXPECT_EQ(builder.finish().error().code, Errc::no_memory);
}

/// Flips a bit anywhere: what the checksums cover is refused, with the table's number; padding may change.
TEST(Table, AnyFlippedBitIsFoundOrMeansNothing) {
  Model model;
  for (int i = 0; i < 300; ++i)
    model[{"key" + std::to_string(1000 + i), 7}] = {Kind::put, no_expiry, std::string(90, 'v')};
  Built built(model, {.block_bytes = block_bytes_min});
  const std::vector<std::byte> good(built.file.begin(), built.file.end());
  std::size_t found = 0;
  std::vector<std::byte> raw;
  for (std::size_t at = 0; at < good.size(); at += 3) {
    built.file[at] ^= std::byte{0x04};
    bool damaged = false;
    if (const auto table = testing::open_table(built.file, number)) {
      EXPECT_EQ(table->properties(), built.table.properties());
      const std::uint32_t block = table->block_count() - 1;
      for (std::uint32_t i = 0; i <= block && at < table->block(block).offset + table->block(block).bytes;
           ++i) {
        const auto handle = table->block(i);
        if (at < handle.offset || at >= handle.offset + handle.bytes) continue;
        const auto read = testing::read_block(*table, built.file, i, raw);
        damaged = !read.has_value();
        if (damaged) {
          EXPECT_EQ(read.error().code, Errc::corrupt);
          EXPECT_EQ(read.error().object, number);
          EXPECT_EQ(read.error().offset, handle.offset);
        }
      }
    } else {
      damaged = true;
      EXPECT_EQ(table.error().code, Errc::corrupt);
      EXPECT_EQ(table.error().object, number);
    }
    found += damaged;
    built.file[at] = good[at];
  }
  EXPECT_GT(found, 300 * 90 / 3);
}

TEST(Table, NamesItsPartitionAndFormerVersionsDoNot) {
  MemorySink sink;
  TableBuilder builder({}, number, sink, 5);
  ASSERT_TRUE(builder.add({as_bytes("key"), Sequence{1}, Kind::put, no_expiry, {}}));
  ASSERT_TRUE(builder.finish());
  const MutableBytes file = sink.file();
  const MutableBytes page = file.last(page_bytes);
  EXPECT_EQ(Footer::decode(page, number, file.size())->owner, 5u);
  EXPECT_TRUE(Footer::decode(page, number, file.size(), 5));
  const auto other = Footer::decode(page, number, file.size(), 6);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Errc::corrupt);
  EXPECT_EQ(other.error().object, number);

  // As version 1 wrote it: without the partition.
  store_le<std::uint32_t>(page.data() + frame_header_bytes + 8, 1);
  seal_frame(page, FrameType::footer, Compression::none, 80, 80, {number, file.size() - page_bytes});
  const auto former = Footer::decode(page, number, file.size(), 6);
  ASSERT_TRUE(former);
  EXPECT_EQ(former->owner, owner_unknown);
  EXPECT_TRUE(testing::open_table(file, number));
}

TEST(Table, AMisplacedBlockIsCorrupt) {
  Model model;
  for (int i = 0; i < 300; ++i)
    model[{"key" + std::to_string(1000 + i), 7}] = {Kind::put, no_expiry, std::string(90, 'v')};
  Built built(model, {.block_bytes = block_bytes_min});
  ASSERT_GE(built.table.block_count(), 2u);
  std::vector<std::byte> raw;
  std::memcpy(built.file.data(), built.file.data() + page_bytes, page_bytes);
  EXPECT_EQ(testing::read_block(built.table, built.file, 0, raw).error().code, Errc::corrupt);
  EXPECT_TRUE(testing::read_block(built.table, built.file, 1, raw).has_value());
  EXPECT_EQ(testing::open_table(built.file, number + 1).error().code, Errc::corrupt);
}

}  // namespace
}  // namespace ashlar::lsm
