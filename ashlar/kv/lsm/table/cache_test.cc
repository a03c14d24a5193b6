#include "ashlar/kv/lsm/table/cache.h"

#include <gtest/gtest.h>

#include <deque>
#include <optional>
#include <random>
#include <string>
#include <thread>

#include "ashlar/kv/lsm/table/table_testing.h"
#include "ashlar/kv/lsm/test_seed.h"
#include "ashlar/runtime/sync/sleep.h"
#include "ashlar/runtime/sync/test_shard.h"
#include "ashlar/runtime/sync/when.h"

namespace ashlar::lsm {
namespace {

std::string key_of(int i) {
  return "key-" + std::to_string(100000 + i);
}
/// Says which key and table it belongs to.
std::string value_of(std::uint64_t number, int i) {
  return std::to_string(number) + "/" + std::to_string(i) +
         std::string(static_cast<std::size_t>(i % 7) * 60, '.');
}

/// A table in memory with the pointers to its cached blocks; misses are served from `file`.
struct OpenTable {
  testing::MemorySink sink;
  MutableBytes file;
  Table table;
  std::optional<CachedBlocks> cached;

  OpenTable(BlockCache& cache, std::uint64_t number, int keys, TableOptions options = {.block_bytes = 4096}) {
    TableBuilder builder(options, number, sink);
    for (int i = 0; i < keys; ++i) {
      const std::string key = key_of(i), value = value_of(number, i);
      EXPECT_TRUE(
          builder.add({as_bytes(key), Sequence{7}, Kind::put, no_expiry, as_bytes(value)}).has_value());
    }
    EXPECT_TRUE(builder.finish().has_value());
    file = sink.file();
    table = *testing::open_table(file, number);
    cached.emplace(cache, table);
  }

  Result<LoadedBlock> load(std::uint32_t ordinal) {
    if (CachedBlock* held = cached->find(ordinal)) return LoadedBlock(*held, table.is_partition(ordinal));
    BlockFill fill(*cached, ordinal);
    std::ranges::copy(file.subspan(fill.handle().offset, fill.handle().bytes), fill.memory().begin());
    return fill.finish({});
  }
  void expect_value(const Block& block, int i) const {
    const std::string key = key_of(i);
    const BlockLookup found = block.find(as_bytes(key), key_hash(as_bytes(key)), sequence_max);
    ASSERT_EQ(found.state, BlockLookup::State::found);
    ASSERT_EQ(as_text(found.entry.value), value_of(table.number(), i));
  }
  void check(int i) {
    const std::string key = key_of(i);
    if (table.partitioned()) {
      const auto partition = load(table.find_partition(as_bytes(key)));
      ASSERT_TRUE(partition.has_value()) << partition.error().to_string();
      ASSERT_TRUE(partition->partition->may_contain(key_hash(as_bytes(key))));
      expect_value(*load(partition->partition->find(as_bytes(key)))->block, i);
      return;
    }
    const auto loaded = load(table.find(as_bytes(key)));
    ASSERT_TRUE(loaded.has_value()) << loaded.error().to_string();
    expect_value(*loaded->block, i);
  }
};

struct CacheTest : ::testing::Test {
  void make(std::vector<SlotClass> classes) { cache.emplace(buffers, budget, classes, epochs); }
  MemoryCap cap{std::uint64_t{64} << 20};
  MemoryBudget budget{cap};
  Regions regions;
  BufferPool buffers{regions, budget};
  EpochDomain epochs;
  std::optional<BlockCache> cache;
};

TEST_F(CacheTest, FindsWhatWasFilled) {
  make({{4096, 64}});
  OpenTable table(*cache, 1, 1000);
  ASSERT_GT(table.table.block_count(), 10u);
  ASSERT_LT(table.table.block_count(), 64u);
  EXPECT_EQ(table.cached->find(0), nullptr);
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 1000; ++i) table.check(i);
  }
  EXPECT_EQ(cache->counters().fills, table.table.block_count());
  EXPECT_EQ(cache->counters().loose, 0u);
  EXPECT_NE(table.cached->find(0), nullptr);
}

TEST_F(CacheTest, EvictsAndStaysRight) {
  std::mt19937_64 random(test_seed());
  for (const Compression compression : {Compression::none, Compression::lz4, Compression::zstd}) {
    make({{16384, 8}, {4096, 20}});
    std::deque<OpenTable> tables;
    tables.emplace_back(*cache, 1, 2000, TableOptions{.block_bytes = 4096, .compression = compression});
    tables.emplace_back(*cache, 2, 2000, TableOptions{.block_bytes = 16384, .compression = compression});
    for (int i = 0; i < 5000; ++i) {
      tables[random() % 2].check(static_cast<int>(random() % 2000));
      if (i % 1000 == 999) {  // a compaction: one table goes, another comes
        tables.pop_front();
        tables.emplace_back(*cache, 10 + static_cast<unsigned>(i), 2000,
                            TableOptions{.compression = compression});
      }
    }
    EXPECT_GT(cache->counters().evictions, 100u);
    EXPECT_LE(cache->counters().slots_used, 28u);
    tables.clear();
    EXPECT_EQ(cache->counters().slots_used, 0u);
    cache.reset();
  }
}

TEST_F(CacheTest, KeepsPartitionsLikeBlocks) {
  make({{4096, 12}});
  OpenTable table(*cache, 1, 6000,
                  {.block_bytes = 4096, .filter_kind = FilterKind::ribbon, .partitioned = true});
  ASSERT_TRUE(table.table.partitioned());
  ASSERT_GT(table.table.ordinal_count(), table.table.block_count() + 3);
  std::mt19937_64 random(test_seed());
  for (int round = 0; round < 3000; ++round) table.check(static_cast<int>(random() % 6000));
  EXPECT_GT(cache->counters().evictions, 100u);
  EXPECT_EQ(cache->counters().loose, 0u) << "each fits a slot, with what was parsed";

  const std::uint32_t damaged = table.table.ordinal_count() - 1;
  OpenTable other(*cache, 2, 6000, {.block_bytes = 4096, .partitioned = true});
  other.file[other.table.block(damaged - 1).offset + 70] ^= std::byte{1};
  const auto loaded = other.load(damaged - 1);
  ASSERT_FALSE(loaded.has_value());
  EXPECT_EQ(loaded.error().code, Errc::corrupt);
}

TEST_F(CacheTest, LargerBlocksTakeMemoryFromSmallerOnesAsTheyAreAskedFor) {
  constexpr std::uint64_t bytes = std::uint64_t{4} << 20;
  cache.emplace(buffers, budget, slot_classes(4096, bytes), epochs, bytes);
  OpenTable small(*cache, 1, 60'000), large(*cache, 2, 4000, {.block_bytes = 65536});
  ASSERT_GT(small.table.block_count(), 1500u) << "more than there is room for";
  ASSERT_GT(large.table.block_count(), 8u);
  const auto load_all = [&](OpenTable& table) {
    for (std::uint32_t i = 0; i < table.table.block_count(); ++i) ASSERT_TRUE(table.load(i).has_value());
  };
  const auto held = [&](OpenTable& table) {
    std::uint32_t count = 0;
    for (std::uint32_t i = 0; i < table.table.block_count(); ++i) count += table.cached->holds(i);
    return count;
  };
  load_all(small);
  EXPECT_LE(budget.used_bytes(Purpose::cache), bytes + bytes / 4);
  for (int round = 0; round < 200 && held(large) < 8; ++round) {
    load_all(large);
    epochs.drain();
  }
  EXPECT_GE(held(large), 8u) << "they have taken slabs";
  EXPECT_LE(budget.used_bytes(Purpose::cache), bytes + bytes / 4);
  for (int round = 0; round < 20; ++round) load_all(small);
  EXPECT_GT(held(small), 500u) << "and the others took theirs back";
}

TEST_F(CacheTest, AScanDoesNotPushOutWhatIsUsed) {
  make({{4096, 100}});
  OpenTable hot(*cache, 1, 1000), scanned(*cache, 2, 20000);
  ASSERT_GT(scanned.table.block_count(), 300u);
  for (int round = 0; round < 5; ++round) {
    for (std::uint32_t i = 0; i < hot.table.block_count(); ++i) ASSERT_TRUE(hot.load(i).has_value());
  }
  for (std::uint32_t i = 0; i < scanned.table.block_count(); ++i) ASSERT_TRUE(scanned.load(i).has_value());
  for (std::uint32_t i = 0; i < hot.table.block_count(); ++i) EXPECT_TRUE(hot.cached->holds(i)) << i;
}

TEST_F(CacheTest, APinOutlivesEvictionAndTable) {
  make({{4096, 4}});
  std::optional<OpenTable> table(std::in_place, *cache, 1, 1000);
  LoadedBlock held = std::move(*table->load(3));
  const BlockHandle handle = table->table.block(3);
  const std::vector<std::byte> expected(
      table->file.begin() + static_cast<long>(handle.offset + frame_header_bytes),
      table->file.begin() + static_cast<long>(handle.offset + 4000));
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 1000; ++i) table->check(i);
  }
  EXPECT_TRUE(table->cached->holds(3));
  table.reset();
  OpenTable other(*cache, 2, 1000);
  for (int i = 0; i < 1000; ++i) other.check(i);
  KeyBuffer buffer;
  EXPECT_EQ(held.block->entry(0, buffer).sequence.value, 7u);
  EXPECT_TRUE(held.block->verify({}).has_value());
  held = {};
  for (int i = 0; i < 1000; ++i) other.check(i);
}

TEST_F(CacheTest, WithoutAFreeSlotABlockIsLoose) {
  make({{4096, 2}});
  OpenTable table(*cache, 1, 1000);
  std::vector<LoadedBlock> held;
  for (std::uint32_t i = 0; i < 6; ++i) held.push_back(std::move(*table.load(i)));
  EXPECT_EQ(cache->counters().loose, 4u);
  EXPECT_FALSE(table.cached->holds(5));
  EXPECT_TRUE(held[5].block->verify({}).has_value());
  held.clear();
  EXPECT_TRUE(table.load(5).has_value());
  EXPECT_TRUE(table.cached->holds(5));
}

TEST_F(CacheTest, AReaderThatStaysDoesNotEmptyTheCache) {
  make({{4096, 32}});
  OpenTable table(*cache, 1, 3000);
  ASSERT_GT(table.table.block_count(), 64u);
  for (std::uint32_t i = 0; i < 32; ++i) ASSERT_TRUE(table.load(i).has_value());
  {
    const epoch::Guard guard;
    for (std::uint32_t i = 32; i < 64; ++i) ASSERT_TRUE(table.load(i).has_value());
    EXPECT_EQ(cache->counters().slots_used, 30u);
    EXPECT_EQ(cache->counters().loose, 32u);
  }
  for (std::uint32_t i = 32; i < 64; ++i) ASSERT_TRUE(table.load(i).has_value());
  EXPECT_EQ(cache->counters().loose, 32u);
}

TEST_F(CacheTest, ABlockLargerThanEverySlotIsLoose) {
  make({{4096, 2}});
  OpenTable table(*cache, 1, 1000, {.block_bytes = 16384});
  for (int i = 0; i < 1000; i += 100) table.check(i);
  EXPECT_EQ(cache->counters().fills, 0u);
}

TEST_F(CacheTest, DamageIsReportedAndNothingIsPublished) {
  make({{4096, 2}});
  for (const Compression compression : {Compression::none, Compression::lz4, Compression::zstd}) {
    OpenTable table(*cache, 9, 1000, {.block_bytes = 16384, .compression = compression});
    const BlockHandle handle = table.table.block(1);
    table.file[handle.offset + 40] ^= std::byte{1};
    for (int i = 0; i < 10; ++i) {
      const auto loaded = table.load(1);
      ASSERT_FALSE(loaded.has_value());
      EXPECT_EQ(loaded.error().code, Errc::corrupt);
      EXPECT_EQ(loaded.error().object, 9u);
      EXPECT_EQ(loaded.error().offset, handle.offset);
      EXPECT_FALSE(table.cached->holds(1));
    }
  }
}

TEST_F(CacheTest, TwoFillsOfOneBlockAgree) {
  make({{4096, 4}});
  OpenTable table(*cache, 1, 1000);
  BlockFill a(*table.cached, 2), b(*table.cached, 2);
  for (BlockFill* fill : {&a, &b}) {
    std::ranges::copy(table.file.subspan(fill->handle().offset, fill->handle().bytes),
                      fill->memory().begin());
  }
  const auto first = a.finish({}), second = b.finish({});
  ASSERT_TRUE(first.has_value() && second.has_value());
  EXPECT_EQ(first->block, second->block);
  EXPECT_EQ(cache->counters().fills, 1u);
}

TEST_F(CacheTest, GrowsWhileThereIsRoomAndShrinksWhereOthersWantIt) {
  make({{4096, 8192}});  // 32 MiB
  OpenTable table(*cache, 1, 100'000);
  const std::uint32_t blocks = table.table.block_count();
  ASSERT_GT(blocks, 3000u);
  const auto load_all = [&] {
    for (std::uint32_t i = 0; i < blocks; ++i) ASSERT_TRUE(table.load(i).has_value());
  };
  const auto others = budget.charge_regardless(Purpose::other, (64u << 20) - (24u << 20));
  load_all();
  EXPECT_TRUE(cap.tight() || !cap.roomy());
  const std::uint64_t grown = cache->counters().slots;
  EXPECT_GT(grown, 2 * 512u);
  EXPECT_LT(grown, blocks) << "less than was wanted";

  const LoadedBlock pinned = std::move(*table.load(blocks / 2));
  std::optional<epoch::Guard> reader(std::in_place);
  const std::uint64_t before = budget.used_bytes(Purpose::cache);
  EXPECT_TRUE(cache->shrink());
  EXPECT_EQ(budget.used_bytes(Purpose::cache), before) << "a reader may still look at it";
  EXPECT_LT(cache->counters().slots, grown);
  reader.reset();
  for (int step = 0; cache->shrink(); ++step) ASSERT_LT(step, 1000);
  EXPECT_LE(cache->counters().slots, 2 * 512u) << "the last slab stays, and the one that is pinned";
  EXPECT_LT(budget.used_bytes(Purpose::cache), before);
  EXPECT_TRUE(pinned.block->verify({}).has_value());
  EXPECT_TRUE(table.cached->holds(blocks / 2));
  load_all();
  EXPECT_EQ(cache->counters().loose, 0u);
  EXPECT_GT(cache->counters().slots, 2 * 512u) << "and grows again";
}

TEST_F(CacheTest, ATableMayGoWhileASlabOfItsBlocksCloses) {
  make({{4096, 4096}});
  OpenTable stays(*cache, 1, 20'000), goes(*cache, 2, 20'000);
  const std::uint32_t blocks = std::min(stays.table.block_count(), goes.table.block_count());
  for (std::uint32_t i = 0; i < blocks; ++i) {  // side by side in every slab
    ASSERT_TRUE(stays.load(i).has_value());
    ASSERT_TRUE(goes.load(i).has_value());
  }
  ASSERT_GT(cache->counters().slots, 2 * 512u);
  // As with the last version that had it: freed when a grace period ends, which is while slots are retired.
  epochs.retire(&goes, [](void* table) noexcept { static_cast<OpenTable*>(table)->cached.reset(); });
  for (int step = 0; cache->shrink(); ++step) ASSERT_LT(step, 1000);
  epochs.drain();
  EXPECT_FALSE(goes.cached.has_value());
  EXPECT_LE(cache->counters().slots, 512u);
  for (int i = 0; i < 20'000; i += 7) stays.check(i);
}

/// Serves a miss as an engine does; the read takes a while, and ends as told.
Task<Result<LoadedBlock>> load_slowly(OpenTable& table, std::uint32_t ordinal, int& reads, Result<> read) {
  while (BlockFill* other = table.cached->filling(ordinal)) {
    LoadedBlock loaded = CO_TRY(co_await other->follow());
    if (loaded.block != nullptr) co_return loaded;
  }
  BlockFill fill(*table.cached, ordinal);
  ++reads;
  (void)co_await sleep_for(std::chrono::milliseconds(1));
  std::ranges::copy(table.file.subspan(fill.handle().offset, fill.handle().bytes), fill.memory().begin());
  co_return fill.finish(read);
}

TEST_F(CacheTest, ManyMissesOfOneBlockAreOneRead) {
  ashlar::testing::TestShard shard;
  make({{4096, 8}});
  OpenTable table(*cache, 1, 1000);
  int reads = 0;
  const auto load_all = [&](Result<> first_read) -> Task<std::vector<Result<LoadedBlock>>> {
    std::vector<Task<Result<LoadedBlock>>> loads;
    for (int i = 0; i < 10; ++i)
      loads.push_back(load_slowly(table, 3, reads, i == 0 ? first_read : Result<>{}));
    co_return co_await when_all(std::move(loads));
  };
  for (const auto& loaded : shard.run(load_all(fail(Errc::io, "read")))) {
    ASSERT_FALSE(loaded.has_value());
    EXPECT_EQ(loaded.error().code, Errc::io);
  }
  EXPECT_EQ(reads, 1);

  // A task that was cancelled fails alone; the next one reads for the rest.
  reads = 0;
  int failed = 0;
  for (const auto& loaded : shard.run(load_all(fail(Errc::cancelled, "read")))) {
    failed += !loaded;
    if (loaded) EXPECT_TRUE(loaded->block->verify({}).has_value());
  }
  EXPECT_EQ(failed, 1);
  EXPECT_EQ(reads, 2);
  EXPECT_EQ(cache->counters().fills, 1u);
}

// Readers look blocks up and read them inside epochs while the owner fills and evicts as fast as it can.
TEST_F(CacheTest, AnyThreadReadsWhileTheOwnerEvicts) {
  make({{4096, 16}});
  OpenTable table(*cache, 1, 3000);
  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> hits{0};
  const auto read = [&](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    while (!done.load(std::memory_order_relaxed)) {
      const int i = static_cast<int>(random() % 3000);
      const std::string key = key_of(i);
      const std::uint32_t ordinal = table.table.find(as_bytes(key));
      epoch::Guard guard;
      if (const CachedBlock* held = table.cached->find(ordinal)) {
        table.expect_value(held->block(), i);
        hits.fetch_add(1, std::memory_order_relaxed);
      }
    }
  };
  std::thread one(read, 1), two(read, 2);
  std::mt19937_64 random(test_seed());
  for (int i = 0; i < 30000 || hits.load() < 1000; ++i) table.check(static_cast<int>(random() % 3000));
  done = true;
  one.join();
  two.join();
  EXPECT_GT(cache->counters().evictions, 100u);
}

}  // namespace
}  // namespace ashlar::lsm
