#include "ashlar/layer/delay/delay_layer.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "ashlar/base/checksum.h"
#include "ashlar/block/test_memory.h"
#include "ashlar/runtime/sync/scope.h"
#include "ashlar/runtime/sync/test_shard.h"

namespace ashlar {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

template <class Body>
Task<> with_device(std::string spec, Body body) {
  return testing::use_device(testing::over_memory(delay_kind()), std::move(spec),
                             [body](Device&, Channel& channel) { return body(channel); });
}

Task<> expect_latencies(Channel& channel) {
  std::array<std::byte, 512> block{};
  const auto took = [](Instant since) { return Shard::current().now() - since; };
  Instant start = Shard::current().now();
  EXPECT_TRUE(co_await channel.read(Lba(1), block));
  EXPECT_EQ(took(start), microseconds(100));
  start = Shard::current().now();
  EXPECT_TRUE(co_await channel.write(Lba(1), block));
  EXPECT_EQ(took(start), microseconds(30));
  start = Shard::current().now();
  EXPECT_TRUE(co_await channel.write_zeroes(Lba(1), 1));
  EXPECT_EQ(took(start), microseconds(30));
  start = Shard::current().now();
  EXPECT_TRUE(co_await channel.flush());
  EXPECT_EQ(took(start), milliseconds(2));
  start = Shard::current().now();
  EXPECT_TRUE(co_await channel.trim(Lba(1), 1));
  EXPECT_EQ(took(start), Duration(0));
}
TEST(Delay, EachOperationTakesItsTime) {
  testing::TestShard shard;
  shard.run(with_device("delay(ram:1MiB)?read=100us&write=30us&flush=2ms", expect_latencies));
}

Task<> expect_overlap(Channel& channel) {
  std::array<std::array<std::byte, 512>, 8> blocks{};
  std::array<Request, 8> requests;
  std::array<Segment, 8> segments;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    segments[i] = Channel::segment_of(MutableBytes(blocks[i]));
    requests[i].lba = Lba(i);
    requests[i].data = {&segments[i], 1};
  }
  const Instant start = Shard::current().now();
  EXPECT_TRUE(co_await channel.submit(requests));
  EXPECT_EQ(Shard::current().now() - start, microseconds(100));
}
TEST(Delay, RequestsWaitSideBySide) {
  testing::TestShard shard;
  shard.run(with_device("delay(ram:1MiB)?read=100us", expect_overlap));
}

Task<> expect_limits(Channel& channel) {
  std::array<std::byte, 4096> data{};
  const Instant start = Shard::current().now();
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(co_await channel.read(Lba(0), MutableBytes(data).first(512)));
  // The first is free: 99 at 1000 per second.
  EXPECT_EQ(Shard::current().now() - start, milliseconds(99));
  const Instant middle = Shard::current().now();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(co_await channel.write(Lba(0), data));
  EXPECT_GE(Shard::current().now() - middle, milliseconds(8));  // 2 × 4096 B at 1 MB/s
  EXPECT_LE(Shard::current().now() - middle, milliseconds(10));
  EXPECT_TRUE(co_await channel.flush());
}
TEST(Delay, LimitsHoldOverTime) {
  testing::TestShard shard;
  shard.run(with_device("delay(ram:1MiB)?iops=1000&bandwidth=1MB&burst=0", expect_limits));
}

Task<> expect_deadline(Channel& channel) {
  std::array<std::byte, 512> block{};
  const Instant start = Shard::current().now();
  const Result<> late = co_await channel.read(Lba(3), block, {.deadline = start + milliseconds(1)});
  EXPECT_FALSE(late);
  if (!late) EXPECT_EQ(late.error().code, Errc::timed_out);
  if (!late) EXPECT_EQ(late.error().offset, 3u * 512);
  EXPECT_EQ(Shard::current().now() - start, milliseconds(1));
  EXPECT_TRUE(co_await channel.read(Lba(3), block, {.deadline = Shard::current().now() + seconds(1)}));
}
TEST(Delay, ARequestThatWouldBeginTooLateTimesOut) {
  testing::TestShard shard;
  shard.run(with_device("delay(ram:1MiB)?read=5ms", expect_deadline));
}

struct Latencies {
  std::vector<Duration::rep>* into;
  Task<> operator()(Channel& channel) const {
    std::array<std::byte, 512> block{};
    for (int i = 0; i < 1000; ++i) {
      const Instant start = Shard::current().now();
      const bool reads = i % 3 != 0;
      EXPECT_TRUE(reads ? co_await channel.read(Lba(0), block) : co_await channel.write(Lba(0), block));
      into->push_back((Shard::current().now() - start).count());
    }
  }
};
std::uint64_t digest(const std::string& spec) {
  testing::TestShard shard;
  std::vector<Duration::rep> latencies;
  shard.run(with_device(spec, Latencies{&latencies}));
  return xxh3(std::as_bytes(std::span(latencies)));
}
TEST(Delay, TheSameSeedTakesTheSameTime) {
  const std::string spec = "delay(ram:1MiB)?read=100us&write=20us&distribution=lognormal&spread=80%&seed=";
  EXPECT_EQ(digest(spec + "5"), digest(spec + "5"));
  EXPECT_NE(digest(spec + "5"), digest(spec + "6"));
  // Without one it comes from the shard, which has the same in each of these runs.
  EXPECT_EQ(digest(spec + "0"), digest(spec + "0"));
}

Task<> expect_refused(std::string spec) {
  auto device = co_await testing::over_memory(delay_kind()).open(spec);
  EXPECT_FALSE(device) << spec;
  if (device) co_await (*device)->close();
}
TEST(Delay, RefusesNegativeLatencies) {
  testing::TestShard shard;
  shard.run(expect_refused("delay(ram:1MiB)?distribution=uniform&spread=60%"));
  shard.run(expect_refused("delay(ram:1MiB)?distribution=exponential&spread=101%"));
}

}  // namespace
}  // namespace ashlar
