/// Power cuts under a device, in simulation: what was acknowledged as durable is there, and nothing is there
/// that was never written.
///
/// 1. Workers on every shard write blocks of their own, each with the next number of that block; some
///    durably, some followed by a flush from whichever shard, of all blocks or of a few.
/// 2. The power goes at an operation that the seed chooses.
/// 3. Each block then holds a number that was written to it, not older than the last one acknowledged as
///    durable; in units of 512 bytes, as disks tear.

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

#include "ashlar/base/random.h"
#include "ashlar/device/conformance.h"
#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/sync/scope.h"

namespace ashlar::testing {
namespace {

class DevicePower : public DeviceConformance {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(DevicePower);  // no kind of the program loses anything

bool loses(const Setup& setup) {
  return setup.kind.loses && setup.where == Where::simulated;
}
INSTANTIATE_TEST_SUITE_P(Kinds, DevicePower, ::testing::ValuesIn(setups(loses)), name_of);

constexpr std::uint64_t block_count = 24;
constexpr std::size_t sector = 512;

/// What the test knows of each block, over the life of a disk.
struct Known {
  std::uint64_t written = 0;       // the last number whose write was started
  std::uint64_t acknowledged = 0;  // ended ok, durable or not
  std::uint64_t durable = 0;       // the lowest that may be found
};

void fill(MutableBytes block, std::uint64_t lba, std::uint64_t number) {
  const std::uint64_t words[2] = {lba, number};
  for (std::size_t at = 0; at < block.size(); at += sizeof words)
    std::memcpy(block.data() + at, words, sizeof words);
}

Task<Result<>> write_one(Channel& channel, std::uint64_t lba, Known& known, bool durable) {
  Memory memory(channel.geometry().block_bytes);
  const std::uint64_t number = ++known.written;
  fill(memory.bytes(), lba, number);
  CO_TRY(co_await channel.write(Lba(lba), memory.bytes(), {.durable = durable}));
  known.acknowledged = number;
  if (durable) known.durable = number;
  co_return Result<>{};
}

struct Range {
  std::uint64_t first, count;
};

/// Makes durable what all blocks hold; or what these hold, and promises nothing of the others.
Task<Result<>> flush(Channel& channel, std::span<Known> known, std::optional<Range> only = {}) {
  if (only) known = known.subspan(only->first, only->count);
  std::vector<std::uint64_t> covered;
  for (const Known& block : known) covered.push_back(block.acknowledged);
  if (only) {
    CO_TRY(co_await channel.flush(Lba(only->first), only->count));
  } else {
    CO_TRY(co_await channel.flush());
  }
  for (std::size_t i = 0; i < known.size(); ++i) known[i].durable = std::max(known[i].durable, covered[i]);
  co_return Result<>{};
}

Task<> worker(Device& device, std::vector<Known>& known, unsigned shard, unsigned shards,
              std::uint64_t seed) {
  Random random(seed);
  const auto channel = co_await device.channel();
  if (!channel) co_return;
  for (int step = 0; step < 40; ++step) {
    const std::uint64_t lba = random.below(block_count / shards) * shards + shard;
    if (!co_await write_one(**channel, lba, known[lba], random.one_in(4))) co_return;  // the power went
    if (random.one_in(6) && !co_await flush(**channel, known)) co_return;
    const std::uint64_t first = random.below(block_count), count = random.between(1, block_count - first);
    if (random.one_in(6) && !co_await flush(**channel, known, Range{first, count})) co_return;
  }
}

/// All shards run in one thread, so that they share what is known.
Task<Result<>> live(Device& device, std::vector<Known>& known, unsigned shards, std::uint64_t seed) {
  TaskScope scope;
  const auto there = [](Device& of, std::vector<Known>& of_blocks, unsigned shard, unsigned count,
                        std::uint64_t number) -> Task<> {
    co_await invoke(ShardId(shard), [&] { return worker(of, of_blocks, shard, count, number); });
  };
  for (unsigned shard = 0; shard < shards; ++shard)
    scope.spawn(there(device, known, shard, shards, seed * 64 + shard));
  co_await scope.join();
  co_return Result<>{};
}

Task<Result<>> check(Channel& channel, std::vector<Known>& known) {
  const std::uint32_t block = channel.geometry().block_bytes;
  Memory memory(block);
  for (std::uint64_t lba = 0; lba < block_count; ++lba) {
    CO_TRY(co_await channel.read(Lba(lba), memory.bytes()));
    for (std::size_t at = 0; at < block; at += sector) {
      std::uint64_t words[2];
      std::memcpy(words, memory.data() + at, sizeof words);
      Memory expected(sector);
      if (words[1] != 0) fill(expected.bytes(), lba, words[1]);
      EXPECT_TRUE(equal(memory.part(at, sector), expected.bytes()))
          << "torn within a sector of block " << lba;
      EXPECT_GE(words[1], known[lba].durable) << "lost: block " << lba << " byte " << at;
      EXPECT_LE(words[1], known[lba].written) << "never written: block " << lba;
    }
    // The next life goes on from here.
    Known& now = known[lba];
    CO_TRY(co_await write_one(channel, lba, now, false));
  }
  co_return co_await flush(channel, known);
}

TEST_P(DevicePower, WhatWasDurableSurvivesEveryCut) {
  std::vector<Known> known(block_count);
  unsigned cuts = 0;
  for (std::uint64_t life = 1; life <= 40 && !HasFailure(); ++life) {
    Random random(seed() * 1000 + life);
    prepare = [&](sim::World& world) {
      world.faults().cut_at(random.between(1, 40),
                            random.one_in(2) ? sim::FileVerdict::Cut::before : sim::FileVerdict::Cut::after);
    };
    run([&](Device& device, Channel&) { return live(device, known, shards(), random.next()); });
    cuts += powered_to_the_end() ? 0 : 1;
    run([&](Device&, Channel& channel) { return check(channel, known); });
  }
  EXPECT_GE(cuts, 10u) << "the power has to go, or nothing is shown";
}

/// Atomic writes of several blocks, overlapping and not flushed: a cut leaves each whole or not at all, while
/// others tear.
Task<Result<>> write_groups(Channel& channel, std::uint64_t seed, std::uint64_t* number, bool atomic) {
  const Geometry& geometry = channel.geometry();
  Random random(seed);
  Memory memory(geometry.atomic_write_bytes_max);
  for (;;) {
    const std::uint64_t bytes = std::uint64_t{geometry.atomic_write_bytes_max} >> random.below(2);
    const std::uint64_t place = random.below(2) * bytes;
    fill(memory.part(0, bytes), 0, ++*number);
    if (!co_await channel.write(Lba(place / geometry.block_bytes), memory.part(0, bytes), {.atomic = atomic}))
      co_return Result<>{};  // the power went
  }
}

/// A place of the smaller size shows one write, whichever it is. The next life begins with zeroes.
Task<Result<>> count_torn(Channel& channel, unsigned* torn) {
  const std::uint32_t unit = channel.geometry().atomic_write_bytes_max / 2;
  Memory memory(unit);
  for (std::uint64_t place = 0; place < 2; ++place) {
    CO_TRY(co_await channel.read(Lba(place * unit / channel.geometry().block_bytes), memory.bytes()));
    std::uint64_t first = 0;
    std::memcpy(&first, memory.data() + 8, sizeof first);
    Memory expected(unit);
    if (first != 0) fill(expected.bytes(), 0, first);
    if (!(memory == expected)) ++*torn;
  }
  co_return co_await channel.write_zeroes(Lba(0), 4 * unit / channel.geometry().block_bytes,
                                          {.durable = true});
}

TEST_P(DevicePower, AnAtomicWriteIsWholeOrNotThere) {
  unsigned torn[2] = {0, 0};
  bool has = true;
  for (std::uint64_t life = 1; life <= 60 && has; ++life) {
    const bool atomic = life % 2 == 0;
    std::uint64_t number = life * 1000;
    prepare = [&](sim::World& world) {
      world.faults().cut_at(2 + life / 2 % 7, sim::FileVerdict::Cut::before);
    };
    run([&](Device&, Channel& channel) -> Task<Result<>> {
      has = channel.geometry().atomic_write_bytes_max != 0;
      return has ? write_groups(channel, seed() * 100 + life, &number, atomic)
                 : []() -> Task<Result<>> { co_return Result<>{}; }();
    });
    if (has) run([&](Device&, Channel& channel) { return count_torn(channel, &torn[atomic]); });
  }
  EXPECT_EQ(torn[1], 0u) << "an atomic write was torn";
  if (has) EXPECT_NE(torn[0], 0u) << "nothing tears: nothing is shown";
}

/// EIO and ENOSPC from the disk, at random: each is an error of the request it hit, with its place; the rest
/// goes on.
Task<Result<>> with_errors(Channel& channel, unsigned* failed) {
  Memory memory(channel.geometry().block_bytes);
  for (std::uint64_t step = 0; step < 400; ++step) {
    const Lba lba(step % block_count);
    const Result<> result = step % 3 == 0    ? co_await channel.read(lba, memory.bytes())
                            : step % 17 == 1 ? co_await channel.flush()
                                             : co_await channel.write(lba, memory.bytes());
    if (result) continue;
    ++*failed;
    const Errc code = result.error().code;
    EXPECT_TRUE(code == Errc::io || code == Errc::no_space) << result.error().to_string();
    EXPECT_NE(result.error().native, 0);
    if (step % 3 == 0) EXPECT_EQ(result.error().offset, lba.value * channel.geometry().block_bytes);
  }
  co_return Result<>{};
}
TEST_P(DevicePower, AnErrorOfTheDiskIsAnErrorOfOneRequest) {
  unsigned failed = 0;
  run([&](Device&, Channel& channel) {
    // From here on, so that opening does not fail.
    world().faults().set_chances({.fail_one_in = 4, .fail_read_one_in = 4});
    return with_errors(channel, &failed);
  });
  EXPECT_GT(failed, 2u);
}

}  // namespace
}  // namespace ashlar::testing
