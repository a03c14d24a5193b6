#include "ashlar/blob/device/volume.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <optional>

#include "ashlar/base/checksum.h"
#include "ashlar/base/endian.h"
#include "ashlar/base/random.h"
#include "ashlar/blob/device/blob_device.h"
#include "ashlar/blob/device/device_home.h"
#include "ashlar/blob/test_blobs.h"
#include "ashlar/blob/test_machine.h"
#include "ashlar/block/registry.h"
#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/ops/file.h"
#include "ashlar/runtime/sync/sleep.h"
#include "ashlar/runtime/sync/test_shard.h"
#include "ashlar/transport/file/file_kinds.h"
#include "ashlar/transport/ram/ram_device.h"

namespace ashlar::blob {
namespace {

using ashlar::testing::Machine;
using testing::expect_table;
using testing::write_table;

constexpr const char* disk = "/disk";
constexpr const char* spec = "uring:/disk";
constexpr VolumeOptions options{.reserve_bytes = 1u << 20, .create = true};

const Registry& kinds() {
  static const Registry registry = [] {
    Registry made;
    made.add(ram_kind());
    made.add(uring_kind());
    return made;
  }();
  return registry;
}

Task<Result<std::unique_ptr<Device>>> open_device(std::string text) {
  auto device = co_await kinds().open(text);
  if (device) co_return *std::move(device);
  ADD_FAILURE() << device.error().show(text);
  co_return fail(device.error().code, "open device");
}

Task<Result<>> make_disk(std::uint64_t bytes) {
  File file = CO_TRY(co_await File::open(disk, O_RDWR | O_CREAT));
  CO_TRY(co_await file.resize(bytes));
  CO_TRY(co_await file.sync());
  CO_TRY(co_await file.close());
  co_return co_await sync_directory("/");
}

Task<Result<>> format(std::string text, FormatOptions how = {.chunk_bytes = 1u << 20}) {
  auto device = CO_TRY(co_await open_device(std::move(text)));
  const Result<> formatted = co_await format_device(*device, how);
  co_await device->close();
  co_return formatted;
}

Task<Result<>> prepare(std::uint64_t bytes) {
  CO_TRY(co_await make_disk(bytes));
  co_return co_await format(spec);
}

using Body = std::function<Task<Result<>>(BlobDevice&)>;

/// Opens the device, runs `body`, closes it; the first error counts.
Task<Result<>> with_device(std::string text, Body body) {
  auto device = CO_TRY(co_await open_device(std::move(text)));
  auto blobs = co_await BlobDevice::open(*device);
  const Result<> result = blobs ? co_await body(**blobs) : std::unexpected(blobs.error());
  co_await device->close();
  co_return result;
}

using StoreBody = std::function<Task<Result<>>(Store&)>;
Task<Result<>> with_volume(BlobDevice& blobs, VolumeNumber number, StoreBody body) {
  auto store = CO_TRY(co_await blobs.open_volume(number, options));
  const Result<> result = co_await body(*store);
  const Result<> closed = co_await store->close();
  CO_TRY(result);
  co_return closed;
}

Task<Result<>> on_store(StoreBody body) {
  co_return co_await with_device(spec, [&](BlobDevice& blobs) { return with_volume(blobs, 1, body); });
}

Task<Result<>> expect_two(Store& store) {
  EXPECT_EQ(as_text(*CO_TRY(co_await store.read_root(1))), "two");
  EXPECT_TRUE(CO_TRY(store.list()).tables.empty());
  co_return Result<>{};
}

TEST(Volume, EveryOperation) {
  Machine machine;
  ASSERT_TRUE(machine.run([] { return prepare(64u << 20); }));
  Result<> result = machine.run([] { return on_store(testing::use_every_blob); });
  EXPECT_TRUE(result) << result.error().to_string();
  result = machine.run([] { return on_store(expect_two); });
  EXPECT_TRUE(result) << result.error().to_string();
}

TEST(Volume, EveryOperationInMemory) {
  ashlar::testing::TestShard shard;
  const Result<> result = shard.run([]() -> Task<Result<>> {
    auto device = CO_TRY(co_await open_device("ram:64MiB"));
    EXPECT_EQ((co_await format_device(*device, {.chunk_bytes = 3000})).error().code, Errc::invalid);
    CO_TRY(co_await format_device(*device, {}));
    EXPECT_EQ((co_await format_device(*device, {})).error().code, Errc::exists);
    auto blobs = CO_TRY(co_await BlobDevice::open(*device));
    EXPECT_EQ((co_await blobs->open_volume(3)).error().code, Errc::not_found);
    CO_TRY(co_await with_volume(*blobs, 3, [&](Store& store) -> Task<Result<>> {
      EXPECT_EQ((co_await blobs->open_volume(3)).error().code, Errc::busy);
      co_return co_await testing::use_every_blob(store);
    }));
    EXPECT_EQ(blobs->volumes(), std::vector<VolumeNumber>{3});
    co_await device->close();
    co_return Result<>{};
  }());
  EXPECT_TRUE(result) << result.error().to_string();
}

TEST(Volume, AnUnformattedOrSmallDeviceIsSaidSo) {
  ashlar::testing::TestShard shard;
  shard.run([]() -> Task<> {
    for (const auto& [text, code] :
         {std::pair{"ram:64MiB", Errc::not_found}, std::pair{"ram:1MiB", Errc::invalid}}) {
      auto device = co_await open_device(text);
      EXPECT_EQ((co_await BlobDevice::open(**device)).error().code, code);
      co_await (*device)->close();
    }
    EXPECT_EQ((co_await format("ram:3MiB")).error().code, Errc::invalid);
  }());
}

/// Many more edits than an area holds, and a state that is read back after each reopening.
TEST(Volume, TheMetadataAreasTakeTurns) {
  Machine machine;
  ASSERT_TRUE(machine.run([] { return prepare(32u << 20); }));
  for (int life = 0; life < 3; ++life) {
    const Result<> result = machine.run([life] {
      return on_store([life](Store& store) -> Task<Result<>> {
        if (life != 0) CO_TRY(co_await expect_table(store, 100, 3, 100));
        if (life == 0) CO_TRY(co_await write_table(store, 100, 3));
        for (std::uint64_t i = 0; i < 60; ++i) {
          CO_TRY(co_await write_table(store, 1, 2));
          CO_TRY(co_await store.clone_table(1, 2));
          CO_TRY(co_await store.remove_table(1));
          CO_TRY(co_await expect_table(store, 2, 2, 1));
          CO_TRY(co_await store.remove_table(2));
        }
        co_return Result<>{};
      });
    });
    EXPECT_TRUE(result) << result.error().to_string();
  }
}

TEST(Volume, AFullDeviceLivesOnTheReserveAndRecovers) {
  Machine machine;
  ASSERT_TRUE(machine.run([] { return prepare(11u << 20); }));  // eight chunks
  const Result<> result = machine.run([] {
    return on_store([](Store& store) -> Task<Result<>> {
      CO_TRY(co_await write_table(store, 1, 1200));
      EXPECT_FALSE(store.full());
      EXPECT_EQ((co_await store.create_segment({0, 1}, 4u << 20)).error().code, Errc::no_space);
      EXPECT_TRUE(store.full());
      EXPECT_TRUE(CO_TRY(store.list()).segments.empty());
      while (co_await write_table(store, 50 + CO_TRY(store.list()).tables.size(), 16)) {
      }
      CO_TRY(co_await sleep_for(std::chrono::seconds(5)));
      EXPECT_TRUE(store.full());
      CO_TRY(co_await store.remove_tables_except({1}));
      CO_TRY(co_await store.remove_table(1));
      CO_TRY(co_await sleep_for(std::chrono::seconds(2)));
      EXPECT_FALSE(store.full());
      CO_TRY(co_await store.create_segment({0, 1}, 4u << 20));
      co_return co_await store.write_root(1, as_bytes("two"));
    });
  });
  EXPECT_TRUE(result) << result.error().to_string();
}

TEST(Volume, ATableTakesTheLastUnitOfTheReserve) {
  Machine machine;
  ASSERT_TRUE(machine.run([] { return prepare(11u << 20); }));
  const Result<> result = machine.run([] {
    return with_device(spec, [](BlobDevice& blobs) -> Task<Result<>> {
      auto store = CO_TRY(co_await blobs.open_volume(1, {.reserve_bytes = unit_bytes, .create = true}));
      Result<> filled;
      for (std::uint64_t number = 0; filled && !store->full(); ++number)
        filled = co_await write_table(*store, number, 16);
      EXPECT_TRUE(filled) << filled.error().to_string();
      EXPECT_EQ(CO_TRY(store->space()).free_bytes, 0u);
      EXPECT_EQ((co_await write_table(*store, 9999, 1)).error().code, Errc::no_space);
      co_return co_await store->close();
    });
  });
  EXPECT_TRUE(result) << result.error().to_string();
}

TEST(Volume, AFullVolumeGoesOnWhenAnotherGivesBack) {
  Machine machine;
  ASSERT_TRUE(machine.run([] { return prepare(11u << 20); }));
  const Result<> result = machine.run([] {
    return with_device(spec, [](BlobDevice& blobs) -> Task<Result<>> {
      auto other = CO_TRY(co_await blobs.open_volume(2, {.reserve_bytes = 0, .create = true}));
      CO_TRY(co_await write_table(*other, 1, 1200));
      CO_TRY(co_await with_volume(blobs, 1, [&](Store& store) -> Task<Result<>> {
        CO_TRY(co_await sleep_for(std::chrono::seconds(3)));
        EXPECT_FALSE(store.full());
        EXPECT_EQ((co_await store.create_segment({0, 1}, 4u << 20)).error().code, Errc::no_space);
        EXPECT_TRUE(store.full());
        CO_TRY(co_await other->remove_table(1));
        CO_TRY(co_await sleep_for(std::chrono::seconds(3)));
        EXPECT_FALSE(store.full());
        CO_TRY(co_await store.create_segment({0, 1}, 4u << 20));
        co_return Result<>{};
      }));
      co_return co_await other->close();
    });
  });
  EXPECT_TRUE(result) << result.error().to_string();
}

/// Calls that meet in the middle of each other must not write a record that does not apply.
TEST(Volume, WhoComesSecondIsTold) {
  Machine machine;
  ASSERT_TRUE(machine.run([] { return prepare(24u << 20); }));
  Result<> result = machine.run([] {
    return on_store([](Store& store) -> Task<Result<>> {
      const auto both = [](Task<Result<>> a, Task<Result<>> b, Errc second) -> Task<> {
        std::vector<Task<Result<>>> tasks;
        tasks.push_back(std::move(a));
        tasks.push_back(std::move(b));
        const std::vector<Result<>> results = co_await when_all(std::move(tasks));
        EXPECT_TRUE(results[0]);
        EXPECT_EQ(results[1].error().code, second);
      };
      auto writer = CO_TRY(co_await store.create_table(5));
      co_await both(writer->publish(0), writer->publish(0), Errc::not_found);
      writer.reset();
      co_await both(store.clone_table(5, 6), store.clone_table(5, 6), Errc::exists);
      co_await both(store.clone_table(6, 7), write_table(store, 7, 1), Errc::exists);
      co_await both(store.remove_table(6), store.remove_table(6), Errc::not_found);
      co_await both(store.remove_table(7), write_table(store, 7, 1), Errc::exists);
      co_return co_await store.write_root(1, as_bytes("two"));
    });
  });
  EXPECT_TRUE(result) << result.error().to_string();
  result = machine.run([] {
    return on_store([](Store& store) -> Task<Result<>> {
      EXPECT_EQ(CO_TRY(store.list()).tables.size(), 1u);
      EXPECT_EQ(as_text(*CO_TRY(co_await store.read_root(1))), "two");
      co_return Result<>{};
    });
  });
  EXPECT_TRUE(result) << result.error().to_string();
}

/// Each operation of a store, each changing step of it, cut before and after.
TEST(Volume, PowerCutAtEachStep) {
  std::uint64_t steps = 1000, cuts = 0;
  for (std::uint64_t step = 1; step <= steps; ++step) {
    for (const auto when : {sim::FileVerdict::Cut::before, sim::FileVerdict::Cut::after}) {
      Machine machine(step * 2 + static_cast<unsigned>(when));
      ASSERT_TRUE(machine.run([] { return prepare(24u << 20); }));
      bool published = false, segment = false;
      unsigned root = 0;
      const auto work = [&](Store& store) -> Task<Result<>> {
        CO_TRY(co_await store.write_root(1, as_bytes("1")));
        root = 1;
        CO_TRY(co_await write_table(store, 5, 40));
        CO_TRY(co_await store.clone_table(5, 6));
        published = true;
        (void)CO_TRY(co_await store.create_segment({0, 1}, 128u << 10));
        segment = true;
        CO_TRY(co_await store.write_root(1, as_bytes("2")));
        root = 2;
        CO_TRY(co_await store.remove_table(5));
        CO_TRY(
            co_await write_table(store, 7, 40));  // where the removed one was, if its record was not awaited
        segment = false;
        co_return co_await store.remove_segment({0, 1});
      };
      const Result<> first = machine.run([&] { return on_store(work); },
                                         [&](sim::World& world) { world.faults().cut_at(step, when); });
      if (machine.powered) {
        EXPECT_TRUE(first) << first.error().to_string();
        steps = std::min(steps, machine.changing_operations);
      } else {
        ++cuts;
      }
      const Result<> second = machine.run([&] {
        return on_store([&](Store& store) -> Task<Result<>> {
          const auto payload = CO_TRY(co_await store.read_root(1));
          const unsigned found = payload ? static_cast<unsigned>(payload->at(0)) - '0' : 0;
          EXPECT_TRUE(found == root || found == root + 1) << found << " instead of " << root;
          if (published) CO_TRY(co_await expect_table(store, 6, 40, 5));
          if (segment) {
            auto opened = CO_TRY(co_await store.open_segment({0, 1}));
            const IoBuffer all = testing::memory(opened->bytes());
            CO_TRY(co_await opened->read(0, all.bytes()));
            EXPECT_TRUE(
                std::ranges::all_of(all.bytes(), [](std::byte byte) { return byte == std::byte{0}; }));
          }
          CO_TRY(co_await write_table(store, 9, 60));  // it goes on
          co_return co_await expect_table(store, 9, 60, 9);
        });
      });
      EXPECT_TRUE(second) << second.error().to_string() << " after a cut at step " << step;
    }
  }
  EXPECT_GT(cuts, 40u);
}

/// What a store has promised, and what failed, in the test below.
struct Promises {
  unsigned root = 0;
  bool clone = false;
};

Task<Result<>> change_everything(Store& store, Promises* kept) {
  CO_TRY(co_await store.write_root(1, as_bytes("1")));
  kept->root = 1;
  CO_TRY(co_await write_table(store, 5, 40));
  CO_TRY(co_await store.clone_table(5, 6));
  kept->clone = true;
  CO_TRY(co_await store.write_root(1, as_bytes("2")));
  kept->root = 2;
  CO_TRY(co_await store.remove_table(5));
  CO_TRY(co_await write_table(store, 7, 10));
  kept->clone = false;
  CO_TRY(co_await store.remove_table(6));
  co_return co_await store.remove_table(7);
}

/// Each table that is there, whoever has promised it, is whole.
Task<Result<>> expect_kept(Store& store, Promises kept) {
  const auto payload = CO_TRY(co_await store.read_root(1));
  const unsigned found = payload ? static_cast<unsigned>(payload->at(0)) - '0' : 0;
  EXPECT_TRUE(found == kept.root || found == kept.root + 1) << found << " instead of " << kept.root;
  bool clone = false;
  for (const TableInfo& table : CO_TRY(store.list()).tables) {
    clone |= table.number == 6;
    if (table.number < 7) CO_TRY(co_await expect_table(store, table.number, 40, 5));
    if (table.number == 7) CO_TRY(co_await expect_table(store, 7, 10, 7));
  }
  EXPECT_TRUE(clone || !kept.clone);
  co_return Result<>{};
}

/// Each write and each flush fails once, a write perhaps after it happened; others go on writing tables until
/// the store is closed. The next process sees what is not durable, and may lose power at once.
TEST(Volume, FailureOfEachStep) {
  for (const OpCode code : {OpCode::write, OpCode::data_sync}) {
    bool reached = true;
    for (std::uint64_t step = 1; reached; ++step) {
      reached = false;
      for (std::uint64_t seed = 0; seed < 8; ++seed) {
        SCOPED_TRACE((code == OpCode::write ? "write " : "flush ") + std::to_string(step) + ", seed " +
                     std::to_string(seed));
        Machine machine(seed);
        ASSERT_TRUE(machine.run([] { return prepare(24u << 20); }));
        Promises kept;
        const Result<> first = machine.run(
            [&] {
              return on_store([&](Store& store) -> Task<Result<>> {
                const Result<> changed = co_await change_everything(store, &kept);
                for (std::uint64_t number = 20; number < 24; ++number)
                  (void)co_await write_table(store, number, 40);
                co_return changed;
              });
            },
            [&](sim::World& world) {
              world.faults().add({.code = code,
                                  .path_part = "disk",
                                  .nth = step,
                                  .verdict = {.error = EIO, .drop_unsynced = true}});
            });
        reached |= !first.has_value();
        (void)machine.run(
            [] { return on_store([](Store& store) { return write_table(store, 30, 40); }); },
            [&](sim::World& world) { world.faults().cut_at(1 + seed, sim::FileVerdict::Cut::before); });
        const Result<> last =
            machine.run([&] { return on_store([&](Store& store) { return expect_kept(store, kept); }); });
        ASSERT_TRUE(last) << last.error().to_string();
        if (HasFailure()) return;
      }
    }
  }
}

/// An area's snapshot that failed and is visible all the same: it must not be all there is while the other
/// area is written.
TEST(Volume, NothingIsBuiltOnWhatIsNotDurable) {
  for (std::uint64_t seed = 0; seed < 64; ++seed) {
    SCOPED_TRACE(seed);
    Machine machine(seed);
    ASSERT_TRUE(machine.run([] { return prepare(12u << 20); }));
    ASSERT_TRUE(machine.run([] {
      return on_store([](Store& store) -> Task<Result<>> {
        CO_TRY(co_await write_table(store, 0, 1));  // snapshots of several sectors, which all change
        for (std::uint64_t number = 1; number < 180; ++number) CO_TRY(co_await store.clone_table(0, number));
        co_return Result<>{};
      });
    }));
    const auto open = [] { return on_store([](Store& store) { return expect_table(store, 179, 1, 0); }); };
    EXPECT_FALSE(machine.run(open, [](sim::World& world) {
      world.faults().add({.code = OpCode::write, .path_part = "disk", .nth = 1, .verdict = {.error = EIO}});
    }));
    (void)machine.run(open, [](sim::World& world) {
      world.faults().cut_at("durable write disk", 1, sim::FileVerdict::Cut::before);
    });
    const Result<> last = machine.run(open);
    ASSERT_TRUE(last) << last.error().to_string();
  }
}

TEST(Volume, PowerCutAtEachStepOfFormatting) {
  std::uint64_t steps = 1000;
  for (std::uint64_t step = 1; step <= steps; ++step) {
    Machine machine(step);
    ASSERT_TRUE(machine.run([] { return make_disk(24u << 20); }));
    (void)machine.run([] { return format(spec); },
                      [&](sim::World& world) { world.faults().cut_at(step, sim::FileVerdict::Cut::after); });
    if (machine.powered) steps = std::min(steps, machine.changing_operations);
    const Result<> opened = machine.run([] { return on_store(testing::use_every_blob); });
    if (opened) continue;
    EXPECT_TRUE(opened.error().code == Errc::not_found || opened.error().code == Errc::corrupt)
        << opened.error().to_string();
    const Result<> again = machine.run([] { return format(spec); });
    EXPECT_TRUE(again) << again.error().to_string() << " at step " << step;
  }
}

/// Shards that create and remove tables at once, taking chunks from each other's leavings.
TEST(Volume, VolumesOnSeveralShardsShareTheDevice) {
  sim::Disk medium;
  sim::World world({.shards = 3, .environment = {.seed = 5}, .shard = {}}, medium);
  std::optional<Result<>> result;
  struct Work {
    static Task<Result<>> tables(Store& store, std::uint64_t seed) {
      Random random(seed);
      for (int round = 0; round < 30; ++round) {
        const std::size_t blocks = random.between(1, 300);
        CO_TRY(co_await write_table(store, 1, blocks));
        CO_TRY(co_await expect_table(store, 1, blocks, 1));
        CO_TRY(co_await store.remove_table(1));
        co_await yield();
      }
      co_return Result<>{};
    }
    static Task<Result<>> there(BlobDevice& blobs, VolumeNumber number) {
      return with_volume(blobs, number, [number](Store& store) { return tables(store, number); });
    }
    static Task<> here(BlobDevice& blobs, unsigned shard, Result<>* into) {
      *into = co_await invoke(ShardId(shard), [&] { return there(blobs, shard + 1); });
    }
    static Task<Result<>> all() {
      CO_TRY(co_await prepare(24u << 20));
      co_return co_await with_device(spec, [](BlobDevice& blobs) -> Task<Result<>> {
        Result<> results[3];
        TaskScope scope;
        for (unsigned shard = 0; shard < 3; ++shard) scope.spawn(here(blobs, shard, &results[shard]));
        co_await scope.join();
        for (const Result<>& ended : results) CO_TRY(ended);
        EXPECT_EQ(blobs.volumes(), (std::vector<VolumeNumber>{1, 2, 3}));
        EXPECT_GT(blobs.free_chunks(), 5u) << "what was removed went back";
        co_return Result<>{};
      });
    }
    static Task<> main(std::optional<Result<>>* into) { into->emplace(co_await all()); }
  };
  world.spawn(0, world.on(0, [&] { return Work::main(&result); }));
  ASSERT_EQ(world.run_to_end(), sim::World::Outcome::done) << world.report();
  EXPECT_TRUE(*result) << result->error().to_string();
}

TEST(Volume, FollowsADeviceThatGrowsAndRefusesOneThatShrank) {
  Machine machine;
  ASSERT_TRUE(machine.run([] { return prepare(12u << 20); }));
  const auto chunks = [&](std::uint64_t* into) {
    return machine.run([into] {
      return with_device(spec, [into](BlobDevice& blobs) -> Task<Result<>> {
        *into = blobs.layout().chunk_count;
        co_return Result<>{};
      });
    });
  };
  std::uint64_t before = 0, after = 0, again = 0;
  ASSERT_TRUE(chunks(&before));
  ASSERT_TRUE(machine.run([] { return make_disk(40u << 20); }));
  ASSERT_TRUE(chunks(&after));
  ASSERT_TRUE(chunks(&again));
  EXPECT_EQ(after, before + 28);
  EXPECT_EQ(again, after);
  ASSERT_TRUE(machine.run([] { return on_store(testing::use_every_blob); }));
  ASSERT_TRUE(machine.run([] { return make_disk(20u << 20); }));
  const Result<> shrunk = chunks(&again);
  EXPECT_EQ(shrunk.error().code, Errc::corrupt) << shrunk.error().to_string();
}

/// Bytes that no version has written, or only a later one, under a right checksum.
TEST(Volume, WhatCannotBeIsNotBelieved) {
  VolumeState state;
  const StoredBlob endless{std::numeric_limits<std::uint64_t>::max(), {}};
  EXPECT_EQ(state.apply(edit_add_table(1, endless), 1, {}).error().code, Errc::corrupt);

  const auto rewrite = [](std::uint64_t at, std::uint64_t what, std::uint32_t value, bool lease) {
    return [=]() -> Task<Result<>> {
      File file = CO_TRY(co_await File::open(disk, O_RDWR));
      const IoBuffer block = testing::memory(block_bytes), id = testing::memory(block_bytes);
      CO_TRY(co_await file.read(id.bytes(), 0));
      CO_TRY(co_await file.read(block.bytes(), at));
      store_le(block.data() + what, value);
      const std::uint32_t start = lease ? crc32c(id.bytes().subspan(16, 16)) : 0;
      store_le(block.data(), crc32c(block.bytes().subspan(4), start));
      CO_TRY(co_await file.write(block.bytes(), at));
      co_return co_await file.close();
    };
  };
  constexpr std::uint64_t leases_b = lease_tables_at + block_bytes;
  for (const auto& [at, what, value, code] : {
           std::tuple{std::uint64_t{0}, 4, 0x32734241, Errc::unsupported},  // "ABs2"
           std::tuple{leases_b, 64 + 4 * 3, 0x7fffffff, Errc::corrupt},     // beyond the last volume
           std::tuple{leases_b, 64 + 4 * 3, INT32_MIN, Errc::corrupt},      // the head of no volume
           std::tuple{leases_b, 64 + 4 * 900, 7, Errc::corrupt},            // beyond the last chunk
       }) {
    Machine machine;
    ASSERT_TRUE(machine.run([] { return prepare(12u << 20); }));
    ASSERT_TRUE(machine.run(
        rewrite(at, static_cast<std::uint64_t>(what), static_cast<std::uint32_t>(value), at != 0)));
    const Result<> opened = machine.run([] { return on_store(expect_two); });
    EXPECT_EQ(opened.error().code, code) << opened.error().to_string();
  }
}

/// A partition that is gone must not come back empty.
TEST(Volume, AHomeMakesPartitionsOnlyWhereAsked) {
  Machine machine;
  ASSERT_TRUE(machine.run([] { return prepare(24u << 20); }));
  const Result<> result = machine.run([]() -> Task<Result<>> {
    const auto home = device_home(CO_TRY(co_await open_device(spec)), 1u << 20);
    auto root = CO_TRY(co_await home->open_root());
    EXPECT_EQ((co_await home->open_partition(0)).error().code, Errc::not_found);
    CO_TRY(co_await home->prepare_partition(0));
    CO_TRY(co_await home->prepare_partition(0));
    auto partition = CO_TRY(co_await home->open_partition(0));
    CO_TRY(co_await partition->close());
    CO_TRY(co_await root->close());
    co_await home->close();
    co_return Result<>{};
  });
  EXPECT_TRUE(result) << result.error().to_string();
}

TEST(Volume, DamageIsMendedOrReported) {
  struct Damage {
    const char* what;
    std::vector<std::uint64_t> at;
    bool mended;
  };
  const std::uint64_t table = lease_tables_at, area = (2u << 20) + (64u << 10);
  for (const Damage& damage : {
           Damage{"superblock A", {100}, true},
           Damage{"superblock B", {(1u << 20) + 40}, true},
           Damage{"both superblocks", {100, (1u << 20) + 40}, false},
           Damage{"both lease tables", {table + 70, table + 4096 + 70}, false},
           Damage{"both areas", {area + 16, area + (128u << 10) + 16}, false},
       }) {
    Machine machine;
    ASSERT_TRUE(machine.run([] { return prepare(12u << 20); }));
    ASSERT_TRUE(machine.run([] { return on_store(testing::use_every_blob); }));
    for (const std::uint64_t at : damage.at) ASSERT_EQ(machine.disk.flip_bit(disk, at, 3), 0);
    const Result<> opened = machine.run([] { return on_store(expect_two); });
    EXPECT_EQ(opened.has_value(), damage.mended) << damage.what;
    if (!opened) {
      EXPECT_EQ(opened.error().code, Errc::corrupt) << damage.what << ": " << opened.error().to_string();
      EXPECT_NE(opened.error().offset + opened.error().object + (damage.at[0] == 100), 0u) << damage.what;
    } else {
      EXPECT_TRUE(machine.run([] { return on_store(expect_two); })) << "mended for good";
    }
  }
}

}  // namespace
}  // namespace ashlar::blob
