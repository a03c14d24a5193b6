/// What one table costs: `key-%08d` with values of 100 bytes, blocks in memory and parsed.

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>

#include "ashlar/kv/lsm/table/cache.h"
#include "ashlar/kv/lsm/table/table_iterator.h"
#include "ashlar/kv/lsm/table/table_testing.h"

namespace ashlar::lsm {
namespace {

struct Fixture {
  testing::MemorySink sink;
  MutableBytes file;
  Table table;
  std::vector<Block> blocks;
  std::vector<std::string> keys;  // stored form, shuffled

  explicit Fixture(std::size_t count, std::string_view prefix = "key-") {
    for (std::size_t i = 0; i < count; ++i) {
      const std::string user_key = fmt::format("{}{:08}", prefix, i);
      keys.emplace_back(as_text(StoredKey(user_key).bytes()));
    }
    std::ranges::sort(keys);
    const std::string value(100, 'v');
    TableBuilder builder({}, 1, sink);
    std::uint64_t sequence = 1ull << 60;
    for (const std::string& key : keys) {
      sequence += 1000;
      if (!builder.add({as_bytes(key), Sequence{sequence}, Kind::put, no_expiry, as_bytes(value)}))
        std::abort();
    }
    if (!builder.finish()) std::abort();
    file = sink.file();
    table = *testing::open_table(file, 1);
    std::vector<std::byte> raw;
    for (std::uint32_t i = 0; i < table.block_count(); ++i)
      blocks.push_back(*testing::read_block(table, file, i, raw));
    std::shuffle(keys.begin(), keys.end(), std::mt19937_64(1));
  }
};

const Fixture& fixture(std::size_t count) {
  static std::map<std::size_t, Fixture> made;
  return made.try_emplace(count, count).first->second;
}

/// Filter, index, in-block hash: what a warm get does in the table that holds its key.
void get(benchmark::State& state) {
  const Fixture& f = fixture(static_cast<std::size_t>(state.range(0)));
  std::size_t at = 0;
  for (auto _ : state) {
    const Bytes key = as_bytes(f.keys[at]);
    if (++at == f.keys.size()) at = 0;
    const std::uint64_t hash = key_hash(key);
    if (!f.table.may_contain(hash)) std::abort();
    const BlockLookup found = f.blocks[f.table.find(key)].find(key, hash, sequence_max);
    benchmark::DoNotOptimize(found.entry.value.data());
  }
}
BENCHMARK(get)->Arg(1000)->Arg(2'000'000);

/// The same, with the block found in the cache, as a thread that does not own it has to.
void get_cached(benchmark::State& state) {
  const Fixture& f = fixture(static_cast<std::size_t>(state.range(0)));
  const SlotClass slots[] = {{16384, f.table.block_count()}};
  Regions regions;
  MemoryBudget budget(MemoryCap::unlimited());
  BufferPool buffers(regions, budget);
  EpochDomain epochs;
  BlockCache cache(buffers, budget, slots, epochs);
  CachedBlocks cached(cache, f.table);
  for (std::uint32_t i = 0; i < f.table.block_count(); ++i) {
    BlockFill fill(cached, i);
    std::ranges::copy(f.file.subspan(fill.handle().offset, fill.handle().bytes), fill.memory().begin());
    if (!fill.finish({})) std::abort();
  }
  std::size_t at = 0;
  for (auto _ : state) {
    const Bytes key = as_bytes(f.keys[at]);
    if (++at == f.keys.size()) at = 0;
    const std::uint64_t hash = key_hash(key);
    const epoch::Guard guard;
    if (!f.table.may_contain(hash)) std::abort();
    const BlockLookup found = cached.find(f.table.find(key))->block().find(key, hash, sequence_max);
    benchmark::DoNotOptimize(found.entry.value.data());
  }
}
BENCHMARK(get_cached)->Arg(1000)->Arg(2'000'000);

/// The filter alone: what a table costs that does not hold the key.
void miss(benchmark::State& state) {
  const Fixture& f = fixture(static_cast<std::size_t>(state.range(0)));
  static const Fixture others(1000, "other-");
  std::size_t at = 0;
  for (auto _ : state) {
    const Bytes key = as_bytes(others.keys[at]);
    if (++at == others.keys.size()) at = 0;
    benchmark::DoNotOptimize(f.table.may_contain(key_hash(key)));
  }
}
BENCHMARK(miss)->Arg(1000)->Arg(2'000'000);

void index(benchmark::State& state) {
  const Fixture& f = fixture(static_cast<std::size_t>(state.range(0)));
  std::size_t at = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(f.table.find(as_bytes(f.keys[at])));
    if (++at == f.keys.size()) at = 0;
  }
}
BENCHMARK(index)->Arg(1000)->Arg(2'000'000);

void walk(benchmark::State& state) {
  const Fixture& f = fixture(2'000'000);
  const bool forward = state.range(0) != 0;
  TableIterator it(f.table);
  auto position = TableIterator::State::end;
  for (auto _ : state) {
    if (position == TableIterator::State::end)
      position = forward ? it.seek_first() : it.seek_last();
    else
      position = forward ? it.next() : it.prev();
    if (position == TableIterator::State::need_block) position = it.provide(f.blocks[it.block()]);
    benchmark::DoNotOptimize(it.entry().value.data());
  }
}
BENCHMARK(walk)->ArgName("forward")->Arg(1)->Arg(0);

/// Checksum and validation of a 16 KiB block as it comes from the device.
void open_block(benchmark::State& state) {
  const Fixture& f = fixture(2'000'000);
  std::vector<std::byte> raw;
  for (auto _ : state) benchmark::DoNotOptimize(testing::read_block(f.table, f.file, 3, raw));
}
BENCHMARK(open_block);

void build(benchmark::State& state) {
  const Fixture& f = fixture(1000);
  std::vector<std::string> keys = f.keys;
  std::ranges::sort(keys);
  const std::string value(100, 'v');
  const TableOptions options{.compression = static_cast<Compression>(state.range(0))};
  for (auto _ : state) {
    testing::MemorySink sink;
    TableBuilder builder(options, 1, sink);
    std::uint64_t sequence = 1;
    for (const std::string& key : keys) {
      if (!builder.add({as_bytes(key), Sequence{++sequence}, Kind::put, no_expiry, as_bytes(value)}))
        std::abort();
    }
    if (!builder.finish()) std::abort();
  }
  state.SetItemsProcessed(state.iterations() * 1000);
}
BENCHMARK(build)->ArgName("lz4")->Arg(0)->Arg(1);

}  // namespace
}  // namespace ashlar::lsm

BENCHMARK_MAIN();
