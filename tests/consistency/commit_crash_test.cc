/// A commit across three partitions, cut at every file operation, before it and after it, also while the next
/// open decides what was in doubt: all of it is there or nothing, and all of it where that was acknowledged.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "ashlar/kv/lsm/store.h"
#include "ashlar/kv/store_transaction.h"
#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/sync/deadline.h"
#include "ashlar/runtime/sync/sleep.h"
#include "tests/crash/harness.h"

namespace ashlar::consistency {
namespace {

using kv::PartitionId;
using kv::StoredKey;
using sim::World;
using Cut = sim::FileVerdict::Cut;
using lsm::LsmStore;

constexpr std::uint16_t partitions = 3;

lsm::LsmOptions small_options() {
  lsm::LsmOptions options;
  options.partitions = partitions;
  options.memtable_bytes = 64 << 10;
  options.cache_bytes = 1 << 20;
  options.log = {.segment_bytes = 96 << 10, .buffer_bytes = 16 << 10, .memory_bytes = 1 << 20, .spares = 1};
  options.directory.reserve_bytes = 64 << 10;
  return options;
}

/// One key of each partition, and one more.
std::array<StoredKey, partitions + 1> keys_of(kv::Store& store) {
  std::array<StoredKey, partitions + 1> keys;
  std::array<bool, partitions> found{};
  std::size_t left = partitions;
  for (int i = 0; left != 0; ++i) {
    StoredKey key = store.stored(as_bytes("key-" + std::to_string(i)));
    const std::uint16_t id = store.partition_of(key).value;
    if (found[id]) {
      keys[partitions] = std::move(key);
      continue;
    }
    found[id] = true;
    keys[id] = std::move(key);
    --left;
  }
  return keys;
}

/// What a life did and found. A value is the number of the commit that wrote it; all keys have the same.
struct Report {
  bool done = false;
  Result<> ended;
  int found = -1;         ///< value of all keys when it was opened; −1: not known
  bool half = false;      ///< they had not all the same
  int acknowledged = -1;  ///< newest value of which it was told that it is committed
  LsmStore::Joined joined;
};

Task<Result<>> look(kv::Store& store, Report& report) {
  const auto keys = keys_of(store);
  kv::StoreTransaction step(store);
  const auto values = CO_TRY(co_await step.multi_get(keys));
  report.found = values[0] ? std::stoi(values[0]->bytes) : 0;
  for (const auto& value : values) report.half |= (value ? std::stoi(value->bytes) : 0) != report.found;
  co_return Result<>{};
}

Task<Result<>> write_all(kv::Store& store, int value) {
  const auto keys = keys_of(store);
  const std::string text = std::to_string(value);
  std::vector<kv::Write> writes;
  for (const StoredKey& key : keys) writes.push_back({.key = &key, .value = as_bytes(text)});
  CO_TRY(co_await store.write(writes));
  co_return Result<>{};
}

Task<Result<>> flush(LsmStore& store, PartitionId id) {
  co_return co_await invoke(store.home_of(id), [&] { return store.partition(id).flush(); });
}

/// Opens, looks, and commits so many times; flushes one partition in between.
Task<Result<>> live_through(unsigned shards, int commits, Report& report) {
  auto store = CO_TRY(co_await LsmStore::open("/data", small_options(), shards));
  report.joined = store->joined();
  Result<> used = co_await look(*store, report);
  for (int i = 1; i <= commits && used; ++i) {
    used = co_await write_all(*store, report.found + 1 + (i - 1));
    if (used) report.acknowledged = report.found + i;
    if (used && i == 1) used = co_await flush(*store, PartitionId{0});
  }
  const Result<> closed = co_await store->close();
  co_return used ? closed : used;
}

Task<> live(unsigned shards, int commits, Report* report) {
  report->ended = co_await live_through(shards, commits, *report);
  report->done = true;
}

struct Fate {
  std::uint64_t cut_at = 0;
  Cut when = Cut::no;
};

/// Changing operations of the life.
std::uint64_t run(sim::Disk& disk, unsigned shards, int commits, std::uint64_t seed, Fate fate,
                  Report& report, crash::Coverage* coverage = nullptr) {
  World world({.shards = shards, .environment = {.seed = seed}}, disk);
  if (fate.cut_at != 0) world.faults().cut_at(fate.cut_at, fate.when);
  world.spawn(0, world.on(0, [&] { return live(shards, commits, &report); }));
  EXPECT_EQ(world.run_until([&] { return report.done; }), World::Outcome::done) << world.report();
  EXPECT_EQ(world.run_to_end(), World::Outcome::done) << world.report();
  if (coverage != nullptr) coverage->add(world.faults());
  return world.faults().changing_operations();
}

TEST(CommitCrash, IsAllOrNothingAtEveryOperation) {
  Random random(crash::base_seed());
  crash::Coverage coverage;
  std::uint64_t told = 0, committed = 0, aborted = 0, cuts_of_join = 0;
  for (int round = 0; round < 2; ++round) {
    const std::uint64_t seed = random.next();
    const unsigned shards = round == 0 ? 1 : 3;
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::uint64_t operations = 1;
    for (std::uint64_t cut = 0; cut <= operations; ++cut) {
      {
        const Cut when = (cut + static_cast<std::uint64_t>(round)) % 2 == 0 ? Cut::before : Cut::after;
        SCOPED_TRACE("cut at " + std::to_string(cut) + (when == Cut::before ? ", before" : ", after"));
        sim::Disk disk;
        Report first, second, third, last;
        run(disk, 2, 1, seed, {}, first);
        ASSERT_TRUE(first.ended) << first.ended.error().to_string();
        const std::uint64_t ran = run(disk, shards, 2, seed + 1, {cut, when}, second, &coverage);
        if (cut == 0) operations = ran;
        // The next open may be cut as well, while it decides.
        run(disk, static_cast<unsigned>(random.between(1, 3)), 0, seed + 2,
            {random.between(1, 12), random.one_in(2) ? Cut::before : Cut::after}, third);
        cuts_of_join += third.ended ? 0 : 1;
        run(disk, static_cast<unsigned>(random.between(1, 3)), 1, seed + 3, {}, last);
        ASSERT_TRUE(last.ended) << last.ended.error().to_string();
        ASSERT_FALSE(second.half || third.half || last.half);
        ASSERT_GE(last.found, std::max(first.acknowledged, second.acknowledged));
        ASSERT_LE(last.found, first.acknowledged + 2);
        if (third.found >= 0)
          ASSERT_EQ(third.found, last.found) << "what was shown has gone, or has come later";
        told += second.acknowledged >= 0 ? 1 : 0;
        committed += third.joined.committed + last.joined.committed;
        aborted += third.joined.aborted + last.joined.aborted;
      }
    }
  }
  std::printf("told of %llu; at open %llu were committed and %llu aborted, %llu opens were cut; %s",
              static_cast<unsigned long long>(told), static_cast<unsigned long long>(committed),
              static_cast<unsigned long long>(aborted), static_cast<unsigned long long>(cuts_of_join),
              coverage.table().c_str());
  EXPECT_GT(told, 0u);
  EXPECT_GT(committed, 0u) << "no cut came between the last prepare record and the last commit record";
  EXPECT_GT(aborted, 0u) << "no cut came between the first prepare record and the last";
  EXPECT_GT(cuts_of_join, 0u);
  EXPECT_TRUE(coverage.never_cut().empty()) << coverage.never_cut().front();
}

/// On partition 1 the log fails; the others go on, and nobody waits for ever.
Task<Result<>> fail_one(World& world, Report& report) {
  auto store = CO_TRY(co_await LsmStore::open("/data", small_options(), 2));
  CO_TRY(co_await look(*store, report));
  world.faults().add(
      {.code = OpCode::write, .path_part = "partition-0001/0.", .nth = 0, .verdict = {.error = EIO}});
  const Result<> written = co_await with_deadline(Shard::current().now() + std::chrono::seconds(60),
                                                  write_all(*store, report.found + 1));
  EXPECT_FALSE(written);
  if (!written) EXPECT_EQ(written.error().code, Errc::stopped) << written.error().to_string();
  Report after;
  CO_TRY(co_await look(*store, after));
  EXPECT_FALSE(after.half);
  EXPECT_EQ(after.found, report.found) << "what failed is shown";
  // The locks are gone where the log works.
  const auto keys = keys_of(*store);
  const kv::Write write{.key = &keys[0], .value = as_bytes("77")};
  const auto alone = co_await store->write({&write, 1});
  EXPECT_TRUE(alone) << alone.error().to_string();
  (void)co_await store->close();
  report.acknowledged = report.found;
  co_return Result<>{};
}

Task<> fail_one_life(World* world, Report* report) {
  report->ended = co_await fail_one(*world, *report);
  report->done = true;
}

TEST(CommitCrash, AFailedLogOfOneParticipantAbortsAndHoldsNobodyUp) {
  sim::Disk disk;
  Report first, failed;
  run(disk, 2, 1, 11, {}, first);
  {
    World world({.shards = 2, .environment = {.seed = 12}}, disk);
    world.spawn(0, world.on(0, [&] { return fail_one_life(&world, &failed); }));
    ASSERT_EQ(world.run_to_end(), World::Outcome::done) << world.report();
    ASSERT_TRUE(failed.ended) << failed.ended.error().to_string();
  }
  World world({.shards = 1, .environment = {.seed = 13}}, disk);
  struct Check {
    static Task<> run(int before, bool* done) {
      auto store = co_await LsmStore::open("/data", small_options(), 1);
      EXPECT_TRUE(store);
      if (!store) co_return;
      const auto keys = keys_of(**store);
      kv::StoreTransaction step(**store);
      for (std::size_t i = 0; i <= partitions; ++i) {
        const auto value = co_await step.get(keys[i]);
        EXPECT_TRUE(value && *value);
        const std::string expected = i == 0 ? "77" : std::to_string(before);
        if (value && *value) EXPECT_EQ((*value)->bytes, expected) << i;
      }
      co_await step.rollback();
      EXPECT_TRUE(co_await (*store)->close());
      *done = true;
    }
  };
  bool done = false;
  world.spawn(0, world.on(0, [&] { return Check::run(failed.found, &done); }));
  ASSERT_EQ(world.run_to_end(), World::Outcome::done) << world.report();
  EXPECT_TRUE(done);
}

}  // namespace
}  // namespace ashlar::consistency
