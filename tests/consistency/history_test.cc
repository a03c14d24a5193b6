/// Recorded histories of a store under concurrency: in the simulator with power cuts and failing operations,
/// reopened on other numbers of shards, and on real shards.

#include <gtest/gtest.h>

#include <unistd.h>
#include <filesystem>
#include <memory>

#include "ashlar/kv/lsm/store.h"
#include "ashlar/runtime/shard/runtime.h"
#include "tests/consistency/workload.h"
#include "tests/crash/harness.h"

namespace ashlar::consistency {
namespace {

using sim::World;

constexpr std::uint64_t time_of_a_life = std::uint64_t{1} << 50;

lsm::LsmOptions small_options() {
  lsm::LsmOptions options;
  options.partitions = 3;
  options.memtable_bytes = 8 << 10;
  options.cache_bytes = 1 << 20;
  options.level0_tables = 2;
  options.level1_bytes = 64 << 10;
  options.table_bytes = 16 << 10;
  options.table.block_bytes = 4096;
  options.log = {.segment_bytes = 96 << 10, .buffer_bytes = 16 << 10, .memory_bytes = 1 << 20, .spares = 1};
  options.directory.reserve_bytes = 64 << 10;
  return options;
}

/// One machine and everything that was ever done to its store.
struct Machine {
  explicit Machine(std::uint64_t seed) : random(seed) {}
  Random random;
  sim::Disk disk;
  ListHistory lists;
  RegisterHistory registers;
  std::uint64_t lives = 0, workers = 0;
  std::uint64_t committed_at_open = 0, aborted_at_open = 0;
};

class Life {
 public:
  Life(Machine& machine, unsigned shards, unsigned rounds, std::uint64_t seed)
      : machine_(machine), shards_(shards), rounds_(rounds), seed_(seed) {}

  Task<> run() {
    ended_ = co_await live();
    done_ = true;
  }
  bool done() const { return done_; }
  const Result<>& ended() const { return ended_; }

  /// Adds what was done to the machine's histories.
  void record(std::uint64_t last) {
    for (const auto& worker : made_) {
      worker->record(machine_.lists, machine_.registers, last);
      EXPECT_FALSE(worker->wrong()) << *worker->wrong();
    }
  }

 private:
  Task<Result<>> live() {
    auto store = CO_TRY(co_await lsm::LsmStore::open("/data", small_options(), shards_));
    machine_.committed_at_open += store->joined().committed;
    machine_.aborted_at_open += store->joined().aborted;
    const Result<> used = co_await use(*store);
    const Result<> closed = co_await store->close();
    if (!used) co_return used;
    co_return closed;
  }
  Task<Result<>> use(kv::Store& store) {
    const auto lists = CO_TRY(co_await read_lists(store));
    const auto wrong = machine_.lists.violation(lists, Level::snapshot_isolation);
    EXPECT_FALSE(wrong) << *wrong;
    const auto unsound = machine_.registers.violation();
    EXPECT_FALSE(unsound) << *unsound;
    co_await run_crowd({.store = store,
                        .shards = shards_,
                        .workers = 5,
                        .rounds = rounds_,
                        .first_number = machine_.workers + 1,
                        .time_base = machine_.lives * time_of_a_life,
                        .seed = seed_},
                       made_);
    co_return Result<>{};
  }

  Machine& machine_;
  unsigned shards_, rounds_;
  std::uint64_t seed_;
  std::vector<std::unique_ptr<Worker>> made_;
  bool done_ = false;
  Result<> ended_;
};

void live(Machine& machine, const crash::Fate& fate, unsigned rounds, crash::Coverage& coverage) {
  const std::uint64_t seed = machine.random.next();
  const auto shards = static_cast<unsigned>(machine.random.between(1, 3));
  SCOPED_TRACE("life " + std::to_string(machine.lives) + " with seed " + std::to_string(seed) + " on " +
               std::to_string(shards) + " shards, " + describe(fate));
  World world({.shards = shards, .environment = {.seed = seed}, .turns_max = 5'000'000}, machine.disk);
  apply(fate, world.faults());
  Life life(machine, shards, rounds, seed);
  world.spawn(0, life.run());
  const auto outcome = world.run_until([&] { return life.done(); });
  ASSERT_EQ(outcome, World::Outcome::done) << world.report();
  ASSERT_EQ(world.run_to_end(), World::Outcome::done) << world.report();
  const bool cut = !world.environment().powered();
  EXPECT_TRUE(life.ended() || cut || fate.kill || fate.chances.fail_one_in != 0)
      << life.ended().error().to_string();
  EXPECT_TRUE(life.ended() || life.ended().error().code != Errc::corrupt) << life.ended().error().to_string();
  life.record((machine.lives + 1) * time_of_a_life - 1);
  ++machine.lives;
  machine.workers += 5;
  coverage.add(world.faults());
}

TEST(History, IsRightUnderPowerCutsAndFailingOperations) {
  Random random(crash::base_seed());
  crash::Coverage coverage;
  std::uint64_t lives = 0, transactions = 0, committed = 0, operations = 0, committed_at_open = 0,
                aborted_at_open = 0;
  for (crash::Budget budget(6, 8); budget.more();) {
    const std::uint64_t seed = random.next();
    SCOPED_TRACE("machine with seed " + std::to_string(seed));
    Machine machine(seed);
    for (int i = 0; i < 8; ++i) {
      const auto rounds = static_cast<unsigned>(machine.random.between(2, 12));
      const crash::Fate fate = i == 7 ? crash::Fate{} : crash::draw_fate(machine.random, 40 + rounds * 8);
      live(machine, fate, i == 7 ? 0 : rounds, coverage);
      if (HasFailure() || HasFatalFailure()) return;
      ++lives;
    }
    transactions += machine.lists.transactions();
    committed += machine.lists.committed();
    operations += machine.registers.operations();
    committed_at_open += machine.committed_at_open;
    aborted_at_open += machine.aborted_at_open;
  }
  std::printf(
      "%llu lives, %llu transactions, %llu of them told that they were committed, %llu operations; when "
      "opened "
      "%llu were committed and %llu aborted\n",
      static_cast<unsigned long long>(lives), static_cast<unsigned long long>(transactions),
      static_cast<unsigned long long>(committed), static_cast<unsigned long long>(operations),
      static_cast<unsigned long long>(committed_at_open), static_cast<unsigned long long>(aborted_at_open));
  EXPECT_GT(committed, transactions / 4);
  EXPECT_TRUE(coverage.cut("durable write #.#.log") || coverage.cuts() > 0) << coverage.table();
}

/// Real threads and a real directory: what ThreadSanitizer looks at.
TEST(History, IsRightOnRealShards) {
  const auto path = std::filesystem::temp_directory_path() / ("ashlar-history-" + std::to_string(getpid()));
  std::filesystem::remove_all(path);
  ListHistory lists;
  RegisterHistory registers;
  std::map<std::string, List> last;
  std::vector<std::unique_ptr<Worker>> made;
  struct Body {
    static Task<Result<>> main(Shard& shard, const std::string path,
                               std::vector<std::unique_ptr<Worker>>* made,
                               std::map<std::string, List>* last) {
      if (shard.id().value != 0) co_return Result<>{};
      auto store = CO_TRY(co_await lsm::LsmStore::open(path, small_options(), 2));
      co_await run_crowd({.store = *store,
                          .shards = 2,
                          .workers = 6,
                          .rounds = 40,
                          .first_number = 1,
                          .time_base = 0,
                          .seed = crash::base_seed()},
                         *made);
      const auto found = co_await read_lists(*store);
      const Result<> closed = co_await store->close();
      *last = CO_TRY(found);
      co_return closed;
    }
  };
  Runtime runtime({.shards = 2, .pin = false, .shard = {}, .uring = {}});
  const Result<> result =
      runtime.run([&](Shard& shard) { return Body::main(shard, path.string(), &made, &last); });
  std::filesystem::remove_all(path);
  ASSERT_TRUE(result) << result.error().to_string();
  for (const auto& worker : made) {
    worker->record(lists, registers, time_of_a_life);
    EXPECT_FALSE(worker->wrong()) << *worker->wrong();
  }
  const auto wrong = lists.violation(last, Level::snapshot_isolation);
  EXPECT_FALSE(wrong) << *wrong;
  const auto unsound = registers.violation();
  EXPECT_FALSE(unsound) << *unsound;
  EXPECT_GT(lists.committed(), 20u);
}

}  // namespace
}  // namespace ashlar::consistency
