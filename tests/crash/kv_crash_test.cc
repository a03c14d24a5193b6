/// Power cuts under the whole engine: several partitions on several shards, reopened on another number of
/// them.

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/crash/kv_machine.h"

namespace ashlar::crash {
namespace {

using sim::World;

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

// What ran and was not cut, or did not fail, by chance has it done to it by name: every operation of log,
// flush, compaction and manifest.
TEST(KvCrash, EveryOperationIsCutAndFails) {
  using Cut = sim::FileVerdict::Cut;
  Random random(base_seed());
  Coverage coverage;
  // A machine's first life, where the directory is made, or the one after.
  const auto try_a_life = [&](const std::optional<Fate>& before, const Fate& fate) {
    const std::uint64_t seed = random.next();
    SCOPED_TRACE("machine with seed " + std::to_string(seed));
    Machine machine(seed, {.copy_one_in = 2});
    if (before && !live(machine, *before, 30, coverage).right) return;
    if (live(machine, fate, 30, coverage).right) live(machine, {}, 30, coverage);
  };
  try_a_life(std::nullopt, {});
  for (std::uint64_t attempt = 0; attempt < 60 && !HasFailure(); ++attempt) {
    // Some happen only to what a certain cut has left.
    const auto labels = coverage.labels();
    const Fate other{.cut_at = 1, .cut_label = labels[attempt % labels.size()]};
    const auto before = attempt == 0 ? std::nullopt : std::optional(attempt == 1 ? Fate{} : other);
    for (const std::string& label : coverage.never_cut()) {
      if (coverage.cut(label)) continue;
      for (const auto when : {Cut::before, Cut::after})
        try_a_life(before, {.cut_at = 1, .cut_label = label, .when = when});
    }
    for (const std::string& label : coverage.never_failed()) {
      if (coverage.failed(label)) continue;
      for (const int error : {EIO, ENOSPC}) try_a_life(before, {.fail_label = label, .error = error});
    }
    if (coverage.never_cut().empty() && coverage.never_failed().empty()) break;
  }
  EXPECT_EQ(coverage.never_cut(), std::vector<std::string>{}) << coverage.table();
  EXPECT_EQ(coverage.never_failed(), std::vector<std::string>{}) << coverage.table();
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
    EXPECT_TRUE(coverage.failed(label)) << label << "\n" << coverage.table();
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
  const Keys keys = keys_of(**store, machine.shape.keys, machine.model.families());
  for (std::uint16_t i = 0; i < keys.size() && ended; ++i) {
    StoreModel model = machine.model;
    PartitionWork work((*store)->partition(kv::PartitionId{i}), model, i, keys[i], 1);
    ended = co_await work.verify();
    if (verdict && ended) verdict = model.partition(i).adopt(work.found(), first_life_ms);
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
