/// Rings by role: who carries what, what each counts, and what happens where there are none.

#include "ashlar/runtime/shard/io_rings.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "ashlar/base/units.h"
#include "ashlar/runtime/ops/file.h"
#include "ashlar/runtime/ops/uring/gather_bound.h"
#include "ashlar/runtime/shard/runtime.h"
#include "ashlar/runtime/sync/scope.h"
#include "ashlar/runtime/sync/sleep.h"
#include "ashlar/runtime/sync/test_shard.h"

namespace ashlar {
namespace {

using namespace ashlar::literals;

constexpr IoRole roles[] = {IoRole::foreground, IoRole::log, IoRole::flush, IoRole::compaction};

class RingsTest : public ::testing::Test {
 protected:
  RingsTest() {
    std::string pattern = ::testing::TempDir() + "ashlar_rings_XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    directory = pattern;
  }
  ~RingsTest() override { std::filesystem::remove_all(directory); }

  void run(const IoRingsOptions& rings, BackendKind backend, const std::function<Task<Result<>>()>& body,
           unsigned shards = 1) {
    RuntimeOptions options;
    options.shards = shards;
    options.pin = false;
    options.backend = backend;
    options.shard.rings = rings;
    Runtime runtime(options);
    const Result<> result = runtime.run([&](Shard&) { return body(); });
    ASSERT_TRUE(result) << result.error().to_string();
  }

  std::string directory;
};
class IoRingsTest : public RingsTest, public ::testing::WithParamInterface<RingPolling> {};
std::string name_of(const ::testing::TestParamInfo<RingPolling>& test) {
  constexpr const char* names[] = {"none", "sqpoll", "iopoll", "both"};
  return names[static_cast<unsigned>(test.param)];
}
INSTANTIATE_TEST_SUITE_P(Polling, IoRingsTest,
                         ::testing::Values(RingPolling::none, RingPolling::sqpoll, RingPolling::iopoll,
                                           RingPolling::both),
                         name_of);

Task<> use(const File* file, std::uint64_t first, unsigned blocks, unsigned* failed) {
  const auto buffer = Shard::current().buffers().allocate(4_KiB);
  if (!buffer) co_return;
  for (unsigned i = 0; i < blocks; ++i) {
    std::ranges::fill(buffer->bytes(), static_cast<std::byte>(first + i));
    if (!co_await file->write(buffer->bytes(), (first + i) * 4_KiB)) ++*failed;
    std::ranges::fill(buffer->bytes(), std::byte{0});
    const auto got = co_await file->read(buffer->bytes(), (first + i) * 4_KiB);
    if (!got || *got != 4_KiB || buffer->data()[17] != static_cast<std::byte>(first + i)) ++*failed;
  }
}

Task<Result<>> each_role_has_its_ring(std::string name) {
  File file = CO_TRY(co_await File::open(name, O_RDWR | O_CREAT | O_DIRECT));
  CO_TRY(co_await file.allocate(0, 1_MiB));
  IoRings& rings = Shard::current().rings();
  unsigned failed = 0;
  TaskScope scope;
  scope.spawn(use(&file, 0, 4, &failed), Share::foreground);
  scope.spawn(use(&file, 16, 5, &failed), Share::flush);
  scope.spawn(use(&file, 32, 6, &failed), Share::background);
  co_await scope.join();
  const IoBuffer buffer = CO_TRY(Shard::current().buffers().allocate(4_KiB));
  std::ranges::fill(buffer.bytes(), std::byte{1});
  for (std::uint64_t i = 0; i < 7; ++i) {
    iovec part{buffer.data(), 4_KiB};
    CO_TRY(co_await file.write({&part, 1}, i * 4_KiB, true, IoRole::log));
  }
  CO_TRY(co_await file.sync());  // lifecycle operations stay where the shard sleeps
  EXPECT_EQ(failed, 0u);
  // What a ring cannot carry (a disk that does not poll, a write that is none of the log's) the main one
  // does.
  std::uint64_t carried = 0;
  for (const IoRole role : roles) carried += rings.stats(role)->completed;
  carried += rings.stats(IoRole::automatic)->completed;
  EXPECT_EQ(carried, 2u * (4 + 5 + 6) + 7);
  EXPECT_EQ(rings.stats(IoRole::flush)->completed, 10u);
  EXPECT_EQ(rings.stats(IoRole::compaction)->completed, 12u);
  for (const IoRole role : roles) {
    const RingStats& stats = *rings.stats(role);
    EXPECT_EQ(stats.in_flight, 0u);
    EXPECT_EQ(stats.latency_ns.count(), stats.completed);
    if (stats.completed != 0) EXPECT_GE(stats.in_flight_max, 1u);
  }
  co_return co_await file.close();
}
TEST_P(IoRingsTest, EachRoleHasItsRing) {
  run({.sharing = RingSharing::split, .polling = GetParam()}, BackendKind::uring,
      [&] { return each_role_has_its_ring(directory + "/file"); });
}

TEST_P(IoRingsTest, LockedRingsWork) {
  run({.sharing = RingSharing::split, .polling = GetParam(), .single_issuer = false}, BackendKind::uring,
      [&] { return each_role_has_its_ring(directory + "/file"); });
}

Task<Result<>> says_what_it_is(RingPolling polling) {
  IoRings& rings = Shard::current().rings();
  EXPECT_TRUE(rings.split());
  const std::vector<std::string> lines = rings.describe();
  EXPECT_GE(lines.size(), 4u);
  bool any_iopoll = false, any_sqpoll = false;
  for (const std::string& line : lines) {
    any_iopoll |= line.contains("IOPOLL");
    any_sqpoll |= line.contains("SQPOLL");
    if (line.starts_with("flush") || line.starts_with("compaction"))
      EXPECT_FALSE(line.contains("IOPOLL,")) << line;
  }
  EXPECT_EQ(any_iopoll, polling == RingPolling::iopoll || polling == RingPolling::both);
  EXPECT_EQ(any_sqpoll, polling == RingPolling::sqpoll || polling == RingPolling::both);
  co_return Result<>{};
}
TEST_P(IoRingsTest, SayWhatTheyAre) {
  run({.sharing = RingSharing::split, .polling = GetParam()}, BackendKind::uring,
      [&] { return says_what_it_is(GetParam()); });
}

/// Where the disk of the test's directory polls, log writes and foreground reads are polled for, others
/// never.
TEST_P(IoRingsTest, PollsForReadsAndLogWritesWhereTheDiskDoes) {
  if (GetParam() != RingPolling::iopoll) GTEST_SKIP() << "of the profile iopoll";
  bool polls = true;
  run({.sharing = RingSharing::split, .polling = RingPolling::iopoll}, BackendKind::uring,
      [&]() -> Task<Result<>> {
        return [](std::string name, bool* can) -> Task<Result<>> {
          File file = CO_TRY(co_await File::open(name, O_RDWR | O_CREAT | O_DIRECT));
          CO_TRY(co_await file.allocate(0, 1_MiB));
          *can = CO_TRY(file.describe()).io_poll.value_or(false);
          const IoBuffer buffer = CO_TRY(Shard::current().buffers().allocate(4_KiB));
          CO_TRY(co_await file.write(buffer.bytes(), 0));  // the foreground's, and no log: interrupts
          CO_TRY(co_await file.read(buffer.bytes(), 0));
          const RingStats& stats = *Shard::current().rings().stats(IoRole::foreground);
          EXPECT_EQ(stats.completed, *can ? 1u : 0u);
          EXPECT_EQ(stats.polled, stats.completed);
          co_return co_await file.close();
        }(directory + "/file", &polls);
      });
  if (!polls) GTEST_SKIP() << "the disk under " << directory << " does not poll (queue/io_poll)";
}

TEST_F(RingsTest, SharedIsOneRing) {
  run({}, BackendKind::uring, [&]() -> Task<Result<>> {
    return [](std::string name) -> Task<Result<>> {
      const File file = CO_TRY(co_await File::open(name, O_RDWR | O_CREAT));
      IoRings& rings = Shard::current().rings();
      EXPECT_FALSE(rings.split());
      CO_TRY(co_await file.write(as_bytes("text"), 0));
      for (const IoRole role : roles) EXPECT_EQ(rings.stats(role), nullptr);
      EXPECT_EQ(rings.stats(IoRole::automatic)->completed, 1u);
      co_return Result<>{};
    }(directory + "/file");
  });
}

TEST_F(RingsTest, WithoutIoUringEverythingIsShared) {
  run({.sharing = RingSharing::split}, BackendKind::epoll, [&]() -> Task<Result<>> {
    return [](std::string name) -> Task<Result<>> {
      IoRings& rings = Shard::current().rings();
      EXPECT_FALSE(rings.split());
      EXPECT_EQ(rings.describe().size(), 1u);
      EXPECT_TRUE(rings.describe().front().contains("the loop's ring carries everything"));
      const File file = CO_TRY(co_await File::open(name, O_RDWR | O_CREAT));
      iovec part{const_cast<char*>("text"), 4};
      co_return co_await file.write({&part, 1}, 0, true, IoRole::log);
    }(directory + "/file");
  });
}

/// Not a recommendation: four pollers and two shards compete for two cores, and everything still ends.
TEST_F(RingsTest, FourPollersOnEachOfTwoShards) {
  run(
      {.sharing = RingSharing::split, .polling = RingPolling::sqpoll, .queue_depth = 8, .sqpoll_idle_ms = 1},
      BackendKind::uring,
      [&]() -> Task<Result<>> {
        return [](std::string name) -> Task<Result<>> {
          File file = CO_TRY(co_await File::open(name, O_RDWR | O_CREAT));
          unsigned failed = 0;
          TaskScope scope;
          for (unsigned i = 0; i < 24; ++i) {
            constexpr Share shares[] = {Share::foreground, Share::flush, Share::background};
            scope.spawn(use(&file, i * 8, 8, &failed), shares[i % 3]);
          }
          co_await scope.join();
          EXPECT_EQ(failed, 0u);
          co_return co_await file.close();
        }(directory + "/file" + std::to_string(Shard::current().id().value));
      },
      2);
}

/// How often the kernel was entered for 32 reads that one turn of the loop submits.
std::uint64_t enters_for_32_reads(const std::string& name, unsigned gather) {
  RuntimeOptions options;
  options.shards = 1;
  options.pin = false;
  options.backend = BackendKind::uring;
  options.uring.gather = gather;
  std::uint64_t enters = 0;
  const auto body = [](std::string path, std::uint64_t* counted) -> Task<Result<>> {
    File file = CO_TRY(co_await File::open(path, O_RDWR | O_CREAT));
    CO_TRY(co_await file.resize(1_MiB));
    const IoBuffer buffer = CO_TRY(Shard::current().buffers().allocate(128_KiB));
    const RingStats& stats = *Shard::current().rings().stats(IoRole::automatic);
    std::vector<Operation> reads(32);
    unsigned ended = 0;
    const std::uint64_t before = stats.enters;
    for (std::size_t i = 0; i < reads.size(); ++i) {
      Operation& read = reads[i];
      read.code = OpCode::read;
      read.handle = file.handle();
      read.data = buffer.data() + i * 4_KiB;
      read.length = 4_KiB;
      read.offset = i * 4_KiB;
      read.path2 = reinterpret_cast<const char*>(&ended);  // whom to tell
      read.complete = [](Operation& done) noexcept {
        ++*reinterpret_cast<unsigned*>(const_cast<char*>(done.path2));
      };
      Shard::current().submit(read);
    }
    *counted = stats.enters - before;
    EXPECT_EQ(ended, 0u) << "completed inside submit()";
    while (ended != reads.size()) co_await yield();
    EXPECT_EQ(stats.in_flight_max, 32u);
    co_return co_await file.close();
  };
  Runtime runtime(options);
  const Result<> result = runtime.run([&](Shard&) { return body(name, &enters); });
  EXPECT_TRUE(result) << result.error().to_string();
  return enters;
}
TEST_F(RingsTest, WhatGathersIsBounded) {
  EXPECT_EQ(enters_for_32_reads(directory + "/file", 0), 0u) << "all at the end of the turn";
  EXPECT_EQ(enters_for_32_reads(directory + "/file", 16), 16u) << "two at a time";
  EXPECT_EQ(enters_for_32_reads(directory + "/file", 4), 9u)
      << "2, 2, 2, 2, 2, 3, 4, 5, 7: a fourth each time";
}

TEST(GatherBound, KeepsWhatWaitsToAShareOfWhatIsOutstanding) {
  GatherBound limit(16);
  EXPECT_FALSE(limit.reached(1)) << "a single one goes with the next wait";
  EXPECT_TRUE(limit.reached(2));
  limit.entered();
  EXPECT_FALSE(limit.reached(32));
  EXPECT_TRUE(limit.reached(32));
  limit.entered();
  for (int i = 0; i < 7; ++i) EXPECT_FALSE(limit.reached(128)) << i;
  EXPECT_TRUE(limit.reached(128));
  limit.entered();
  limit.came_back(40);
  limit.came_back(0);
  for (int i = 0; i < 19; ++i) EXPECT_FALSE(limit.reached(64)) << i;
  EXPECT_TRUE(limit.reached(64)) << "half of what came back together";
  GatherBound any(0);
  for (unsigned i = 1; i < 1000; ++i) EXPECT_FALSE(any.reached(i));
}

struct Marks {
  std::uint16_t priority;
  bool async;
};
/// What an operation says once it has been submitted with this share.
Marks submitted(const IoRingsOptions& options, Share share, OpCode code, std::uint16_t asked = 0) {
  class Taker final : public testing::NoIoBackend {
   public:
    const char* name() const noexcept override { return "taker"; }
    void submit(Operation&) noexcept override {}
    unsigned wait(Instant) noexcept override { return 0; }
    void wake() noexcept override {}
    Instant now() const noexcept override { return {}; }
  };
  Taker backend;
  IoRings rings(backend, options);
  Operation operation;
  operation.code = code;
  operation.priority = asked;
  rings.submit(operation, share);
  return {operation.priority, operation.async};
}

TEST(BackgroundIo, IsMarkedAndNothingElseIs) {
  const IoRingsOptions idle{.background_priority = BackgroundPriority::idle, .background_async = true};
  for (const OpCode code : {OpCode::read, OpCode::write}) {
    EXPECT_EQ(submitted(idle, Share::background, code).priority, io_priority_idle);
    EXPECT_TRUE(submitted(idle, Share::background, code).async);
    EXPECT_EQ(submitted(idle, Share::flush, code).priority, 0);
    EXPECT_FALSE(submitted(idle, Share::foreground, code).async);
    EXPECT_EQ(submitted({}, Share::background, code).priority, 0);
    EXPECT_FALSE(submitted({}, Share::background, code).async);
  }
  EXPECT_EQ(submitted(idle, Share::background, OpCode::sync).priority, 0);
  const IoRingsOptions low{.background_priority = BackgroundPriority::low};
  EXPECT_EQ(submitted(low, Share::background, OpCode::read).priority, io_priority_best_effort(7));
  EXPECT_EQ(submitted(low, Share::background, OpCode::read, io_priority_best_effort(0)).priority,
            io_priority_best_effort(0));
}

}  // namespace
}  // namespace ashlar
