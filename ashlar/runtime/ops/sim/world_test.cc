/// The world: order, time, faults, power cuts and getting stuck.

#include "ashlar/runtime/ops/sim/world.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "ashlar/runtime/ops/file.h"
#include "ashlar/runtime/sync/scope.h"
#include "ashlar/runtime/sync/sleep.h"

namespace ashlar::sim {
namespace {

using Outcome = World::Outcome;

Task<Result<>> append_lines(const char* path, unsigned count, unsigned& acknowledged) {
  File file = CO_TRY(co_await File::open(path, O_RDWR | O_CREAT));
  CO_TRY(co_await sync_directory("/"));
  for (unsigned i = 0; i < count; ++i) {
    const std::string line(512, static_cast<char>('a' + i % 26));
    CO_TRY(co_await file.write(as_bytes(line), std::uint64_t{i} * 512));
    CO_TRY(co_await file.data_sync());
    acknowledged = i + 1;
  }
  co_return co_await file.close();
}

Task<> run(const char* path, unsigned count, unsigned& acknowledged, Result<>& result) {
  result = co_await append_lines(path, count, acknowledged);
}

struct Run {
  std::uint64_t digest;
  unsigned acknowledged;
};

Run run_with_seed(std::uint64_t seed, std::uint64_t cut_at) {
  Disk disk;
  World world({.shards = 2, .environment = {.seed = seed}}, disk);
  if (cut_at != 0) world.faults().cut_at(cut_at, FileVerdict::Cut::before);
  unsigned acknowledged[2] = {};
  Result<> results[2];
  world.spawn(0, run("/a", 20, acknowledged[0], results[0]));
  world.spawn(1, run("/b", 20, acknowledged[1], results[1]));
  EXPECT_EQ(world.run_to_end(), Outcome::done) << world.report();
  if (cut_at == 0) {
    EXPECT_TRUE(results[0] && results[1]);
  }
  return {world.digest(), acknowledged[0] + acknowledged[1]};
}

TEST(World, TheSameSeedGivesTheSameRun) {
  EXPECT_EQ(run_with_seed(5, 0).digest, run_with_seed(5, 0).digest);
  EXPECT_EQ(run_with_seed(5, 17).digest, run_with_seed(5, 17).digest);
  EXPECT_NE(run_with_seed(5, 0).digest, run_with_seed(6, 0).digest);
}

TEST(World, WhatWasAcknowledgedSurvivesAPowerCutAtEveryOperation) {
  for (std::uint64_t cut = 1; cut <= 90; ++cut) {
    for (const auto when : {FileVerdict::Cut::before, FileVerdict::Cut::after}) {
      Disk disk;
      World world({.shards = 1, .environment = {.seed = cut}}, disk);
      world.faults().cut_at(cut, when);
      unsigned acknowledged = 0;
      Result<> result;
      world.spawn(0, run("/a", 44, acknowledged, result));
      ASSERT_EQ(world.run_to_end(), Outcome::done) << world.report();
      EXPECT_FALSE(result.has_value()) << cut;
      EXPECT_EQ(disk.crashes(), 1u);
      const std::string left = disk.contents("/a").value_or("");
      ASSERT_GE(left.size(), std::size_t{acknowledged} * 512);
      for (unsigned i = 0; i < acknowledged; ++i)
        ASSERT_EQ(left[std::size_t{i} * 512], static_cast<char>('a' + i % 26));
    }
  }
}

TEST(World, AKilledProcessLosesNothingThatTheKernelHad) {
  Disk disk;
  World world({.environment = {.seed = 3}}, disk);
  unsigned acknowledged = 0;
  Result<> result;
  world.spawn(0, run("/a", 20, acknowledged, result));
  ASSERT_EQ(world.run_until([&] { return acknowledged == 7; }), Outcome::done);
  world.environment().kill();
  ASSERT_EQ(world.run_to_end(), Outcome::done) << world.report();
  EXPECT_GE(disk.contents("/a").value().size(), 7u * 512);
  EXPECT_EQ(disk.crashes(), 0u);
}

TEST(World, RulesFailTheOperationsTheyName) {
  Disk disk;
  World world({.environment = {.seed = 3}}, disk);
  world.faults().add({.code = OpCode::data_sync, .path_part = "a", .nth = 4, .verdict = {.error = EIO}});
  unsigned acknowledged = 0;
  Result<> result;
  world.spawn(0, run("/a", 20, acknowledged, result));
  ASSERT_EQ(world.run_to_end(), Outcome::done) << world.report();
  EXPECT_EQ(acknowledged, 3u);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, Errc::io);
  EXPECT_EQ(world.faults().operations().at("write a"), 4u);
  EXPECT_EQ(world.faults().operations().at("create a"), 1u);
}

TEST(World, LabelsLeaveNumbersOut) {
  EXPECT_EQ(Faults::label({.name = "write", .path = "/d/wal-000012.log"}), "write wal-#.log");
  EXPECT_EQ(Faults::label({.name = "rename", .path = "/d/x", .target = "/d/MANIFEST.00AF"}),
            "rename MANIFEST.#");
  EXPECT_EQ(Faults::label({.name = "sync", .path = "/d/1.0000000002.log"}), "sync 1.#.log");
}

Task<> sleep_long(Result<>& result) {
  result = co_await sleep_for(std::chrono::hours(5));
}

TEST(World, TimePassesOnlyWhereAllAreIdle) {
  Disk disk;
  World world({.shards = 3}, disk);
  Result<> result = fail(Errc::io, "not yet");
  world.spawn(2, sleep_long(result));
  ASSERT_EQ(world.run_to_end(), Outcome::done);
  EXPECT_TRUE(result.has_value());
  EXPECT_GE(world.now() - Instant{}, std::chrono::hours(5));
}

TEST(World, TheWallClockFollowsTimeAndSteps) {
  Disk disk;
  World world({}, disk);
  auto& backend = world.shard(0).backend();
  const std::uint64_t before = backend.wall_ms();
  world.environment().step_wall(-5000);
  EXPECT_EQ(backend.wall_ms(), before - 5000);
}

class Forever : private Waiter {
 public:
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> suspended) noexcept {
    arm(suspended);
    stuck = this;
  }
  void await_resume() const noexcept {}
  static inline Forever* stuck = nullptr;
  void release() noexcept { make_ready(); }
};

Task<> wait_forever() {
  co_await Forever();
}

TEST(World, AWorldThatIsStuckSaysSo) {
  Disk disk;
  World world({.shards = 2}, disk);
  world.spawn(1, wait_forever());
  EXPECT_EQ(world.run_to_end(), Outcome::deadlock);
  EXPECT_NE(world.report().find("shard 1: 1 tasks"), std::string::npos) << world.report();
  world.on(1, [] { Forever::stuck->release(); });
  EXPECT_EQ(world.run_to_end(), Outcome::done);
}

Task<> spin(const bool& stop) {
  while (!stop) co_await yield();
}

TEST(World, AWorldThatNeverSettlesSaysSo) {
  Disk disk;
  World world({.turns_max = 20}, disk);
  bool stop = false;
  world.spawn(0, spin(stop));
  EXPECT_EQ(world.run_to_end(), Outcome::livelock);
  stop = true;
  world.on(0, [&] {
    for (int turn = 0; turn < 3; ++turn) world.shard(0).poll_once();
  });
}

}  // namespace
}  // namespace ashlar::sim
