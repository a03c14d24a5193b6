/// Everything that an open and the reads after it look at cannot be looked at once, one after the other: each
/// is an error with its place, or does no harm; and the next time all is there.

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "tests/crash/kv_machine.h"

namespace ashlar::crash {
namespace {

using sim::World;

std::uint64_t wall_ms(const Machine& machine) {
  return first_life_ms + machine.lives * life_ms;
}

/// What came of it.
struct Looked {
  Result<> opened, read;  ///< the first time
  Result<> ended = fail(Errc::cancelled, "not run");
  testing::AssertionResult right = testing::AssertionSuccess();
};

Task<Result<State>> read_all(lsm::LsmStore& store, StoreModel& model, const Keys& keys, std::uint16_t id,
                             Looked& looked) {
  PartitionWork work(store.partition(kv::PartitionId{id}), model, id, keys[id], 1);
  CO_TRY(co_await work.verify());
  if (!work.verdict()) looked.right = work.verdict();
  co_return work.found();
}

Task<Result<>> look(Machine& machine, Looked& looked) {
  auto store = co_await open_store(machine, 1);
  if (!store) {
    looked.opened = std::unexpected(store.error());
    store = co_await open_store(machine, 1);
  }
  const auto open = CO_TRY(std::move(store));
  const Keys keys = keys_of(*open, machine.shape.keys, {});
  StoreModel model = machine.model;
  std::vector<State> states;
  for (std::uint16_t id = 0; id < keys.size(); ++id) {
    auto found = co_await read_all(*open, model, keys, id, looked);
    if (!found && looked.read) {
      looked.read = std::unexpected(found.error());
      found = co_await read_all(*open, model, keys, id, looked);
    }
    if (found) states.push_back(*std::move(found));
  }
  const Result<> closed = co_await open->close();
  if (states.size() != keys.size()) co_return fail(Errc::io, "read again");
  const auto adopted = model.adopt(states, wall_ms(machine));
  if (!adopted) looked.right = adopted;
  co_return closed;
}

Task<> look_once(Machine* machine, Looked* looked) {
  looked->ended = co_await look(*machine, *looked);
}

using Failed = std::map<std::string, std::uint64_t>;  ///< by label, how many times

/// The n-th thing that is looked at fails. False where it did not come to that.
bool fail_one(Machine& machine, std::uint64_t nth, Failed& failed, Looked& looked) {
  World world({.environment = {.seed = 7, .wall_ms = wall_ms(machine)}, .turns_max = 5'000'000},
              machine.disk);
  world.faults().fail_look_at(nth, EIO);
  world.spawn(0, world.on(0, [&] { return look_once(&machine, &looked); }));
  EXPECT_EQ(world.run_to_end(), World::Outcome::done) << world.report();
  const std::string label = world.faults().failed_look();
  SCOPED_TRACE(std::to_string(nth) + ": " + label);
  EXPECT_TRUE(looked.ended) << looked.ended.error().to_string();
  EXPECT_TRUE(looked.right);
  for (const Result<>& first : {looked.opened, looked.read}) {
    if (first) continue;
    EXPECT_EQ(first.error().code, Errc::io) << first.error().to_string();
    EXPECT_STRNE(first.error().where, "");
    const bool numbered = label.ends_with(".table") || label.ends_with(".log");
    if (numbered) EXPECT_NE(first.error().object, 0u) << first.error().to_string();
  }
  if (label.empty()) {
    EXPECT_TRUE(looked.opened && looked.read);
    return false;
  }
  ++failed[label];
  return !testing::Test::HasFailure();
}

/// All that there is to look at.
Failed fail_each(Machine& machine) {
  Failed failed;
  std::uint64_t opens = 0, reads = 0;
  for (std::uint64_t nth = 1;; ++nth) {
    Looked looked;
    if (!fail_one(machine, nth, failed, looked)) break;
    opens += looked.opened ? 0 : 1;
    reads += looked.read ? 0 : 1;
  }
  EXPECT_GT(opens, 0u);
  EXPECT_GT(reads, 0u);
  return failed;
}

/// Something in tables, in value tables and in the log, by a life that ends in order and one that the power
/// ends.
void fill(Machine& machine, unsigned rounds) {
  machine.families = 0;
  machine.options.separate_bytes = 64;
  Coverage coverage;
  for (const std::uint64_t cut : {std::uint64_t{0}, std::uint64_t{40} + rounds * 4})
    ASSERT_TRUE(live(machine, {.cut_at = cut, .when = sim::FileVerdict::Cut::after}, rounds, coverage).right);
}
/// And what that left is settled without faults, so that each look finds the same.
void fill_and_settle(Machine& machine) {
  fill(machine, 40);
  Coverage coverage;
  ASSERT_TRUE(live(machine, {}, 0, coverage).right);
}

std::string text_of(const Failed& failed) {
  std::string text;
  for (const auto& [label, count] : failed) text += "  " + label + " " + std::to_string(count) + "\n";
  return text;
}

class KvReadFaults : public testing::TestWithParam<bool> {};

TEST_P(KvReadFaults, EachIsSurvived) {
  Machine machine(base_seed());
  machine.options.flat_index_bytes = GetParam() ? 0 : 64u << 20;
  fill_and_settle(machine);
  if (HasFailure()) return;
  const Failed failed = fail_each(machine);
  // Manifest, log, tables of keys and of values, and what says where they are.
  for (const char* label : {"open 0.root", "read 0.root", "list partition-#", "open 1.#.log", "read 1.#.log",
                            "open 0.#.log", "read 0.#.log", "open #.table", "read #.table", "lock lock"})
    EXPECT_TRUE(failed.contains(label)) << label << " among\n" << text_of(failed);
  std::printf("%s", text_of(failed).c_str());
}

INSTANTIATE_TEST_SUITE_P(Indexes, KvReadFaults, testing::Bool(),
                         [](const auto& info) { return std::string(info.param ? "Partitioned" : "Flat"); });

TEST(KvReadFaultsOnADevice, EachIsSurvived) {
  const auto machine = machine_on_device(base_seed());
  fill_and_settle(*machine);
  if (HasFailure()) return;
  const Failed failed = fail_each(*machine);
  EXPECT_TRUE(failed.contains("open disk") && failed.contains("read disk")) << text_of(failed);
  std::printf("%s", text_of(failed).c_str());
}

// A log that the power has cut, with transactions that are in doubt: a machine for each look.
TEST(KvReadFaultsAfterAPowerCut, EachIsSurvived) {
  Random random(base_seed());
  Failed failed;
  for (Budget budget(40, 3); budget.more();) {
    const std::uint64_t seed = random.next();
    SCOPED_TRACE("machine with seed " + std::to_string(seed));
    Machine machine(seed);
    fill(machine, 10);
    Looked looked;
    (void)fail_one(machine, random.between(1, 60), failed, looked);
    if (HasFailure()) return;
  }
  EXPECT_TRUE(failed.contains("read 0.#.log") && failed.contains("read 1.#.log")) << text_of(failed);
  std::printf("%s", text_of(failed).c_str());
}

}  // namespace
}  // namespace ashlar::crash
