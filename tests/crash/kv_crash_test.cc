/// Power cuts under the whole engine: several partitions on several shards, reopened on another number of
/// them.

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ashlar/blob/device/blob_device.h"
#include "ashlar/blob/device/device_home.h"
#include "ashlar/block/registry.h"
#include "ashlar/kv/lsm/store.h"
#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/ops/file.h"
#include "ashlar/runtime/sync/sleep.h"
#include "ashlar/runtime/sync/when.h"
#include "ashlar/transport/file/file_kinds.h"
#include "tests/crash/harness.h"
#include "tests/crash/kv_work.h"

namespace ashlar::crash {
namespace {

using sim::World;

constexpr std::uint32_t partitions = 2;
constexpr std::size_t keys_per_partition = 40;

lsm::LsmOptions small_options(Random& random) {
  lsm::LsmOptions options;
  options.partitions = partitions;
  options.merge_operator = "append:,";
  options.memtable_bytes = random.between(8, 32) << 10;
  options.memtables_max = static_cast<std::uint32_t>(random.between(2, 3));
  options.cache_bytes = 1 << 20;
  options.level0_tables = static_cast<std::uint32_t>(random.between(1, 3));
  options.level1_bytes = random.between(16, 64) << 10;
  options.goal = static_cast<lsm::Goal>(random.below(4));
  options.table_bytes = random.between(8, 32) << 10;
  options.table.block_bytes = 4096;
  options.log = {.segment_bytes = 96 << 10, .buffer_bytes = 16 << 10, .memory_bytes = 1 << 20, .spares = 1};
  options.directory.reserve_bytes = 64 << 10;
  return options;
}

/// A machine: its disk, and what its store has promised over all of its lives.
struct Machine {
  explicit Machine(std::uint64_t seed) : random(seed), options(small_options(random)) {}
  Random random;
  lsm::LsmOptions options;
  sim::Disk disk;
  bool on_device = false;  ///< in the volumes of a device, not in a directory
  PartitionModel models[partitions];
};

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
  File file = CO_TRY(co_await File::open("/disk", O_RDWR | O_CREAT));
  CO_TRY(co_await file.resize(40 << 20));
  CO_TRY(co_await file.sync());
  CO_TRY(co_await file.close());
  CO_TRY(co_await sync_directory("/"));
  const auto device = CO_TRY(co_await open_device());
  const Result<> formatted = co_await blob::format_device(*device, {.chunk_bytes = 1 << 20});
  co_await device->close();
  co_return formatted;
}

Task<Result<std::unique_ptr<lsm::LsmStore>>> open_store(Machine& machine, unsigned shards) {
  if (!machine.on_device) co_return co_await lsm::LsmStore::open("/data", machine.options, shards);
  auto device = CO_TRY(co_await open_device());
  co_return co_await lsm::LsmStore::open(
      blob::device_home(std::move(device), machine.options.directory.reserve_bytes), machine.options, shards);
}

std::vector<kv::StoredKey> keys_of(const kv::Store& store, kv::PartitionId id) {
  std::vector<kv::StoredKey> keys;
  for (std::size_t i = 0; keys.size() < keys_per_partition; ++i) {
    const std::string text = "key" + std::to_string(i) + std::string(i % 7 == 0 ? 150 : 0, 'k');
    kv::StoredKey key = store.stored(as_bytes(text));
    if (store.partition_of(key) == id) keys.push_back(std::move(key));
  }
  return keys;
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
  testing::AssertionResult verdict() const {
    for (const auto& work : works_) {
      if (!work->verdict()) return work->verdict();
    }
    return testing::AssertionSuccess();
  }

 private:
  Task<Result<>> live() {
    auto store = CO_TRY(co_await open_store(machine_, shards_));
    const Result<> used = co_await use(*store);
    const Result<> closed = co_await store->close();
    if (!used) co_return used;
    co_return closed;
  }

  Task<Result<>> use(kv::Store& store) {
    for (std::uint16_t i = 0; i < partitions; ++i) {
      const kv::PartitionId id{i};
      works_.push_back(std::make_unique<PartitionWork>(store.partition(id), machine_.models[i],
                                                       keys_of(store, id), random_.next()));
    }
    std::vector<Task<Result<>>> verifying;
    for (std::uint16_t i = 0; i < partitions; ++i)
      verifying.push_back(verify(store.home_of(kv::PartitionId{i}), *works_[i]));
    for (const Result<>& verified : co_await when_all(std::move(verifying))) CO_TRY(verified);
    if (!verdict()) co_return Result<>{};

    std::vector<Task<>> working;
    for (std::uint16_t i = 0; i < partitions; ++i)
      working.push_back(work(store.home_of(kv::PartitionId{i}), *works_[i]));
    working.push_back(peek());
    co_await when_all(std::move(working));
    co_return Result<>{};
  }

  static Task<Result<>> verify(ShardId home, PartitionWork& work) {
    co_return co_await invoke(home, [&work] { return work.verify(); });
  }
  Task<> work(ShardId home, PartitionWork& work) {
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
  std::vector<std::unique_ptr<PartitionWork>> works_;
  bool done_ = false;
  Result<> ended_;
};

struct Ended {
  bool right;            ///< nothing was wrong
  std::uint64_t digest;  ///< of the world's trace
};

Ended live(Machine& machine, const Fate& fate, unsigned rounds, Coverage& coverage) {
  const std::uint64_t seed = machine.random.next();
  const auto shards = static_cast<unsigned>(machine.random.between(1, 3));
  SCOPED_TRACE("life with seed " + std::to_string(seed) + " on " + std::to_string(shards) + " shards, " +
               describe(fate));
  World world({.shards = shards, .environment = {.seed = seed}, .turns_max = 5'000'000}, machine.disk);
  apply(fate, world.faults());
  Life life(machine, shards, seed, rounds);
  world.spawn(0, life.run());
  const auto outcome = world.run_until([&] { return life.done(); });
  EXPECT_EQ(outcome, World::Outcome::done) << world.report();
  if (outcome != World::Outcome::done) std::abort();  // its tasks cannot be ended
  EXPECT_EQ(world.run_to_end(), World::Outcome::done) << world.report();
  const bool cut = !world.environment().powered();
  EXPECT_TRUE(life.verdict());
  EXPECT_TRUE(life.ended() || cut || fate.chances.fail_one_in != 0) << life.ended().error().to_string();
  EXPECT_TRUE(life.ended() || life.ended().error().code != Errc::corrupt) << life.ended().error().to_string();
  coverage.add(world.faults());
  return {!testing::Test::HasFailure(), world.digest()};
}

// One machine after another; each lives many times on its disk, and at last in order.
TEST(KvCrash, WhatWasAcknowledgedIsThereAndNothingElse) {
  Random random(base_seed());
  Coverage coverage;
  std::uint64_t lives = 0;
  for (Budget budget(20, 25); budget.more();) {
    const std::uint64_t seed = random.next();
    SCOPED_TRACE("machine " + std::to_string(budget.lives()) + ", seed " + std::to_string(seed));
    Machine machine(seed);
    for (int i = 0; i < 16; ++i, ++lives) {
      const auto rounds = static_cast<unsigned>(machine.random.between(2, 40));
      const std::uint64_t operations = 40 + std::uint64_t{rounds} * 6;  // of a life in order, about
      const Fate fate = i == 15 ? Fate{} : draw_fate(machine.random, operations);
      const Ended ended = live(machine, fate, rounds, coverage);
      if (!ended.right) return;
    }
  }
  std::printf("%llu lives, %s", static_cast<unsigned long long>(lives), coverage.table().c_str());
}

/// A machine whose store is on a device: formatted in a life of its own, without faults.
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

// The same on a device, whose every operation is a read, a write or a flush of one file.
TEST(KvCrash, WhatWasAcknowledgedIsThereOnADevice) {
  Random random(base_seed());
  Coverage coverage;
  std::uint64_t lives = 0;
  for (Budget budget(10, 12); budget.more();) {
    const std::uint64_t seed = random.next();
    SCOPED_TRACE("machine " + std::to_string(budget.lives()) + ", seed " + std::to_string(seed));
    const auto machine = machine_on_device(seed);
    for (int i = 0; i < 16; ++i, ++lives) {
      const auto rounds = static_cast<unsigned>(machine->random.between(2, 40));
      const std::uint64_t operations = 40 + std::uint64_t{rounds} * 6;
      const Fate fate = i == 15 ? Fate{} : draw_fate(machine->random, operations);
      if (!live(*machine, fate, rounds, coverage).right) return;
    }
  }
  EXPECT_TRUE(coverage.cut("durable write disk")) << coverage.table();
  EXPECT_TRUE(coverage.cut("write disk")) << coverage.table();
  std::printf("%llu lives, %s", static_cast<unsigned long long>(lives), coverage.table().c_str());
}

// The whole engine, twice: what memory it got must not matter.
TEST(KvCrash, TheSameSeedGivesTheSameLives) {
  Coverage coverage;
  const auto digests = [&] {
    Machine machine(base_seed());
    std::vector<std::uint64_t> lives;
    for (int i = 0; i < 4; ++i)
      lives.push_back(live(machine, draw_fate(machine.random, 200), 20, coverage).digest);
    return lives;
  };
  EXPECT_EQ(digests(), digests());
}

// What ran and was not cut by chance is cut by name: every operation of log, flush, compaction and manifest.
TEST(KvCrash, EveryOperationIsCut) {
  Random random(base_seed());
  Coverage coverage;
  // Cuts a machine's first life, where the directory is made, or the one after.
  const auto cut_a_life = [&](const std::optional<Fate>& before, const Fate& fate) {
    const std::uint64_t seed = random.next();
    SCOPED_TRACE("machine with seed " + std::to_string(seed));
    Machine machine(seed);
    if (before && !live(machine, *before, 30, coverage).right) return;
    if (live(machine, fate, 30, coverage).right) live(machine, {}, 30, coverage);
  };
  cut_a_life(std::nullopt, {});
  for (std::uint64_t attempt = 0; attempt < 60 && !coverage.never_cut().empty() && !HasFailure(); ++attempt) {
    for (const std::string& label : coverage.never_cut()) {
      if (coverage.cut(label)) continue;
      // Some happen only to what a certain cut has left.
      const auto labels = coverage.labels();
      const Fate other{.cut_at = 1, .cut_label = labels[attempt % labels.size()]};
      const auto before = attempt == 0 ? std::nullopt : std::optional(attempt == 1 ? Fate{} : other);
      for (const auto when : {sim::FileVerdict::Cut::before, sim::FileVerdict::Cut::after}) {
        cut_a_life(before, {.cut_at = 1, .cut_label = label, .when = when});
      }
    }
  }
  EXPECT_EQ(coverage.never_cut(), std::vector<std::string>{}) << coverage.table();
  // Log, manifest, tables, and the directory's root.
  for (const char* label : {"create 0.#.log",
                            "allocate 0.#.log",
                            "write 0.#.log",
                            "sync 0.#.log",
                            "durable write 0.#.log",
                            "unlink 0.#.log",
                            "create 1.#.log",
                            "write 1.#.log",
                            "sync 1.#.log",
                            "durable write 1.#.log",
                            "create #.table",
                            "write #.table",
                            "sync #.table",
                            "unlink #.table",
                            "sync directory partition-#",
                            "create 0.root.new",
                            "write 0.root.new",
                            "sync 0.root.new",
                            "rename 0.root",
                            "make directory partition-#"}) {
    EXPECT_TRUE(coverage.cut(label)) << label << "\n" << coverage.table();
  }
  std::printf("%s", coverage.table().c_str());
}

// What a killed process had done is visible to the next, and not durable: the next must not rely on it.
TEST(KvCrash, NothingThatAKilledProcessLeftIsReliedOn) {
  Random random(base_seed());
  Coverage coverage;
  {
    Machine machine(random.next());
    if (!live(machine, {}, 10, coverage).right) return;
  }
  for (const std::string& label : coverage.labels()) {
    for (int attempt = 0; attempt < 2; ++attempt) {
      const std::uint64_t seed = random.next();
      SCOPED_TRACE("machine with seed " + std::to_string(seed));
      Machine machine(seed);
      const Fate killed{.cut_at = 1, .cut_label = label, .when = sim::FileVerdict::Cut::after, .kill = true};
      if (!live(machine, killed, 10, coverage).right) return;
      if (!live(machine, {}, 5, coverage).right) return;
      machine.disk.crash(random.next());
      if (!live(machine, {}, 2, coverage).right) return;
    }
  }
}

/// The life of a machine whose disk has decayed: what is there is right, or an error says that it is not.
Task<> look(Machine& machine, Result<>& ended, testing::AssertionResult& verdict) {
  auto store = co_await open_store(machine, 1);
  if (!store) {
    ended = std::unexpected(store.error());
    co_return;
  }
  for (std::uint16_t i = 0; i < partitions && ended; ++i) {
    const kv::PartitionId id{i};
    PartitionModel model = machine.models[i];
    PartitionWork work((*store)->partition(id), model, keys_of(**store, id), 1);
    ended = co_await work.verify();
    if (!work.verdict()) verdict = work.verdict();
  }
  const Result<> closed = co_await (*store)->close();
  if (ended) ended = closed;
}

/// A file of this kind, if the machine has one, and a byte of it that is not zero: most of a file may be
/// empty.
std::optional<std::pair<std::string, std::uint64_t>> pick_byte(const sim::Disk& disk, std::string_view kind,
                                                               Random& random) {
  std::vector<std::string> paths;
  for (const std::string& path : disk.files()) {
    if (sim::Faults::label({.name = "flip", .path = path}) == kind) paths.push_back(path);
  }
  if (paths.empty()) return std::nullopt;
  const std::string& path = paths[random.below(paths.size())];
  const std::string bytes = disk.contents(path).value();
  std::vector<std::uint64_t> used;
  for (std::uint64_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] != 0) used.push_back(i);
  }
  if (used.empty()) return std::nullopt;
  return std::pair(path, used[random.below(used.size())]);
}

// After an orderly end, one flipped bit in any file is found, and the error says where; or it is in what
// nobody needs.
TEST(KvCrash, AFlippedBitIsFound) {
  constexpr std::array kinds = {"flip #.table", "flip 0.#.log", "flip 1.#.log", "flip 0.root"};
  Random random(base_seed());
  Coverage coverage;
  std::map<std::string, std::uint64_t> found;
  for (Budget budget(60, 5); budget.more();) {
    Machine machine(random.next());
    if (!live(machine, {}, 30, coverage).right) return;
    const std::string kind = kinds[budget.lives() % kinds.size()];
    const auto byte = pick_byte(machine.disk, kind, random);
    if (!byte) continue;
    ASSERT_EQ(machine.disk.flip_bit(byte->first, byte->second, static_cast<unsigned>(random.below(8))), 0);
    SCOPED_TRACE(byte->first + " at " + std::to_string(byte->second) + ", life " +
                 std::to_string(budget.lives()));

    World world({.shards = 1, .environment = {.seed = random.next()}, .turns_max = 5'000'000}, machine.disk);
    Result<> ended;
    testing::AssertionResult verdict = testing::AssertionSuccess();
    world.spawn(0, look(machine, ended, verdict));
    ASSERT_EQ(world.run_to_end(), World::Outcome::done) << world.report();
    EXPECT_TRUE(verdict);
    if (!ended) {
      ++found[kind];
      EXPECT_EQ(ended.error().code, Errc::corrupt) << ended.error().to_string();
    }
    if (HasFailure()) return;
  }
  for (const char* kind : kinds) EXPECT_GT(found[kind], 0u) << kind;
}

}  // namespace
}  // namespace ashlar::crash
