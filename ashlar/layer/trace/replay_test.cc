#include "ashlar/layer/trace/replay.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <string>
#include <vector>

#include "ashlar/block/test_memory.h"
#include "ashlar/runtime/sync/test_shard.h"

namespace ashlar::trace {
namespace {

using std::chrono::microseconds;

const Registry& registry() {
  static const Registry registry = [] {
    Registry kinds;
    kinds.add(testing::memory_kind());
    return kinds;
  }();
  return registry;
}

Entry entry(Op op, std::uint64_t submitted_us, std::uint64_t latency_us, std::uint64_t lba,
            std::uint64_t blocks) {
  return {.op = op,
          .completed_ns = (submitted_us + latency_us) * 1000,
          .latency_ns = latency_us * 1000,
          .lba = lba,
          .blocks = blocks};
}

/// `workers` that each read one block after the other, `gap` apart.
Trace readers(unsigned workers, unsigned each, std::uint64_t latency_us, std::uint64_t gap_us) {
  Trace trace;
  trace.header = {.block_bytes = 512, .blocks = 2048, .spec = {}};
  for (unsigned i = 0; i < each; ++i)
    for (unsigned worker = 0; worker < workers; ++worker)
      trace.entries.push_back(
          entry(Op::read, 7000 + i * (latency_us + gap_us), latency_us, (i * 7 + worker) % 2048, 1));
  return trace;
}

Task<> replay_into(std::string spec, const Trace* trace, ReplayOptions options,
                   std::optional<Result<ReplayReport>>* into) {
  auto device = co_await registry().open(spec);
  EXPECT_TRUE(device);
  into->emplace(co_await replay(**co_await (*device)->channel(), *trace, options));
  co_await (*device)->close();
}
Result<ReplayReport> replayed(std::string spec, const Trace& trace, ReplayOptions options) {
  testing::TestShard shard;
  std::optional<Result<ReplayReport>> report;
  shard.run(replay_into(std::move(spec), &trace, options, &report));
  return *std::move(report);
}

TEST(Replay, KeepsTheRecordedTimes) {
  const Trace trace = readers(4, 100, 50, 150);
  auto report = replayed("ram:1MiB?read=20us", trace, {});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->requests, 400u);
  EXPECT_EQ(report->bytes, 400u * 512);
  EXPECT_EQ(report->errors, 0u);
  EXPECT_EQ(report->late_max, Duration(0));
  EXPECT_EQ(report->recorded_time, microseconds(99 * 200 + 50));
  EXPECT_EQ(report->replayed_time, microseconds(99 * 200 + 20));
  EXPECT_EQ(report->recorded[0].max(), 50'000u);
  EXPECT_EQ(report->replayed[0].max(), 20'000u);

  report = replayed("ram:1MiB?read=20us", trace, {.speed = 2});
  EXPECT_EQ(report->replayed_time, microseconds(99 * 100 + 20));
  report = replayed("ram:1MiB?read=20us", trace, {.speed = 0.5});
  EXPECT_EQ(report->replayed_time, microseconds(99 * 400 + 20));
}

TEST(Replay, ASlowDeviceMakesItLateAndIsNotOverrun) {
  const Trace trace = readers(4, 100, 50, 150);
  const auto report = replayed("ram:1MiB?read=10ms", trace, {.in_flight_max = 8});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->in_flight_max, 8u);
  EXPECT_GE(report->replayed_time, std::chrono::milliseconds(400 / 8 * 10));
  EXPECT_LE(report->replayed_time, std::chrono::milliseconds(400 / 8 * 10 + 1));
  EXPECT_GT(report->late_max, std::chrono::milliseconds(400));
}

TEST(Replay, DependentRequestsWaitForWhatTheyWaitedFor) {
  // Two readers with a gap: without it, at the device's speed.
  auto report = replayed("ram:1MiB?read=20us", readers(2, 100, 50, 150), {.pace = Pace::dependent});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->in_flight_max, 2u);
  EXPECT_EQ(report->replayed_time, microseconds(100 * 20));
  // A chain, a request that came while another was under way, and one that came after both.
  Trace trace;
  trace.header.block_bytes = 512;
  trace.entries = {entry(Op::read, 0, 10, 0, 1), entry(Op::read, 5, 20, 1, 1), entry(Op::read, 11, 2, 2, 1),
                   entry(Op::read, 30, 1, 3, 1)};
  report = replayed("ram:1MiB?read=100us", trace, {.pace = Pace::dependent});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->replayed_time, microseconds(300));
  EXPECT_EQ(report->in_flight_max, 2u);
}

TEST(Replay, RequestsOfOneMomentDoNotWaitForEachOther) {
  // As under virtual time on a device that takes none.
  const Trace trace = readers(100, 100, 0, 0);
  for (const Pace pace : {Pace::recorded, Pace::dependent, Pace::depth}) {
    const auto report = replayed("ram:1MiB", trace, {.pace = pace});
    ASSERT_TRUE(report);
    EXPECT_EQ(report->requests, 10'000u);
  }
}

TEST(Replay, KeepsADepth) {
  const auto report =
      replayed("ram:1MiB?read=100us", readers(1, 320, 50, 150), {.pace = Pace::depth, .depth = 16});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->in_flight_max, 16u);
  EXPECT_EQ(report->replayed_time, microseconds(320 / 16 * 100));
}

TEST(Replay, WritesOnlyWhereItMay) {
  Trace trace = readers(1, 2, 50, 150);
  trace.entries.push_back(entry(Op::write, 8000, 10, 5, 4));
  trace.entries.push_back(entry(Op::flush, 8100, 10, 0, 0));
  trace.entries.push_back(entry(Op::compare_and_write, 8200, 10, 5, 4));
  trace.entries.push_back(entry(Op::trim, 8300, 10, 5, 4));
  trace.entries.push_back(entry(Op::write_zeroes, 8400, 10, 5, 4));
  auto report = replayed("ram:1MiB", trace, {});
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, Errc::permission);
  report = replayed("ram:1MiB", trace, {.pace = Pace::dependent, .writes = Writes::skip});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->requests, 3u);
  EXPECT_EQ(report->skipped, 4u);
  report = replayed("ram:1MiB", trace, {.writes = Writes::carry_out});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->requests, 7u);
  EXPECT_EQ(report->errors, 0u);
  EXPECT_EQ(report->replayed[static_cast<std::size_t>(Op::write)].count(), 1u);
}

Task<> expect_random_writes(const Trace* trace) {
  auto device = co_await registry().open("ram:1MiB");
  Channel& channel = **co_await (*device)->channel();
  const ReplayOptions options{.pace = Pace::depth, .writes = Writes::carry_out};
  EXPECT_TRUE(co_await replay(channel, *trace, options));
  std::array<std::byte, 512> found, zeroes{};
  EXPECT_TRUE(co_await channel.read(Lba(5), found));
  EXPECT_NE(found, zeroes);
  co_await (*device)->close();
}
TEST(Replay, WritesAreNotWhatWasReadBefore) {
  Trace trace = readers(1, 2, 50, 150);
  trace.entries.push_back(entry(Op::write, 8000, 10, 5, 1));
  testing::TestShard shard;
  shard.run(expect_random_writes(&trace));
}

TEST(Replay, BlocksOfAnotherSizeAreRoundedOutwards) {
  Trace trace;
  trace.header.block_bytes = 512;
  trace.entries = {entry(Op::read, 0, 1, 7, 2), entry(Op::read, 5, 1, 8, 8), entry(Op::read, 9, 1, 2047, 1)};
  auto report = replayed("ram:1MiB?block=4KiB", trace, {});
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->bytes, (2u + 1 + 1) * 4096);
  trace.header.block_bytes = 4096;
  trace.entries = {entry(Op::read, 0, 1, 255, 1)};
  report = replayed("ram:1MiB", trace, {});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->bytes, 4096u);
}

TEST(Replay, BeyondTheDeviceIsAnErrorBeforeItStarts) {
  for (const Entry& beyond :
       {entry(Op::read, 0, 1, 2048, 1), entry(Op::read, 0, 1, 2047, 2),
        entry(Op::read, 0, 1, ~std::uint64_t{0} - 1, 1), entry(Op::read, 0, 1, 0, 1u << 31)}) {
    Trace trace;
    trace.header.block_bytes = 512;
    trace.entries = {beyond};
    const auto report = replayed("ram:1MiB", trace, {});
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().code, Errc::too_large);
  }
  Trace trace;
  trace.entries = {entry(Op::read, 0, 1, 1, 0)};
  EXPECT_EQ(replayed("ram:1MiB", trace, {}).error().code, Errc::corrupt);
  EXPECT_EQ(replayed("ram:1MiB", {}, {.speed = 0}).error().code, Errc::invalid);
  EXPECT_EQ(replayed("ram:1MiB", {}, {}).value().requests, 0u);
}

}  // namespace
}  // namespace ashlar::trace
