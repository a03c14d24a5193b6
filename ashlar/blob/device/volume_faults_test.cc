/// Volumes after power cuts, failed writes and flushes, and damage.

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "ashlar/base/checksum.h"
#include "ashlar/base/endian.h"
#include "ashlar/blob/device/test_volume.h"
#include "ashlar/blob/device/volume_state.h"
#include "ashlar/blob/test_machine.h"

namespace ashlar::blob {
namespace {

using ashlar::testing::Machine;
using namespace testing;

/// Each operation of a store, each changing step of it, cut before and after.
TEST(VolumeFaults, PowerCutAtEachStep) {
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
            const IoBuffer all = memory(opened->bytes());
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

Task<Result<>> nothing() {
  co_return Result<>{};
}

/// The device's next flush fails, and loses what it should have written, which stays visible: no later flush
/// writes it.
void lose_with_flush(sim::World& world) {
  world.faults().add({.code = OpCode::data_sync,
                      .path_part = "disk",
                      .nth = 1,
                      .verdict = {.error = EIO, .drop_unsynced = true}});
}

/// Each write and each flush fails once, a write perhaps after it happened; others go on writing tables until
/// the store is closed. The next process sees what is not durable, may lose it with a flush that fails, or
/// power at once.
TEST(VolumeFaults, FailureOfEachStep) {
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
        if (seed % 2 != 0)
          EXPECT_FALSE(
              machine.run([&] { return on_store([](Store&) { return nothing(); }); }, lose_with_flush));
        (void)machine.run(
            [] { return on_store([](Store& store) { return write_table(store, 30, 40); }); },
            [&](sim::World& world) { world.faults().cut_at(1 + 4 * seed, sim::FileVerdict::Cut::before); });
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
TEST(VolumeFaults, NothingIsBuiltOnWhatIsNotDurable) {
  for (std::uint64_t seed = 0; seed < 256; ++seed) {
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
    EXPECT_FALSE(machine.run(open, [&](sim::World& world) {
      world.faults().add(
          {.code = OpCode::write, .path_part = "disk", .nth = 1 + seed / 2 % 4, .verdict = {.error = EIO}});
    }));
    if (seed % 2 != 0) EXPECT_FALSE(machine.run(open, lose_with_flush));
    (void)machine.run(open, [&](sim::World& world) {
      world.faults().cut_at("durable write disk", 1 + seed / 8 % 4, sim::FileVerdict::Cut::before);
    });
    const Result<> last = machine.run(open);
    ASSERT_TRUE(last) << last.error().to_string();
  }
}

/// A chunk that a failed write had lent, visibly, is filled by the next process: it must be lent for good.
TEST(VolumeFaults, NothingIsPutWhereTheLeaseIsNotDurable) {
  const auto fill = [](Store& store, std::uint64_t from, std::uint64_t to) -> Task<Result<>> {
    for (std::uint64_t number = from; number < to; ++number) CO_TRY(co_await write_table(store, number, 40));
    co_return Result<>{};
  };
  for (std::uint64_t seed = 0; seed < 64; ++seed) {
    SCOPED_TRACE(seed);
    Machine machine(seed);
    ASSERT_TRUE(machine.run([] { return prepare(12u << 20); }));
    EXPECT_FALSE(machine.run(
        [&] { return on_store([&](Store& store) { return fill(store, 0, 40); }); },
        [&](sim::World& world) { world.faults().fail_at("durable write disk", 5 + seed % 16, EIO); }));
    EXPECT_FALSE(machine.run([&] { return on_store([](Store&) { return nothing(); }); }, lose_with_flush));
    ASSERT_TRUE(machine.run([&] { return on_store([&](Store& store) { return fill(store, 50, 53); }); }));
    machine.disk.crash(seed);
    const Result<> last = machine.run([&] {
      return on_store([](Store& store) -> Task<Result<>> {
        for (std::uint64_t number = 50; number < 53; ++number)
          CO_TRY(co_await expect_table(store, number, 40, number));
        co_return Result<>{};
      });
    });
    ASSERT_TRUE(last) << last.error().to_string();
  }
}

/// A device that could not be flushed when it was formatted, nor when it was first opened, and shows what it
/// lost: who uses it all the same must find it again.
TEST(VolumeFaults, SuperblocksLastWhateverFailedBefore) {
  unsigned opened = 0;
  for (std::uint64_t seed = 0; seed < 48; ++seed) {
    SCOPED_TRACE(seed);
    Machine machine(seed);
    ASSERT_TRUE(machine.run([] { return make_disk(12u << 20); }));
    const auto lose = [](std::uint64_t nth) {
      return [nth](sim::World& world) {
        world.faults().add({.code = OpCode::data_sync,
                            .path_part = "disk",
                            .nth = nth,
                            .verdict = {.error = EIO, .drop_unsynced = true}});
      };
    };
    const auto write = [] {
      return on_store([](Store& store) { return store.write_root(1, as_bytes("two")); });
    };
    EXPECT_FALSE(machine.run([] { return format(spec); }, lose(3 + seed % 2)));
    (void)machine.run(write, lose(1 + seed / 2 % 3));
    if (!machine.run(write)) continue;
    ++opened;
    machine.disk.crash(seed);
    const Result<> last = machine.run([] { return on_store(expect_two); });
    ASSERT_TRUE(last) << last.error().to_string();
  }
  EXPECT_GT(opened, 8u);
}

TEST(VolumeFaults, PowerCutAtEachStepOfFormatting) {
  std::uint64_t steps = 1000;
  for (std::uint64_t step = 1; step <= steps; ++step) {
    Machine machine(step);
    ASSERT_TRUE(machine.run([] { return make_disk(24u << 20); }));
    (void)machine.run([] { return format(spec); },
                      [&](sim::World& world) { world.faults().cut_at(step, sim::FileVerdict::Cut::after); });
    if (machine.powered) steps = std::min(steps, machine.changing_operations);
    const Result<> opened = machine.run([] { return on_store(use_every_blob); });
    if (opened) continue;
    EXPECT_TRUE(opened.error().code == Errc::not_found || opened.error().code == Errc::corrupt)
        << opened.error().to_string();
    EXPECT_NE(opened.error().code == Errc::not_found, !machine.run([] { return format(spec); }))
        << "only where nothing is there";
    const Result<> again = machine.run([] { return format(spec, {.overwrite = true}); });
    EXPECT_TRUE(again) << again.error().to_string() << " at step " << step;
  }
}

TEST(VolumeFaults, FormatLeavesAloneWhatItDoesNotKnow) {
  for (const std::uint64_t at : {std::uint64_t{510}, superblock_at[1] + 1}) {
    Machine machine;
    ASSERT_TRUE(machine.run([] { return make_disk(24u << 20); }));
    ASSERT_EQ(machine.disk.flip_bit(disk, at, 3), 0);
    EXPECT_EQ(machine.run([] { return format(spec); }).error().code, Errc::exists);
    EXPECT_TRUE(machine.run([] { return format(spec, {.overwrite = true}); }));
  }
}

/// Bytes that no version has written, or only a later one, under a right checksum.
TEST(VolumeFaults, WhatCannotBeIsNotBelieved) {
  VolumeState state;
  const StoredBlob endless{std::numeric_limits<std::uint64_t>::max(), {}};
  EXPECT_EQ(state.apply(edit_add_table(1, endless), 1, {}).error().code, Errc::corrupt);

  const auto rewrite = [](std::uint64_t at, std::uint64_t what, std::uint32_t value, bool lease) {
    return [=]() -> Task<Result<>> {
      File file = CO_TRY(co_await File::open(disk, O_RDWR));
      const IoBuffer block = memory(block_bytes), id = memory(block_bytes);
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

TEST(VolumeFaults, DamageIsMendedOrReported) {
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
    ASSERT_TRUE(machine.run([] { return on_store(use_every_blob); }));
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
