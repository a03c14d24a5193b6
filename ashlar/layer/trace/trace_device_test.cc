#include "ashlar/layer/trace/trace_device.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <set>
#include <string>
#include <vector>

#include "ashlar/base/random.h"
#include "ashlar/block/test_memory.h"
#include "ashlar/layer/trace/trace_file.h"
#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/ops/sim/world.h"
#include "ashlar/runtime/sync/scope.h"

namespace ashlar {
namespace {

using std::chrono::milliseconds;
constexpr std::size_t block = 512;

/// A simulated machine with a disk for the trace; runs a task on shard 0.
class Trace : public ::testing::Test {
 protected:
  void run(unsigned shards, const std::function<Task<>()>& body, sim::Latency disk_latency = {}) {
    sim::WorldOptions options{.shards = shards, .environment = {.seed = 5}};
    if (disk_latency.max != Duration(0)) options.environment.disk = disk_latency;
    sim::World world(options, disk);
    world.on(0, [&] { world.spawn(0, body()); });
    ASSERT_EQ(world.run_to_end(), sim::World::Outcome::done) << world.report();
  }
  trace::Trace load() {
    trace::Trace loaded;
    run(1, [&] { return load_into(&loaded); });
    return loaded;
  }
  static Task<> load_into(trace::Trace* into) {
    auto loaded = co_await trace::load("/t");
    EXPECT_TRUE(loaded) << loaded.error().to_string();
    if (loaded) *into = *std::move(loaded);
  }

  sim::Disk disk;
  TraceDevice::Stats stats;
};

Task<std::unique_ptr<Device>> open(std::string spec) {
  auto device = co_await testing::over_memory(trace_kind()).open(spec);
  if (!device) ADD_FAILURE() << device.error().show(spec);
  co_return device ? *std::move(device) : nullptr;
}
Task<> close(Device& device, TraceDevice::Stats* stats) {
  co_await device.close();
  *stats = TraceDevice::of(device)->stats();
}

Task<> work(Channel& channel, unsigned requests, std::uint64_t seed) {
  Random random(seed);
  std::array<std::byte, 4 * block> data{};
  for (unsigned i = 0; i < requests; ++i) {
    const MutableBytes memory = MutableBytes(data).first((1 + random.below(4)) * block);
    const Lba lba(random.below(1000));
    EXPECT_TRUE(random.one_in(3) ? co_await channel.write(lba, memory) : co_await channel.read(lba, memory));
  }
}

Task<> each_kind_of_request(TraceDevice::Stats* stats) {
  const auto device = co_await open("trace(ram:1MiB?read=100us&write=30us&flush=2ms)?file=/t");
  Channel& channel = **co_await device->channel();
  std::array<std::byte, 4 * block> data{};
  EXPECT_TRUE(co_await channel.read(Lba(100), data));
  EXPECT_TRUE(co_await channel.write(Lba(104), data, {.durable = true, .priority = IoPriority::high}));
  EXPECT_TRUE(co_await channel.flush());
  EXPECT_TRUE(co_await channel.trim(Lba(1), 9));
  EXPECT_TRUE(co_await channel.write_zeroes(Lba(7), 2));
  EXPECT_FALSE(co_await channel.compare_and_write(Lba(104), std::array<std::byte, 1>{}, data));  // not begun
  data[0] = std::byte{1};
  const auto other = data;
  EXPECT_FALSE(co_await channel.compare_and_write(Lba(104), data, other));  // zeroes are there
  const Instant soon = Shard::current().now() + std::chrono::microseconds(10);
  EXPECT_FALSE(co_await channel.read(Lba(100), data, {.deadline = soon}));
  co_await close(*device, stats);
}
TEST_F(Trace, SaysWhatCameAndHowItEnded) {
  run(1, [&] { return each_kind_of_request(&stats); });
  const trace::Trace trace = load();
  EXPECT_EQ(trace.header.block_bytes, block);
  EXPECT_EQ(trace.header.blocks, 2048u);
  EXPECT_EQ(trace.header.spec, "ram:1MiB?read=100us&write=30us&flush=2ms");
  EXPECT_EQ(trace.chunks, 1u);
  EXPECT_EQ(stats.recorded, 7u);
  EXPECT_EQ(stats.dropped, 0u);
  ASSERT_EQ(trace.entries.size(), 7u);
  struct Expected {
    Op op;
    std::uint64_t lba, blocks, latency_us;
  };
  const Expected expected[] = {{Op::read, 100, 4, 100},      {Op::write, 104, 4, 30},
                               {Op::flush, 0, 0, 2000},      {Op::trim, 1, 9, 30},
                               {Op::write_zeroes, 7, 2, 30}, {Op::compare_and_write, 104, 4, 100},
                               {Op::read, 100, 4, 10}};
  for (std::size_t i = 0; i < 7; ++i) {
    const trace::Entry& entry = trace.entries[i];
    EXPECT_EQ(entry.op, expected[i].op) << i;
    EXPECT_EQ(entry.lba, expected[i].lba) << i;
    EXPECT_EQ(entry.blocks, expected[i].blocks) << i;
    EXPECT_NEAR(static_cast<double>(entry.latency_ns) / 1000, static_cast<double>(expected[i].latency_us), 2)
        << i;
    EXPECT_EQ(entry.durable, i == 1) << i;
    EXPECT_EQ(entry.priority, i == 1 ? IoPriority::high : IoPriority::normal) << i;
    EXPECT_EQ(entry.deadline, i == 6) << i;
  }
  EXPECT_EQ(trace.entries[5].result, 1 + static_cast<int>(Errc::conflict));
  EXPECT_EQ(trace.entries[6].result, 1 + static_cast<int>(Errc::timed_out));
}

Task<> on_shards(unsigned shards, unsigned requests, std::string spec, TraceDevice::Stats* stats) {
  const auto device = co_await open(std::move(spec));
  const auto worker = [](Device& of, unsigned shard, unsigned count) -> Task<> {
    co_await invoke(ShardId(shard), [&]() -> Task<> {
      Channel& channel = **co_await of.channel();
      co_await work(channel, count, 1 + shard);
    });
  };
  TaskScope scope;
  for (unsigned shard = 0; shard < shards; ++shard) scope.spawn(worker(*device, shard, requests));
  co_await scope.join();
  co_await close(*device, stats);
}
TEST_F(Trace, SeveralShardsShareAFile) {
  run(3, [&] { return on_shards(3, 20'000, "trace(ram:1MiB?read=20us&write=20us)?file=/t", &stats); });
  const trace::Trace trace = load();
  EXPECT_EQ(stats.recorded, 60'000u);
  EXPECT_EQ(stats.dropped, 0u);
  EXPECT_EQ(trace.entries.size(), 60'000u);
  EXPECT_GE(trace.chunks, 9u);
  EXPECT_EQ(trace.damaged + trace.nothing + trace.dropped, 0u);
  std::array<unsigned, 3> by_shard{};
  for (const trace::Entry& entry : trace.entries) ++by_shard.at(entry.shard);
  EXPECT_EQ(by_shard, (std::array<unsigned, 3>{20'000, 20'000, 20'000}));
  EXPECT_TRUE(std::ranges::is_sorted(trace.entries, {}, &trace::Entry::submitted_ns));
}

TEST_F(Trace, AFileThatIsTooSlowCostsEntriesAndNoRequest) {
  // Four chunks fill within a write.
  run(1, [&] { return on_shards(1, 100'000, "trace(ram:1MiB?read=1us&write=1us)?file=/t", &stats); },
      {milliseconds(200), milliseconds(300)});
  EXPECT_EQ(stats.recorded + stats.dropped, 100'000u);
  EXPECT_GT(stats.dropped, 1000u);
  const trace::Trace trace = load();
  EXPECT_EQ(trace.entries.size(), stats.recorded);
  EXPECT_EQ(trace.dropped, stats.dropped) << "the trace tells what is missing";
}

TEST_F(Trace, AFullDiskCostsEntriesAndNoRequest) {
  disk.set_capacity(256 << 10);
  run(1, [&] { return on_shards(1, 60'000, "trace(ram:1MiB?read=20us&write=20us)?file=/t", &stats); });
  const trace::Trace trace = load();
  EXPECT_GT(trace.entries.size(), 1000u);
  EXPECT_GT(stats.dropped, 1000u);
  EXPECT_EQ(trace.entries.size() + stats.dropped, 60'000u);
}

TEST_F(Trace, WithoutAFileItCounts) {
  run(1, [&] { return on_shards(1, 60'000, "trace(ram:1MiB)", &stats); });
  EXPECT_EQ(stats.recorded, 60'000u);
  EXPECT_EQ(stats.dropped, 0u);
  EXPECT_TRUE(disk.files().empty());
}

Task<> spoil(std::string path, std::uint64_t size) {
  const File file = *co_await File::open(std::move(path), O_RDWR);
  EXPECT_TRUE(co_await file.resize(size));
}
TEST_F(Trace, WhatIsDamagedOrTornIsLeftOut) {
  run(1, [&] { return on_shards(1, 40'000, "trace(ram:1MiB?read=20us&write=20us)?file=/t", &stats); });
  const trace::Trace whole = load();
  ASSERT_GE(whole.chunks, 5u);
  ASSERT_EQ(disk.flip_bit("/t", trace::header_bytes + trace::chunk_bytes + 5000, 3), 0);
  trace::Trace trace = load();
  EXPECT_EQ(trace.damaged, 1u);
  EXPECT_EQ(trace.chunks, whole.chunks - 1);
  EXPECT_LT(trace.entries.size(), whole.entries.size());
  const std::size_t before = trace.entries.size();
  run(1, [&] { return spoil("/t", trace::header_bytes + (whole.chunks - 1) * trace::chunk_bytes + 100); });
  trace = load();
  EXPECT_EQ(trace.damaged, 2u);
  EXPECT_LT(trace.entries.size(), before);
  EXPECT_GT(trace.entries.size(), 0u);
}

Task<> expect_no_trace(std::string path, Errc code) {
  const auto loaded = co_await trace::load(std::move(path));
  EXPECT_FALSE(loaded);
  if (!loaded) EXPECT_EQ(loaded.error().code, code);
}
Task<> make_file(std::string path, std::uint64_t size) {
  const File file = *co_await File::open(std::move(path), O_RDWR | O_CREAT);
  EXPECT_TRUE(co_await file.resize(size));
}
TEST_F(Trace, OtherFilesAreNone) {
  run(1, [] { return expect_no_trace("/missing", Errc::not_found); });
  run(1, [] { return make_file("/empty", 0); });
  run(1, [] { return expect_no_trace("/empty", Errc::corrupt); });
  run(1, [] { return make_file("/zeroes", 100'000); });
  run(1, [] { return expect_no_trace("/zeroes", Errc::corrupt); });
}

Task<> expect_refused() {
  auto device = co_await testing::over_memory(trace_kind()).open("trace(ram:1MiB)?file=/no/such/place");
  EXPECT_FALSE(device);
  if (!device) EXPECT_EQ(device.error().code, Errc::not_found);
}
TEST_F(Trace, AFileThatCannotBeMadeIsAnError) {
  run(1, [] { return expect_refused(); });
}

}  // namespace
}  // namespace ashlar
