#include "ashlar/layer/fault/fault_device.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <chrono>
#include <string>
#include <vector>

#include "ashlar/base/checksum.h"
#include "ashlar/base/random.h"
#include "ashlar/layer/fault/test_fault.h"
#include "ashlar/runtime/sync/test_shard.h"

namespace ashlar {
namespace {

using testing::filled;
using Block = testing::FaultBlock;
constexpr std::size_t block = testing::fault_block;

/// Bits in which stored blocks differ from `expected`.
unsigned differing_bits(Bytes found, Bytes expected) {
  unsigned bits = 0;
  for (std::size_t i = 0; i < found.size(); ++i)
    bits += static_cast<unsigned>(std::popcount(static_cast<unsigned>(found[i] ^ expected[i])));
  return bits;
}

Task<> expect_read_errors(FaultDevice& device, Channel& channel) {
  Block data;
  unsigned failed = 0;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    EXPECT_TRUE(co_await channel.write(Lba(i), data));
    EXPECT_TRUE(co_await channel.flush());
    const Result<> result = co_await channel.read(Lba(i), data);
    if (result) continue;
    ++failed;
    EXPECT_EQ(result.error().code, Errc::io);
    EXPECT_EQ(result.error().native, EIO);
    EXPECT_EQ(result.error().offset, i * block);
  }
  EXPECT_GT(failed, 180u);
  EXPECT_LT(failed, 320u);
  EXPECT_EQ(device.injected(Fault::read_error), failed);
  EXPECT_EQ(device.injected(), failed);
}
TEST(Fault, ErrorsComeAtTheirRateWithTheirPlace) {
  testing::TestShard shard;
  shard.run(testing::with_fault("fault(ram:1MiB)?seed=1&read-error=1/4", expect_read_errors));
}

/// What a fixed sequence of requests meets.
struct Workload {
  std::vector<std::uint64_t>* seen;
  Task<> operator()(FaultDevice& device, Channel& channel) const {
    Random random(99);
    std::array<std::byte, 8 * block> data{};
    for (int i = 0; i < 3000; ++i) {
      const Lba lba(random.below(256));
      const MutableBytes memory = MutableBytes(data).first((1 + random.below(8)) * block);
      if (random.one_in(2)) std::ranges::fill(memory, static_cast<std::byte>(random.next()));
      const std::uint64_t choice = random.below(10);
      const Result<> result = choice == 0  ? co_await channel.flush()
                              : choice < 5 ? co_await channel.read(lba, memory)
                                           : co_await channel.write(lba, memory);
      seen->push_back(result ? xxh3(memory) : static_cast<std::uint64_t>(result.error().offset));
    }
    for (std::size_t fault = 0; fault < fault_count; ++fault)
      seen->push_back(device.injected(static_cast<Fault>(fault)));
  }
};
std::vector<std::uint64_t> seen_with(const std::string& options) {
  testing::TestShard shard;
  std::vector<std::uint64_t> seen;
  shard.run(testing::with_fault("fault(ram:1MiB)?" + options, Workload{&seen}));
  return seen;
}
TEST(Fault, TheSameSeedMeetsTheSameFaults) {
  const std::string all =
      "read-error=1/50&write-error=1/50&flush-error=1/20&torn=1/40&torn-acknowledged=1/40&lost=1/40&"
      "lost-flush=1/10&misdirected=1/60&misdirected-read=1/60&corrupt-write=1/30&corrupt=1/30&slow=1/20&"
      "slow-by=1ms&cache=64KiB&seed=";
  const auto first = seen_with(all + "3");
  EXPECT_EQ(first, seen_with(all + "3"));
  EXPECT_NE(first, seen_with(all + "4"));
  // Each of them happened.
  EXPECT_EQ(std::count(first.end() - fault_count, first.end() - 1, 0u), 0);
}

TEST(Fault, OneFaultDoesNotMoveAnother) {
  const auto errors_of = [](const std::string& options) {
    return seen_with(options)[3000 + static_cast<std::size_t>(Fault::read_error)];
  };
  EXPECT_EQ(errors_of("seed=5&read-error=1/9"), errors_of("seed=5&read-error=1/9&lost=1/3&corrupt=1/2"));
}

TEST(Fault, WithoutChancesNothingHappens) {
  const auto seen = seen_with("seed=5");
  EXPECT_EQ(seen, seen_with("seed=6&read-error=0&corrupt=0/7"));
  EXPECT_EQ(std::count(seen.end() - fault_count, seen.end(), 0u), static_cast<long>(fault_count));
}

/// Writes eight new blocks over old ones; returns how many are new then.
Task<unsigned> blocks_written(FaultDevice& device, Channel& channel, bool* acknowledged) {
  std::array<std::byte, 8 * block> data;
  data.fill(std::byte{1});
  device.arm(false);
  EXPECT_TRUE(co_await channel.write(Lba(16), data));
  device.arm(true);
  data.fill(std::byte{2});
  *acknowledged = static_cast<bool>(co_await channel.write(Lba(16), data));
  device.arm(false);
  EXPECT_TRUE(co_await channel.read(Lba(16), data));
  unsigned written = 0;
  for (std::size_t i = 0; i < 8; ++i) {
    const Bytes one = Bytes(data).subspan(i * block, block);
    EXPECT_TRUE(equal(one, filled(1)) || equal(one, filled(2))) << "torn within a block";
    written += one[0] == std::byte{2};
  }
  co_return written;
}
template <bool acknowledges>
Task<> expect_torn(FaultDevice& device, Channel& channel) {
  unsigned least = 8, most = 0;
  for (int i = 0; i < 50; ++i) {
    bool acknowledged = false;
    const unsigned written = co_await blocks_written(device, channel, &acknowledged);
    EXPECT_EQ(acknowledged, acknowledges);
    least = std::min(least, written);
    most = std::max(most, written);
  }
  EXPECT_GE(least, 1u);
  EXPECT_LE(most, 7u);
  EXPECT_LT(least, most);
}
TEST(Fault, ATornWriteIsDoneInPart) {
  testing::TestShard shard;
  shard.run(testing::with_fault("fault(ram:1MiB)?seed=1&torn=1", expect_torn<false>));
  shard.run(testing::with_fault("fault(ram:1MiB)?seed=1&torn-acknowledged=1", expect_torn<true>));
  shard.run(testing::with_fault("fault(ram:1MiB)?seed=1&torn=1&cache=1MiB", expect_torn<false>));
}

/// Neither the faults nor a power cut over the cache tear what was written atomically.
Task<> expect_whole(FaultDevice& device, Channel& channel) {
  std::array<std::byte, 8 * block> data;
  for (int i = 1; i <= 40; ++i) {
    const auto old = static_cast<std::byte>(i), fresh = static_cast<std::byte>(i + 100);
    data.fill(old);
    const Result<> first = co_await channel.atomic_write(Lba(16), data);
    EXPECT_TRUE(first) << first.error().to_string();
    data.fill(fresh);
    EXPECT_TRUE(co_await channel.atomic_write(Lba(16), data));
    EXPECT_TRUE(co_await device.cut_power());
    device.restore_power();
    EXPECT_TRUE(co_await channel.read(Lba(16), data));
    EXPECT_TRUE(std::ranges::all_of(data, [&](std::byte one) { return one == data[0]; })) << "torn";
    EXPECT_TRUE(data[0] == old || data[0] == fresh);
  }
  EXPECT_EQ(device.injected(Fault::torn), 0u);
}
TEST(Fault, AnAtomicWriteIsNotTorn) {
  testing::TestShard shard;
  shard.run(testing::with_fault("fault(ram:1MiB)?seed=1&torn=1&torn-acknowledged=1", expect_whole));
  shard.run(testing::with_fault("fault(ram:1MiB)?seed=1&torn=1&cache=1MiB", expect_whole));
}

template <int expected>
Task<> expect_nothing_written(FaultDevice& device, Channel& channel) {
  bool acknowledged = false;
  EXPECT_EQ(co_await blocks_written(device, channel, &acknowledged), 0u);
  EXPECT_EQ(acknowledged, expected);
}
TEST(Fault, WhatIsLostOrFailsIsNotWritten) {
  testing::TestShard shard;
  shard.run(testing::with_fault("fault(ram:1MiB)?seed=1&lost=1", expect_nothing_written<true>));
  shard.run(testing::with_fault("fault(ram:1MiB)?seed=1&write-error=1", expect_nothing_written<false>));
}

Task<> expect_misdirected(FaultDevice& device, Channel& channel) {
  EXPECT_TRUE(co_await channel.write(Lba(5), filled(7)));
  device.arm(false);
  Block found;
  unsigned copies = 0;
  for (std::uint64_t lba = 0; lba < channel.geometry().blocks; ++lba) {
    EXPECT_TRUE(co_await channel.read(Lba(lba), found));
    if (found != filled(7)) continue;
    ++copies;
    EXPECT_NE(lba, 5u);
  }
  EXPECT_EQ(copies, 1u);
  // And reads, from the one place that differs or from others.
  EXPECT_TRUE(co_await channel.write(Lba(5), filled(9)));
  device.arm(true);
  EXPECT_TRUE(co_await channel.read(Lba(5), found));
  EXPECT_NE(found, filled(9));
}
TEST(Fault, MisdirectedGoesElsewhere) {
  testing::TestShard shard;
  shard.run(
      testing::with_fault("fault(ram:64KiB)?seed=8&misdirected=1&misdirected-read=1", expect_misdirected));
}

Task<> expect_flipped_reads(FaultDevice& device, Channel& channel) {
  Block found;
  EXPECT_TRUE(co_await channel.write(Lba(5), filled(0x5a)));
  EXPECT_TRUE(co_await channel.read(Lba(5), found));
  EXPECT_EQ(differing_bits(found, filled(0x5a)), 1u);
  device.arm(false);
  EXPECT_TRUE(co_await channel.read(Lba(5), found));
  EXPECT_EQ(found, filled(0x5a)) << "only what was read was spoilt";
}
Task<> expect_flipped_writes(FaultDevice& device, Channel& channel) {
  const Block written = filled(0x5a);
  // Segments that do not end where blocks do.
  std::array<std::byte, 2 * block> memory;
  memory.fill(std::byte{0x5a});
  const std::array segments{Channel::segment_of(Bytes(memory).first(100)),
                            Channel::segment_of(Bytes(memory).subspan(100))};
  EXPECT_TRUE(co_await channel.write(Lba(5), segments));
  EXPECT_EQ(differing_bits(Bytes(memory).first(block), written), 0u) << "the caller's memory is not ours";
  EXPECT_EQ(differing_bits(Bytes(memory).last(block), written), 0u);
  device.arm(false);
  EXPECT_TRUE(co_await channel.read(Lba(5), memory));
  EXPECT_EQ(differing_bits(Bytes(memory).first(block), written) +
                differing_bits(Bytes(memory).last(block), written),
            1u);
}
TEST(Fault, CorruptionIsOneBit) {
  testing::TestShard shard;
  for (const char* seed : {"1", "2", "3", "4", "5"}) {
    const std::string common = std::string("fault(ram:1MiB)?seed=") + seed;
    shard.run(testing::with_fault(common + "&corrupt=1", expect_flipped_reads));
    shard.run(testing::with_fault(common + "&corrupt-write=1", expect_flipped_writes));
  }
}

Task<> expect_bad_blocks(FaultDevice& device, Channel& channel) {
  std::array<std::byte, 16 * block> data{};
  Result<> result = co_await channel.read(Lba(0), data);
  EXPECT_FALSE(result);
  if (!result) EXPECT_EQ(result.error().offset, 10u * block) << "the block itself is named";
  EXPECT_TRUE(co_await channel.read(Lba(0), MutableBytes(data).first(10 * block)));
  EXPECT_TRUE(co_await channel.write(Lba(8), MutableBytes(data).first(4 * block)));  // heals 10 and 11
  result = co_await channel.read(Lba(8), data);
  EXPECT_FALSE(result);
  if (!result) EXPECT_EQ(result.error().offset, 12u * block);
  EXPECT_TRUE(co_await channel.read(Lba(14), MutableBytes(data).first(block)));
  EXPECT_FALSE(co_await channel.read(Lba(20), MutableBytes(data).first(block)));
  EXPECT_TRUE(co_await channel.write(Lba(12), data));
  EXPECT_TRUE(co_await channel.read(Lba(8), data));
  device.mark_bad(Lba(9), 1);
  EXPECT_FALSE(co_await channel.read(Lba(8), data));
  EXPECT_EQ(device.injected(Fault::bad_block), 4u);
  EXPECT_TRUE(co_await channel.write_zeroes(Lba(0), 32));
  EXPECT_TRUE(co_await channel.read(Lba(8), data));
}
TEST(Fault, BadBlocksCannotBeReadUntilTheyAreWritten) {
  testing::TestShard shard;
  shard.run(testing::with_fault("fault(ram:1MiB)?bad=10-13+20", expect_bad_blocks));
}

Task<> expect_slow(FaultDevice& device, Channel& channel) {
  Block data{};
  const Instant start = Shard::current().now();
  EXPECT_TRUE(co_await channel.write(Lba(1), data));
  EXPECT_EQ(Shard::current().now() - start, std::chrono::seconds(30));
  const Result<> late =
      co_await channel.read(Lba(1), data, {.deadline = Shard::current().now() + std::chrono::seconds(1)});
  EXPECT_FALSE(late);
  if (!late) EXPECT_EQ(late.error().code, Errc::timed_out);
  EXPECT_EQ(device.injected(Fault::slow), 2u);
}
TEST(Fault, ASlowRequestIsLate) {
  testing::TestShard shard;
  shard.run(testing::with_fault("fault(ram:1MiB)?slow=1&slow-by=30s", expect_slow));
}

Task<> expect_compare(FaultDevice&, Channel& channel) {
  EXPECT_TRUE(co_await channel.write(Lba(1), filled(1)));
  EXPECT_TRUE(co_await channel.compare_and_write(Lba(1), filled(1), filled(2)));
  const Result<> differs = co_await channel.compare_and_write(Lba(1), filled(1), filled(3));
  EXPECT_FALSE(differs);
  if (!differs) EXPECT_EQ(differs.error().code, Errc::conflict);
  Block found;
  EXPECT_TRUE(co_await channel.read(Lba(1), found));
  EXPECT_EQ(found, filled(2));
}
TEST(Fault, ComparesThroughTheCache) {
  testing::TestShard shard;
  shard.run(testing::with_fault("fault(ram:1MiB)?cache=16KiB", expect_compare));
}

Task<> expect_refused(std::string spec) {
  auto device = co_await testing::over_memory(fault_kind()).open(spec);
  EXPECT_FALSE(device) << spec;
  if (device) {
    co_await (*device)->close();
  } else {
    EXPECT_EQ(device.error().at, spec.rfind('=') + 1) << device.error().show(spec);
  }
}
TEST(Fault, ErrorsInOptionsPointAtThePlace) {
  testing::TestShard shard;
  for (const char* wrong : {"1/0", "2", "-1", "1/", "x", "3/2", "1/2/3", "0.5"})
    shard.run(expect_refused(std::string("fault(ram:1MiB)?seed=7&lost=") + wrong));
  for (const char* wrong : {"5-4", "a", "1-", "1+", "+1", "0-99999999"})
    shard.run(expect_refused(std::string("fault(ram:1MiB)?bad=") + wrong));
}

}  // namespace
}  // namespace ashlar
