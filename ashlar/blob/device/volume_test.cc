#include "ashlar/blob/device/volume.h"

#include <gtest/gtest.h>

#include <optional>

#include "ashlar/base/random.h"
#include "ashlar/blob/device/device_home.h"
#include "ashlar/blob/device/test_volume.h"
#include "ashlar/blob/test_machine.h"
#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/sync/sleep.h"
#include "ashlar/runtime/sync/test_shard.h"

namespace ashlar::blob {
namespace {

using ashlar::testing::Machine;
using namespace testing;

TEST(Volume, EveryOperation) {
  Machine machine;
  ASSERT_TRUE(machine.run([] { return prepare(64u << 20); }));
  Result<> result = machine.run([] { return on_store(use_every_blob); });
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
      co_return co_await use_every_blob(store);
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

/// More blobs than the areas can describe: segments are refused first, then tables; roots and removals go on.
TEST(Volume, FullMetadataAreasLetGo) {
  Machine machine;
  ASSERT_TRUE(machine.run([] { return prepare(12u << 20); }));
  std::uint64_t clones = 0;
  Result<> result = machine.run([&] {
    return on_store([&](Store& store) -> Task<Result<>> {
      CO_TRY(co_await write_table(store, 0, 1));
      Result<> cloned;
      while (cloned && clones < 100'000) {
        cloned = co_await store.clone_table(0, clones + 1);
        if (cloned) ++clones;
      }
      EXPECT_EQ(cloned.error().code, Errc::no_space);
      EXPECT_EQ((co_await store.create_segment({0, 1}, 64u << 10)).error().code, Errc::no_space);
      for (int i = 0; i < 40; ++i) CO_TRY(co_await store.write_root(1, as_bytes("two")));
      co_return Result<>{};
    });
  });
  EXPECT_TRUE(result) << result.error().to_string();
  EXPECT_GT(clones, 5000u);
  result = machine.run([&] {
    return on_store([&](Store& store) -> Task<Result<>> {
      EXPECT_EQ(CO_TRY(store.list()).tables.size(), clones + 1);
      while (clones > 3000) CO_TRY(co_await store.remove_table(clones--));
      CO_TRY(co_await store.create_segment({0, 1}, 64u << 10));
      co_return co_await expect_table(store, 1, 1, 0);
    });
  });
  EXPECT_TRUE(result) << result.error().to_string();
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
  ASSERT_TRUE(machine.run([] { return on_store(use_every_blob); }));
  ASSERT_TRUE(machine.run([] { return make_disk(20u << 20); }));
  const Result<> shrunk = chunks(&again);
  EXPECT_EQ(shrunk.error().code, Errc::corrupt) << shrunk.error().to_string();
}

Task<Result<>> fill_segments(Store& store, std::uint64_t* count) {
  for (;; ++*count) {
    const auto made = co_await store.create_segment({3, *count + 1}, 1u << 20);
    if (made) continue;
    EXPECT_EQ(made.error().code, Errc::no_space);
    co_return Result<>{};
  }
}

Task<Result<>> grow_while_open(BlobDevice& blobs) {
  const std::uint64_t before = blobs.chunks();
  std::uint64_t made = 0;
  const auto fill = [&made](Store& store) { return fill_segments(store, &made); };
  CO_TRY(co_await with_volume(blobs, 1, fill));
  const std::uint64_t at_first = made;
  EXPECT_GT(at_first, 0u);
  CO_TRY(co_await make_disk(40u << 20));
  CO_TRY(co_await with_volume(blobs, 1, fill));
  EXPECT_EQ(blobs.chunks(), before + 28);
  EXPECT_GT(made, at_first + 20);
  co_return Result<>{};
}

TEST(Volume, FollowsADeviceThatGrowsWhileItIsOpen) {
  Machine machine;
  ASSERT_TRUE(machine.run([] { return prepare(12u << 20); }));
  const Result<> grown = machine.run([] { return with_device(spec, grow_while_open); });
  ASSERT_TRUE(grown) << grown.error().to_string();
  std::uint64_t segments = 0;
  ASSERT_TRUE(machine.run([&] {
    return on_store([&](Store& store) -> Task<Result<>> {
      return [](Store& of, std::uint64_t* into) -> Task<Result<>> {
        *into = CO_TRY(of.list()).segments.size();
        co_return Result<>{};
      }(store, &segments);
    });
  }));
  EXPECT_GT(segments, 20u);
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

}  // namespace
}  // namespace ashlar::blob
