#include "tests/crash/kv_machine.h"

#include <fmt/format.h>

#include <array>
#include <set>
#include <string>
#include <utility>

#include "ashlar/blob/device/blob_device.h"
#include "ashlar/blob/device/device_home.h"
#include "ashlar/block/registry.h"
#include "ashlar/kv/lsm/checkpoint.h"
#include "ashlar/runtime/memory/regions.h"
#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/ops/test_file.h"
#include "ashlar/runtime/sync/sleep.h"
#include "ashlar/runtime/sync/when.h"
#include "ashlar/transport/file/file_kinds.h"

namespace ashlar::crash {

namespace {

using sim::World;

lsm::LsmOptions draw_options(Random& random, const MachineShape& shape) {
  lsm::LsmOptions options;
  options.partitions = static_cast<std::uint32_t>(shape.partitions);
  options.merge_operator = "append:,";
  options.memtable_bytes = random.between(shape.memtable_kib, 4 * shape.memtable_kib) << 10;
  options.memtables_max = static_cast<std::uint32_t>(random.between(2, 3));
  options.cache_bytes = 1 << 20;
  options.flat_index_bytes = random.one_in(4) ? 0 : 64u << 20;
  options.ribbon_filters = random.one_in(2);
  options.level0_tables = static_cast<std::uint32_t>(random.between(1, 3));
  options.level1_bytes = random.between(16, 64) << 10;
  options.goal = static_cast<lsm::Goal>(random.below(4));
  options.compression = static_cast<lsm::CompressionPolicy>(random.below(5));
  options.separate_bytes = std::array{0u, 64u, 300u, 4096u}[random.below(4)];
  options.table_bytes = random.between(8, 32) << 10;
  options.table.block_bytes = random.one_in(3) ? 16384 : 4096;
  options.table.filter_bits_per_key = random.one_in(4) ? 0 : 10;
  options.log = {.segment_bytes = 96 << 10, .buffer_bytes = 16 << 10, .memory_bytes = 1 << 20, .spares = 1};
  options.directory.reserve_bytes = 64 << 10;
  return options;
}

const Registry& kinds() {
  static const Registry registry = [] {
    Registry made;
    made.add(uring_kind());
    return made;
  }();
  return registry;
}

Task<Result<std::unique_ptr<Device>>> open_device() {
  auto device = co_await kinds().open("uring:/disk");
  if (!device) co_return fail(device.error().code, "open device");
  co_return *std::move(device);
}

Task<Result<>> make_device() {
  CO_TRY(co_await ashlar::testing::make_file("/disk", 40 << 20));
  const auto device = CO_TRY(co_await open_device());
  const Result<> formatted = co_await blob::format_device(*device, {.chunk_bytes = 1 << 20});
  co_await device->close();
  co_return formatted;
}

class Life {
 public:
  Life(Machine& machine, unsigned shards, std::uint64_t seed, unsigned rounds)
      : machine_(machine), shards_(shards), random_(seed), rounds_(rounds) {}

  Task<> run() {
    ended_ = co_await live();
    done_ = true;
  }
  bool done() const { return done_; }
  const Result<>& ended() const { return ended_; }
  ::testing::AssertionResult verdict() const {
    if (!verdict_) return verdict_;
    for (const auto& work : works_) {
      if (!work->verdict()) return work->verdict();
    }
    for (const auto& work : over_all_) {
      if (!work->verdict()) return work->verdict();
    }
    return ::testing::AssertionSuccess();
  }
  void count(Ended& ended) const {
    ended.copies = copies_;
    ended.drops = drops_;
    ended.moved_bytes = moved_bytes_;
    for (const auto& work : works_) ended.operations += work->operations();
    for (const auto& work : over_all_) {
      ended.operations += work->operations();
      ended.transactions += work->committed();
    }
  }

 private:
  Task<Result<>> live() {
    auto store = CO_TRY(co_await open_store(machine_, shards_));
    const Result<> used = co_await use(*store);
    const Result<> closed = co_await store->close();
    if (!used) co_return used;
    co_return closed;
  }

  Task<Result<>> use(lsm::LsmStore& store) {
    meet_families(store);
    if (!verdict()) co_return Result<>{};
    CO_TRY(co_await look_at_all(store));
    if (!verdict()) co_return Result<>{};
    CO_TRY(co_await change_families(store));
    if (!verdict()) co_return Result<>{};
    make_works(store);
    const Result<> worked = co_await work_on(store);
    for (std::uint16_t i = 0; i < store.partitions(); ++i)
      moved_bytes_ += store.partition(kv::PartitionId{i}).stats().moved_value_bytes;
    co_return worked;
  }

  void make_works(lsm::LsmStore& store) {
    works_.clear();
    keys_ = keys_of(store, machine_.shape.keys, machine_.model.families());
    for (std::uint16_t i = 0; i < store.partitions(); ++i) {
      works_.push_back(std::make_unique<PartitionWork>(store.partition(kv::PartitionId{i}), machine_.model, i,
                                                       keys_[i], random_.next(), machine_.lives));
    }
  }

  /// The families are those that there were, but for a change that did not come to its end.
  void meet_families(lsm::LsmStore& store) {
    StoreModel& model = machine_.model;
    StoreModel::Families there;
    for (const kv::Family& family : store.families())
      there.insert(static_cast<std::uint8_t>(family.key_type()));
    const StoreModel::Families before = model.families();
    for (const std::uint8_t type : before) {
      if (there.contains(type)) continue;
      if (machine_.dropping != type)
        verdict_ = ::testing::AssertionFailure() << "column family " << unsigned{type} << " is gone";
      model.drop_family(type);
    }
    for (const std::uint8_t type : there) {
      if (!before.contains(type) && !machine_.creating)
        verdict_ = ::testing::AssertionFailure() << "column family " << unsigned{type} << " is back";
    }
    machine_.dropping.reset();
    machine_.creating = false;
    model.set_families(std::move(there));
  }

  /// While nobody else works: drops one now and then, and makes those that are missing.
  Task<Result<>> change_families(lsm::LsmStore& store) {
    StoreModel& model = machine_.model;
    const std::vector<kv::Family> there = store.families();
    if (!there.empty() && random_.one_in(4)) {
      const kv::Family& family = there[random_.below(there.size())];
      machine_.dropping = static_cast<std::uint8_t>(family.key_type());
      CO_TRY(co_await store.drop_family(family.name));
      ++drops_;
      model.drop_family(*machine_.dropping);
      machine_.dropping.reset();
      CO_TRY(co_await expect_nothing(store, family.range()));
    }
    while (model.families().size() < machine_.families && !random_.one_in(3)) {
      machine_.creating = true;
      const auto made = CO_TRY(
          co_await store.create_family(fmt::format("family {}-{}", machine_.lives, model.families().size()),
                                       {.merge_operator = machine_.options.merge_operator, .ttl_ms = 0}));
      machine_.creating = false;
      StoreModel::Families more = model.families();
      more.insert(static_cast<std::uint8_t>(made.key_type()));
      model.set_families(std::move(more));
      CO_TRY(co_await expect_nothing(store, made.range()));
    }
    co_return Result<>{};
  }
  Task<Result<>> expect_nothing(lsm::LsmStore& store, kv::KeyRange range) {
    for (std::uint16_t i = 0; i < store.partitions(); ++i) {
      const kv::PartitionId id{i};
      const bool any =
          CO_TRY(co_await invoke(store.home_of(id), [&] { return has_any(store.partition(id), range); }));
      if (any) verdict_ = ::testing::AssertionFailure() << "a dropped or new column family has keys";
    }
    co_return Result<>{};
  }
  static Task<Result<bool>> has_any(kv::Partition& partition, const kv::KeyRange& range) {
    const auto cursor = partition.scan({.first = as_bytes(range.first), .last = as_bytes(range.end)});
    co_return co_await cursor->next();
  }

  Task<Result<>> look_at_all(lsm::LsmStore& store) {
    make_works(store);
    std::vector<Task<Result<>>> verifying;
    for (std::uint16_t i = 0; i < store.partitions(); ++i)
      verifying.push_back(verify(store.home_of(kv::PartitionId{i}), *works_[i]));
    for (const Result<>& verified : co_await when_all(std::move(verifying))) CO_TRY(verified);
    std::vector<State> found;
    for (const auto& work : works_) found.push_back(work->found());
    verdict_ = machine_.model.adopt(found, first_life_ms + machine_.lives * life_ms);
    co_return Result<>{};
  }

  Task<Result<>> work_on(lsm::LsmStore& store) {
    std::vector<Task<>> working;
    for (std::uint16_t i = 0; i < store.partitions(); ++i)
      working.push_back(work(store.home_of(kv::PartitionId{i}), *works_[i]));
    if (store.partitions() > 1) {
      for (unsigned shard = 0; shard < 2; ++shard) {
        over_all_.push_back(std::make_unique<StoreWork>(store, machine_.model, keys_, random_.next(),
                                                        shard + 1, machine_.lives));
        working.push_back(
            work(ShardId{static_cast<decltype(ShardId::value)>(shard % shards_)}, *over_all_.back()));
      }
    }
    working.push_back(peek());
    Result<> copied;
    if (machine_.shape.copy_one_in != 0 && random_.one_in(machine_.shape.copy_one_in))
      working.push_back(copy(store, copied));
    co_await when_all(std::move(working));
    co_return copied;
  }

  using Transactions = std::vector<std::set<std::uint64_t>>;  // by partition

  /// A checkpoint amid all that happens: what it holds is what the store held at its sequence.
  Task<> copy(lsm::LsmStore& store, Result<>& copied) {
    (void)co_await sleep_for(std::chrono::microseconds(random_.below(3000)));
    const std::string path = fmt::format("/copy-{:04}", machine_.lives);
    const auto home = blob::directory_home(path, machine_.options.directory);
    Transactions committed;
    for (std::size_t i = 0; i < machine_.model.size(); ++i)
      committed.push_back(machine_.model.partition(i).committed());
    const auto report = co_await lsm::write_checkpoint(store, *home);
    copied = report ? co_await look_at_copy(path, report->at, committed) : std::unexpected(report.error());
    ++copies_;
  }
  Task<Result<>> look_at_copy(const std::string& path, Sequence at, const Transactions& committed) {
    auto store = CO_TRY(co_await lsm::LsmStore::open(path, machine_.options, shards_));
    Result<> looked;
    StoreModel none(machine_.shape.partitions);
    none.set_families(machine_.model.families());
    for (std::uint16_t i = 0; i < store->partitions() && looked; ++i) {
      PartitionWork work(store->partition(kv::PartitionId{i}), none, i, keys_[i], 1);
      looked = co_await verify(store->home_of(kv::PartitionId{i}), work);
      if (!looked) break;
      if (verdict_ && !work.verdict()) verdict_ = work.verdict();
      const auto right = machine_.model.partition(i).copied(work.found(), at, committed[i]);
      if (verdict_ && !right) verdict_ = right;
    }
    const Result<> closed = co_await store->close();
    if (!looked) co_return looked;
    co_return closed;
  }

  static Task<Result<>> verify(ShardId home, PartitionWork& work) {
    co_return co_await invoke(home, [&work] { return work.verify(); });
  }
  template <class Work>
  Task<> work(ShardId home, Work& work) {
    co_await invoke(home, [this, &work] { return work.run(rounds_); });
  }
  Task<> peek() {
    for (unsigned i = 0; i < rounds_; ++i) {
      works_[random_.below(works_.size())]->peek(random_);
      if (!co_await sleep_for(std::chrono::microseconds(random_.below(500)))) co_return;
    }
  }

  Machine& machine_;
  unsigned shards_;
  Random random_;
  unsigned rounds_;
  Keys keys_;
  std::vector<std::unique_ptr<PartitionWork>> works_;
  std::vector<std::unique_ptr<StoreWork>> over_all_;
  ::testing::AssertionResult verdict_ = ::testing::AssertionSuccess();
  std::uint64_t copies_ = 0, drops_ = 0, moved_bytes_ = 0;
  bool done_ = false;
  Result<> ended_;
};

}  // namespace

Machine::Machine(std::uint64_t seed, const MachineShape& wanted)
    : random(seed), shape(wanted), options(draw_options(random, shape)), model(shape.partitions) {
  if (random.one_in(2)) families = random.between(1, 2);
  if (!random.one_in(3)) return;
  std::vector<std::string> boundaries;  // between key1…, key2… and so on
  for (std::size_t i = 1; i < shape.partitions; ++i) boundaries.push_back("key" + std::to_string(i + 1));
  if (auto ranges = kv::Partitioner::ranged(std::move(boundaries))) partitioner = *std::move(ranges);
}

Task<Result<std::unique_ptr<lsm::LsmStore>>> open_store(Machine& machine, unsigned shards) {
  const kv::Partitioner* partitioner = machine.partitioner ? &*machine.partitioner : nullptr;
  if (!machine.on_device)
    co_return co_await lsm::LsmStore::open("/data", machine.options, shards, partitioner);
  auto device = CO_TRY(co_await open_device());
  co_return co_await lsm::LsmStore::open(
      blob::device_home(std::move(device), machine.options.directory.reserve_bytes), machine.options, shards,
      partitioner);
}

std::unique_ptr<Machine> machine_on_device(std::uint64_t seed) {
  auto machine = std::make_unique<Machine>(seed);
  machine->on_device = true;
  World world({.environment = {.seed = seed}}, machine->disk);
  Result<> made = fail(Errc::cancelled, "");
  const auto keep = [](Result<>* into) -> Task<> { *into = co_await make_device(); };
  world.spawn(0, world.on(0, [&] { return keep(&made); }));
  EXPECT_EQ(world.run_to_end(), World::Outcome::done);
  EXPECT_TRUE(made) << made.error().to_string();
  return machine;
}

Keys keys_of(const kv::Store& store, std::size_t per_partition, const StoreModel::Families& families) {
  Keys keys(store.partitions());
  std::vector<kv::KeyType> types = {kv::KeyType::value};
  for (const std::uint8_t type : families) types.push_back(static_cast<kv::KeyType>(type));
  for (std::size_t i = 0, full = 0; full < keys.size(); ++i) {
    const std::string text = "key" + std::to_string(i) + std::string(i % 7 == 0 ? 150 : 0, 'k');
    kv::StoredKey key = store.stored(as_bytes(text), types[i % types.size()]);
    auto& mine = keys[store.partition_of(key).value];
    if (mine.size() == per_partition) continue;
    mine.push_back(std::move(key));
    full += mine.size() == per_partition ? 1 : 0;
  }
  return keys;
}

Ended live(Machine& machine, const Fate& fate, unsigned rounds, Coverage& coverage) {
  const std::uint64_t seed = machine.random.next();
  const auto shards = static_cast<unsigned>(machine.random.between(1, 3));
  SCOPED_TRACE("life with seed " + std::to_string(seed) + " on " + std::to_string(shards) + " shards, " +
               describe(fate));
  if (machine.shape.redraw_options) machine.options = draw_options(machine.random, machine.shape);
  World world({.shards = shards + machine.options.background_shards,
               .environment = {.seed = seed,
                               .wall_ms = first_life_ms + machine.lives * life_ms,
                               .receive_buffers = 1},
               .turns_max = 5'000'000},
              machine.disk);
  apply(fate, world.faults());
  Life life(machine, shards, seed, rounds);
  world.spawn(0, life.run());
  const auto outcome = world.run_until([&] { return life.done(); });
  EXPECT_EQ(outcome, World::Outcome::done) << world.report();
  if (outcome != World::Outcome::done) std::abort();  // its tasks cannot be ended
  EXPECT_EQ(world.run_to_end(), World::Outcome::done) << world.report();
  ++machine.lives;
  // The next life takes the same memory again: it need not be given back and zeroed in between.
  for (std::uint32_t id = 0; id < Regions::process().count(); ++id) Regions::process().keep_pages(id);
  const bool off = !world.environment().powered();
  EXPECT_TRUE(life.verdict());
  EXPECT_TRUE(life.ended() || off || fate.fails()) << life.ended().error().to_string();
  EXPECT_TRUE(life.ended() || life.ended().error().code != Errc::corrupt) << life.ended().error().to_string();
  coverage.add(world.faults());
  Ended ended{.right = !::testing::Test::HasFailure(), .cut = off && !fate.kill, .digest = world.digest()};
  life.count(ended);
  return ended;
}

}  // namespace ashlar::crash
