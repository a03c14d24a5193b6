/// What a device promises across shards, and how changes of it arrive on all of them.

#include <algorithm>
#include <cstring>
#include <vector>

#include "ashlar/base/random.h"
#include "ashlar/block/test_changes.h"
#include "ashlar/device/conformance.h"
#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/ops/file.h"
#include "ashlar/runtime/sync/scope.h"
#include "ashlar/runtime/sync/sleep.h"

namespace ashlar::testing {
namespace {

class DeviceShards : public DeviceConformance {};
INSTANTIATE_TEST_SUITE_P(Kinds, DeviceShards, ::testing::ValuesIn(setups()), name_of);

class StoringDeviceShards : public DeviceConformance {};
INSTANTIATE_TEST_SUITE_P(Kinds, StoringDeviceShards,
                         ::testing::ValuesIn(setups([](const Setup& setup) { return setup.kind.stores; })),
                         name_of);
class ResizingDevice : public DeviceConformance {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ResizingDevice);
INSTANTIATE_TEST_SUITE_P(Kinds, ResizingDevice,
                         ::testing::ValuesIn(setups([](const Setup& setup) { return setup.kind.resizes; })),
                         name_of);

/// Runs `body` on every shard at once, each with its own channel.
template <class Body>
Task<Result<>> on_every_shard(Device& device, unsigned shards, Body body) {
  std::vector<Result<>> results(shards);
  TaskScope scope;
  struct Run {
    static Task<Result<>> there(Device& of, Body& what, unsigned shard) {
      Channel* const channel = CO_TRY(co_await of.channel());
      co_return co_await what(*channel, shard);
    }
    static Task<> here(Device& of, Body& what, unsigned shard, Result<>* into) {
      *into = co_await invoke(ShardId(shard), [&] { return there(of, what, shard); });
    }
  };
  for (unsigned shard = 0; shard < shards; ++shard)
    scope.spawn(Run::here(device, body, shard, &results[shard]));
  co_await scope.join();
  for (const Result<>& result : results) CO_TRY(result);
  co_return Result<>{};
}

Task<Result<>> write_stripe(Channel& channel, unsigned shard, unsigned shards) {
  const std::uint32_t block = channel.geometry().block_bytes;
  for (std::uint64_t lba = shard; lba < 120; lba += shards) {
    Memory memory(block);
    CO_TRY(co_await channel.write(Lba(lba), memory.fill(lba).bytes()));
  }
  co_return Result<>{};
}

Task<Result<>> check_all(Channel& channel) {
  const std::uint32_t block = channel.geometry().block_bytes;
  for (std::uint64_t lba = 0; lba < 120; ++lba) {
    Memory expected(block), found(block);
    CO_TRY(co_await channel.read(Lba(lba), found.bytes()));
    EXPECT_EQ(found, expected.fill(lba)) << "block " << lba;
  }
  co_return Result<>{};
}

Task<Result<>> shares(Device& device, unsigned shards, bool stores) {
  CO_TRY(co_await on_every_shard(device, shards, [shards](Channel& channel, unsigned shard) {
    return write_stripe(channel, shard, shards);
  }));
  if (!stores) co_return Result<>{};
  co_return co_await on_every_shard(device, shards,
                                    [](Channel& channel, unsigned) { return check_all(channel); });
}
TEST_P(DeviceShards, EveryShardSeesWhatAnyWrote) {
  run([&](Device& device, Channel&) { return shares(device, shards(), GetParam().kind.stores); });
}

/// Writes a few blocks again and again, each write of one value. Where memory may begin anywhere, it comes in
/// segments that end within blocks.
Task<Result<>> write_uniformly(Channel& channel, unsigned shard) {
  const Geometry& geometry = channel.geometry();
  constexpr std::uint64_t width = 4;
  Memory memory(width * geometry.block_bytes);
  std::ranges::fill(memory.bytes(), static_cast<std::byte>(shard + 1));
  const std::size_t part = geometry.memory_alignment == 1 ? geometry.block_bytes / 3 : geometry.block_bytes;
  std::vector<Segment> segments;
  for (std::size_t at = 0; at < memory.bytes().size(); at += part)
    segments.push_back(
        Channel::segment_of(memory.part(at, std::min<std::size_t>(part, memory.bytes().size() - at))));
  for (std::uint64_t i = 0; i < 40; ++i)
    CO_TRY(co_await channel.write(Lba((i + shard) % 3), std::span<const Segment>(segments)));
  co_return Result<>{};
}

Task<Result<>> overlap_across_shards(Device& device, Channel& channel, unsigned shards) {
  const std::uint32_t block = channel.geometry().block_bytes;
  Memory read(6 * std::size_t{block});
  for (int round = 0; round < 8; ++round) {
    CO_TRY(co_await on_every_shard(
        device, shards, [](Channel& mine, unsigned shard) { return write_uniformly(mine, shard); }));
    CO_TRY(co_await channel.read(Lba(0), read.bytes()));
    for (std::uint64_t lba = 0; lba < 6; ++lba) {
      const MutableBytes found = read.part(lba * block, block);
      EXPECT_NE(found[0], std::byte{0});
      EXPECT_TRUE(std::ranges::all_of(found, [&](std::byte byte) { return byte == found[0]; }))
          << "block " << lba;
    }
  }
  co_return Result<>{};
}
TEST_P(StoringDeviceShards, OverlappingWritesLeaveEachBlockWhole) {
  run([&](Device& device, Channel& channel) { return overlap_across_shards(device, channel, shards()); });
}

/// Adds one to the number in block 3, `times` times, by compare-and-write alone.
Task<Result<>> count_up(Channel& channel, int times) {
  const std::uint32_t block = channel.geometry().block_bytes;
  Memory expected(block), wanted(block);
  while (times > 0) {
    CO_TRY(co_await channel.read(Lba(3), expected.bytes()));
    std::ranges::copy(expected.bytes(), wanted.data());
    std::uint64_t number = 0;
    std::memcpy(&number, expected.data(), sizeof number);
    ++number;
    std::memcpy(wanted.data(), &number, sizeof number);
    const Result<> swapped = co_await channel.compare_and_write(Lba(3), expected.bytes(), wanted.bytes());
    if (swapped) {
      --times;
    } else if (swapped.error().code != Errc::conflict) {
      co_return swapped;
    }
  }
  co_return Result<>{};
}

Task<Result<>> count_on_every_shard(Device& device, Channel& channel, unsigned shards) {
  constexpr int times = 10;
  CO_TRY(
      co_await on_every_shard(device, shards, [](Channel& mine, unsigned) { return count_up(mine, times); }));
  Memory found(channel.geometry().block_bytes);
  CO_TRY(co_await channel.read(Lba(3), found.bytes()));
  std::uint64_t number = 0;
  std::memcpy(&number, found.data(), sizeof number);
  EXPECT_EQ(number, times * shards);
  co_return Result<>{};
}
TEST_P(StoringDeviceShards, CompareAndWriteCountsExactly) {
  run([&](Device& device, Channel& channel) { return count_on_every_shard(device, channel, shards()); });
}

/// Writes its own block while the others compare in it, which holds the writes back for a moment.
Task<Result<>> write_among_comparers(Channel& channel, unsigned shard, unsigned shards) {
  const std::uint32_t block = channel.geometry().block_bytes;
  Memory plain(block), never_there(block), found(block);
  never_there.fill(~std::uint64_t{0});
  for (std::uint64_t round = 0; round < 20; ++round) {
    CO_TRY(co_await channel.write(Lba(8 + shard), plain.fill(round * 100 + shard).bytes()));
    const Lba neighbour(8 + (shard + 1) % shards);
    const Result<> tried =
        co_await channel.compare_and_write(neighbour, never_there.bytes(), never_there.bytes());
    EXPECT_FALSE(tried);
    if (!tried && tried.error().code != Errc::conflict) co_return tried;
    CO_TRY(co_await channel.read(Lba(8 + shard), found.bytes()));
    EXPECT_EQ(found, plain) << "shard " << shard << " round " << round;
  }
  co_return Result<>{};
}

/// A write that is held back while a comparison that succeeds goes on must come after it.
Task<Result<>> write_beside_compare(Channel& channel) {
  const std::uint32_t block = channel.geometry().block_bytes;
  Memory old(block), swapped(block), late(block), found(block);
  old.fill(1), swapped.fill(2), late.fill(3);
  const auto swap = [](Channel& on, Bytes expected, Bytes wanted, Result<>* into) -> Task<> {
    *into = co_await on.compare_and_write(Lba(40), expected, wanted);
  };
  const auto write = [](Channel& on, Bytes from, Result<>* into) -> Task<> {
    *into = co_await on.write(Lba(40), from);
  };
  for (int round = 0; round < 10; ++round) {
    CO_TRY(co_await channel.write(Lba(40), old.bytes()));
    Result<> swap_result, write_result;
    TaskScope scope;
    scope.spawn(swap(channel, old.bytes(), swapped.bytes(), &swap_result));
    scope.spawn(write(channel, late.bytes(), &write_result));
    co_await scope.join();
    CO_TRY(write_result);
    CO_TRY(co_await channel.read(Lba(40), found.bytes()));
    EXPECT_EQ(found, late) << "either the write came first and the comparison failed, or it came last";
  }
  co_return Result<>{};
}

Task<Result<>> race_writes(Device& device, Channel& channel, unsigned shards) {
  CO_TRY(co_await write_beside_compare(channel));
  co_return co_await on_every_shard(device, shards, [shards](Channel& mine, unsigned shard) {
    return write_among_comparers(mine, shard, shards);
  });
}
TEST_P(StoringDeviceShards, WritesHeldBackByACompareComeThrough) {
  run([&](Device& device, Channel& channel) { return race_writes(device, channel, shards()); });
}

Task<Result<>> set_size(const std::string& path, std::uint64_t bytes) {
  File file = CO_TRY(co_await File::open(path, O_RDWR));
  CO_TRY(co_await file.resize(bytes));
  co_return co_await file.close();
}

/// The last blocks, one for each shard.
Task<Result<>> use_end(Channel& channel, std::uint64_t blocks, unsigned shard) {
  EXPECT_EQ(channel.geometry().blocks, blocks);
  Memory written(channel.geometry().block_bytes), read(channel.geometry().block_bytes);
  const Lba lba(blocks - 1 - shard);
  CO_TRY(co_await channel.write(lba, written.fill(shard).bytes()));
  CO_TRY(co_await channel.read(lba, read.bytes()));
  EXPECT_EQ(read, written);
  co_return Result<>{};
}

Task<Result<>> resizes(Device& device, Channel& channel, const std::string& path, unsigned shards) {
  const std::uint32_t block = channel.geometry().block_bytes;
  const std::uint64_t before = channel.geometry().blocks;
  Watcher watcher(channel);
  CO_TRY(co_await device.refresh());
  EXPECT_EQ(watcher.resized, 0) << "nothing changed";

  CO_TRY(co_await set_size(path, before * block * 2));
  CO_TRY(co_await device.refresh());
  EXPECT_EQ(watcher.resized, 1);
  EXPECT_EQ(device.geometry().blocks, before * 2);
  CO_TRY(co_await on_every_shard(
      device, shards, [before](Channel& mine, unsigned shard) { return use_end(mine, before * 2, shard); }));

  // It shrinks, and nobody says so: the I/O behind the end fails, and the device finds out by itself.
  CO_TRY(co_await set_size(path, before * block));
  Memory memory(block);
  const Result<> gone = co_await channel.read(Lba(before * 2 - 1), memory.bytes());
  EXPECT_FALSE(gone) << "a read behind the end of the file";
  for (int i = 0; i < 2000 && watcher.resized < 2; ++i) co_await sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(watcher.resized, 2);
  EXPECT_EQ(channel.geometry().blocks, before);
  EXPECT_EQ(watcher.removed, 0);
  co_return co_await channel.read(Lba(before - 1), memory.bytes());
}
TEST_P(ResizingDevice, GrowthAndShrinkingReachEveryShard) {
  run([&](Device& device, Channel& channel) { return resizes(device, channel, file(), shards()); });
}

Task<Result<>> claims(Device& device, Channel& channel) {
  CO_TRY(co_await device.claim());
  CO_TRY(co_await device.claim());  // its own already
  Memory memory(channel.geometry().block_bytes);
  co_return co_await channel.write(Lba(0), memory.bytes());
}
TEST_P(DeviceShards, ADeviceCanBeClaimedAndUsed) {
  run([](Device& device, Channel& channel) { return claims(device, channel); });
}

Task<Result<>> fill_and_flush(Channel& channel, std::uint64_t number) {
  Memory memory(64 * channel.geometry().block_bytes);
  CO_TRY(co_await channel.write(Lba(16), memory.fill(number).bytes()));
  co_return co_await channel.flush();
}
Task<Result<>> expect_filled(Channel& channel, std::uint64_t number) {
  Memory expected(64 * channel.geometry().block_bytes), found(64 * channel.geometry().block_bytes);
  CO_TRY(co_await channel.read(Lba(16), found.bytes()));
  EXPECT_EQ(found, expected.fill(number));
  co_return Result<>{};
}
TEST_P(DeviceShards, WhatIsPersistentIsThereWhenOpenedAgain) {
  bool persistent = false;
  run([&](Device&, Channel& channel) {
    persistent = channel.geometry().persistent;
    return fill_and_flush(channel, 5);
  });
  if (persistent) run([](Device&, Channel& channel) { return expect_filled(channel, 5); });
}

}  // namespace
}  // namespace ashlar::testing
