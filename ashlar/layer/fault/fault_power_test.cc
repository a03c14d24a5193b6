/// Power cuts: what was flushed or written durably survives each of them; of the rest, each block holds one
/// of the versions it had since then; and over many seeds every such outcome is seen.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "ashlar/base/random.h"
#include "ashlar/layer/fault/fault_device.h"
#include "ashlar/layer/fault/test_fault.h"
#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/ops/sim/world.h"
#include "ashlar/runtime/sync/scope.h"
#include "ashlar/runtime/sync/sleep.h"
#include "ashlar/runtime/sync/test_shard.h"

namespace ashlar {
namespace {

using testing::filled;
using Block = testing::FaultBlock;
constexpr std::size_t block = testing::fault_block;

Task<int> value_at(Channel& channel, std::uint64_t lba) {
  Block found;
  EXPECT_TRUE(co_await channel.read(Lba(lba), found));
  EXPECT_EQ(found, filled(static_cast<int>(found[0])));
  co_return static_cast<int>(found[0]);
}

Task<> lose_power(FaultDevice& device, Channel& channel) {
  EXPECT_TRUE(co_await device.cut_power());
  Block data = filled(9);
  const Result<> off = co_await channel.write(Lba(0), data);
  EXPECT_FALSE(off);
  if (!off) EXPECT_EQ(off.error().native, ENODEV);
  EXPECT_FALSE(co_await channel.read(Lba(0), data));
  EXPECT_FALSE(co_await channel.flush());
  device.restore_power();
}

/// Counts, over many cuts, what was found.
struct Outcomes {
  std::array<unsigned, 4>* found;
  Task<> operator()(FaultDevice& device, Channel& channel) const {
    for (int round = 0; round < 200; ++round) {
      EXPECT_TRUE(co_await channel.write(Lba(0), filled(1)));
      EXPECT_TRUE(co_await channel.flush());
      EXPECT_TRUE(co_await channel.write(Lba(0), filled(2)));
      EXPECT_TRUE(co_await channel.write(Lba(0), filled(3)));
      EXPECT_EQ(co_await value_at(channel, 0), 3);
      co_await lose_power(device, channel);
      ++(*found)[static_cast<std::size_t>(co_await value_at(channel, 0))];
    }
    EXPECT_EQ(device.cached_bytes(), 0u);
  }
};
TEST(FaultPower, LeavesAnyVersionSinceTheLastFlush) {
  testing::TestShard shard;
  std::array<unsigned, 4> found{};
  shard.run(testing::with_fault("fault(ram:64KiB)?seed=1&cache=16KiB", Outcomes{&found}));
  EXPECT_EQ(found[0], 0u);
  for (const int value : {1, 2, 3}) EXPECT_GT(found[static_cast<std::size_t>(value)], 30u) << value;
}

Task<> expect_durable(FaultDevice& device, Channel& channel) {
  for (int value = 1; value < 50; ++value) {
    EXPECT_TRUE(co_await channel.write(Lba(1), filled(value)));
    EXPECT_TRUE(co_await channel.write(Lba(0), filled(value), {.durable = true}));
    EXPECT_EQ(device.cached_bytes(), block) << "the durable one is on the medium";
    co_await lose_power(device, channel);
    EXPECT_EQ(co_await value_at(channel, 0), value);
    EXPECT_TRUE(co_await channel.write(Lba(2), filled(value)));
    EXPECT_TRUE(co_await channel.flush());
    co_await lose_power(device, channel);
    EXPECT_EQ(co_await value_at(channel, 2), value);
  }
  EXPECT_GT(device.blocks_lost(), 10u);
}
TEST(FaultPower, WhatIsDurableSurvives) {
  testing::TestShard shard;
  shard.run(testing::with_fault("fault(ram:64KiB)?seed=2&cache=16KiB", expect_durable));
}

Task<> expect_lost_flush(FaultDevice& device, Channel& channel) {
  unsigned lost = 0;
  for (int round = 0; round < 50; ++round) {
    device.arm(false);
    EXPECT_TRUE(co_await channel.write(Lba(0), filled(1)));
    EXPECT_TRUE(co_await channel.flush());
    device.arm(true);
    EXPECT_TRUE(co_await channel.write(Lba(0), filled(2)));
    EXPECT_TRUE(co_await channel.flush());
    co_await lose_power(device, channel);
    lost += co_await value_at(channel, 0) == 1;
  }
  EXPECT_GT(lost, 10u);
  EXPECT_LT(lost, 40u);
}
TEST(FaultPower, ALostFlushLosesWhatItAcknowledged) {
  testing::TestShard shard;
  shard.run(testing::with_fault("fault(ram:64KiB)?seed=3&cache=16KiB&lost-flush=1", expect_lost_flush));
}

/// A flush that failed and is tried again succeeds, and part of the data is gone: what fsync did to
/// databases.
Task<> expect_failed_flush(FaultDevice& device, Channel& channel) {
  unsigned lost = 0;
  for (int round = 0; round < 50; ++round) {
    device.arm(false);
    EXPECT_TRUE(co_await channel.write(Lba(0), filled(1)));
    EXPECT_TRUE(co_await channel.flush());
    EXPECT_TRUE(co_await channel.write(Lba(0), filled(2)));
    device.arm(true);
    EXPECT_FALSE(co_await channel.flush());
    device.arm(false);
    EXPECT_TRUE(co_await channel.flush());
    lost += co_await value_at(channel, 0) == 1;
  }
  EXPECT_GT(lost, 10u);
  EXPECT_LT(lost, 40u);
}
TEST(FaultPower, AFailedFlushLosesPart) {
  testing::TestShard shard;
  shard.run(testing::with_fault("fault(ram:64KiB)?seed=4&cache=16KiB&flush-error=1", expect_failed_flush));
}

Task<> expect_bounded(FaultDevice& device, Channel& channel) {
  std::array<std::byte, 4 * block> data{};
  for (std::uint64_t i = 0; i < 100; ++i) {
    data.fill(static_cast<std::byte>(i));
    EXPECT_TRUE(co_await channel.write(Lba(i % 30 * 4), data));
    EXPECT_LE(device.cached_bytes(), 8192u);
  }
  EXPECT_TRUE(co_await channel.write_zeroes(Lba(0), 2));
  EXPECT_TRUE(co_await channel.trim(Lba(4), 4));
  EXPECT_EQ(co_await value_at(channel, 1), 0);
  EXPECT_EQ(co_await value_at(channel, 2), 90);
  EXPECT_EQ(co_await value_at(channel, 39), 99);
  // A read of what is cached and what is not.
  std::array<std::byte, 120 * block> all;
  EXPECT_TRUE(co_await channel.read(Lba(0), all));
  for (std::size_t i = 8; i < 120; ++i)
    EXPECT_EQ(static_cast<std::size_t>(all[i * block]), i / 4 + (i / 4 < 10 ? 90u : 60u)) << i;
}
TEST(FaultPower, TheCacheKeepsToItsSize) {
  testing::TestShard shard;
  shard.run(testing::with_fault("fault(ram:64KiB)?seed=5&cache=8KiB", expect_bounded));
}

/// Blocks that hold numbers, and what may be found of each after a cut.
constexpr std::uint64_t block_count = 12;
struct Known {
  std::uint64_t written = 0, acknowledged = 0, durable = 0;
};

Task<Result<>> write_number(Channel& channel, std::uint64_t lba, Known& known, bool durable) {
  std::array<std::uint64_t, block / 8> words;
  words.fill(++known.written);
  const std::uint64_t number = known.written;
  CO_TRY(co_await channel.write(Lba(lba), std::as_bytes(std::span(words)), {.durable = durable}));
  known.acknowledged = number;
  if (durable) known.durable = number;
  co_return Result<>{};
}

Task<> work(Device& device, std::vector<Known>& known, unsigned shard, unsigned shards, std::uint64_t seed) {
  Random random(seed);
  Channel& channel = **co_await device.channel();
  for (;;) {
    const std::uint64_t lba = random.below(block_count / shards) * shards + shard;
    if (!co_await write_number(channel, lba, known[lba], random.one_in(5))) co_return;  // the power went
    static_cast<void>(co_await sleep_for(Duration(static_cast<Duration::rep>(random.below(2000)))));
    if (!random.one_in(8)) continue;
    std::vector<std::uint64_t> covered;
    for (const Known& one : known) covered.push_back(one.acknowledged);
    if (!co_await channel.flush()) co_return;
    for (std::size_t i = 0; i < known.size(); ++i) known[i].durable = std::max(known[i].durable, covered[i]);
  }
}

Task<> check(Channel& channel, std::vector<Known>& known) {
  for (std::uint64_t lba = 0; lba < block_count; ++lba) {
    std::array<std::uint64_t, block / 8> words;
    EXPECT_TRUE(co_await channel.read(Lba(lba), std::as_writable_bytes(std::span(words))));
    EXPECT_EQ(std::ranges::count(words, words[0]), static_cast<long>(words.size()))
        << "torn inside of a block";
    EXPECT_GE(words[0], known[lba].durable) << "lost: block " << lba;
    EXPECT_LE(words[0], known[lba].written) << "never written: block " << lba;
    known[lba].acknowledged = words[0];
  }
}

Task<> live_and_die(std::uint64_t seed, unsigned shards, bool* ended) {
  auto opened = co_await testing::over_memory(fault_kind())
                    .open("fault(ram:64KiB)?cache=2KiB&seed=" + std::to_string(seed));
  FaultDevice& device = *FaultDevice::of(**opened);
  Random random(seed);
  std::vector<Known> known(block_count);
  for (int life = 0; life < 20; ++life) {
    TaskScope workers;
    const auto there = [](Device& of, std::vector<Known>& blocks, unsigned shard, unsigned count,
                          std::uint64_t number) -> Task<> {
      co_await invoke(ShardId(shard), [&] { return work(of, blocks, shard, count, number); });
    };
    for (unsigned i = 0; i < shards * 2; ++i)
      workers.spawn(there(device, known, i % shards, shards, random.next()));
    static_cast<void>(co_await sleep_for(Duration(static_cast<Duration::rep>(random.below(200'000)))));
    EXPECT_TRUE(co_await device.cut_power());
    co_await workers.join();
    device.restore_power();
    co_await check(**co_await device.channel(), known);
  }
  EXPECT_GT(device.blocks_lost(), 0u);
  co_await (*opened)->close();
  *ended = true;
}

TEST(FaultPower, OnSeveralShardsNothingDurableIsLost) {
  const char* const given = std::getenv("ASHLAR_SEED");
  const std::uint64_t first = given != nullptr ? std::strtoull(given, nullptr, 0) : 1;
  for (std::uint64_t seed = first; seed < first + (given != nullptr ? 1 : 10) && !HasFailure(); ++seed) {
    SCOPED_TRACE("ASHLAR_SEED=" + std::to_string(seed));
    sim::Disk disk;
    const unsigned shards = 1 + seed % 3;
    sim::World world({.shards = shards, .environment = {.seed = seed}}, disk);
    bool ended = false;
    world.on(0, [&] { world.spawn(0, live_and_die(seed, shards, &ended)); });
    EXPECT_EQ(world.run_to_end(), sim::World::Outcome::done) << world.report();
    EXPECT_TRUE(ended);
  }
}

}  // namespace
}  // namespace ashlar
