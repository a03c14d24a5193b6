#include "ashlar/blob/device/device_check.h"

#include <gtest/gtest.h>

#include "ashlar/blob/device/test_volume.h"
#include "ashlar/blob/device/volume_log.h"
#include "ashlar/blob/test_machine.h"

namespace ashlar::blob {
namespace {

using ashlar::testing::Machine;
using namespace testing;
using Part = DeviceDamage::Part;

/// A disk with a volume that has two tables, one of them a clone, a segment and a root.
class DeviceCheckTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(machine_.run([] { return prepare(64u << 20); }));
    const Result<> filled = machine_.run([] { return on_store(fill); });
    ASSERT_TRUE(filled) << filled.error().to_string();
    whole_ = check();
    ASSERT_TRUE(whole_.damages.empty()) << whole_.damages.front().error.to_string();
  }
  static Task<Result<>> fill(Store& store) {
    const IoBuffer memory = CO_TRY(Shard::current().buffers().allocate(256u << 10));
    auto writer = CO_TRY(co_await store.create_table(1));
    CO_TRY(co_await writer->write(0, memory.bytes()));
    CO_TRY(co_await writer->publish(memory.size()));
    CO_TRY(co_await store.clone_table(1, 2));
    CO_TRY(co_await store.create_segment({0, 1}, 128u << 10));
    co_return co_await store.write_root(0, as_bytes("root"));
  }
  static Task<Result<>> check_into(DeviceReport* report) {
    auto device = CO_TRY(co_await open_device(spec));
    auto checked = co_await check_device(*device);
    co_await device->close();
    *report = CO_TRY(std::move(checked));
    co_return Result<>{};
  }
  DeviceReport check() {
    DeviceReport report;
    const Result<> checked = machine_.run([&] { return check_into(&report); });
    EXPECT_TRUE(checked) << checked.error().to_string();
    return report;
  }
  void flip(std::uint64_t offset) { ASSERT_EQ(machine_.disk.flip_bit(disk, offset, 3), 0); }
  void expect_one(Part part, VolumeNumber volume, bool works) {
    const DeviceReport report = check();
    ASSERT_EQ(report.damages.size(), 1u);
    EXPECT_EQ(report.damages[0].part, part);
    EXPECT_EQ(report.damages[0].volume, volume);
    EXPECT_EQ(report.damages[0].error.code, Errc::corrupt);
    EXPECT_EQ(report.works(), works);
  }

  Machine machine_;
  DeviceReport whole_;
};

TEST_F(DeviceCheckTest, SaysWhatIsThere) {
  EXPECT_TRUE(whole_.works());
  EXPECT_EQ(whole_.device_bytes, 64u << 20);
  EXPECT_EQ(whole_.layout.chunk_bytes, 1u << 20);
  ASSERT_EQ(whole_.volumes.size(), 1u);
  const VolumeReport& volume = whole_.volumes[0];
  EXPECT_EQ(volume.number, 1u);
  EXPECT_EQ(volume.state.tables.size(), 2u);
  EXPECT_EQ(volume.state.segments.size(), 1u);
  EXPECT_EQ(volume.state.roots.size(), 1u);
  EXPECT_EQ(volume.used_units, 4u + 2u + 1u) << "clones share their units";
  const std::uint64_t areas = 2 * whole_.layout.area_bytes() / unit_bytes;
  EXPECT_EQ(volume.used_units + volume.free_units + areas, volume.chunks * whole_.layout.units_per_chunk());
  EXPECT_EQ(whole_.free_chunks + volume.chunks, whole_.layout.chunk_count);
}

TEST_F(DeviceCheckTest, ChangesNothing) {
  const std::string before = *machine_.disk.contents(disk);
  check();
  EXPECT_TRUE(*machine_.disk.contents(disk) == before);
}

TEST_F(DeviceCheckTest, OneSuperblockIsMendedAtTheNextOpen) {
  for (const std::uint64_t at : superblock_at) {
    flip(at + 20);
    expect_one(Part::superblock, 0, true);
    EXPECT_TRUE(
        machine_.run([] { return on_store([](Store&) -> Task<Result<>> { co_return Result<>{}; }); }));
    EXPECT_TRUE(check().damages.empty());
  }
}

TEST_F(DeviceCheckTest, FindsWhatIsDamaged) {
  const Superblock& layout = whole_.layout;
  for (const std::uint64_t at : superblock_at) flip(at + 20);
  expect_one(Part::superblock, 0, false);
  for (const std::uint64_t at : superblock_at) flip(at + 20);

  for (const std::uint64_t copy : {0u, 1u})
    flip(layout.lease_at + copy * layout.lease_blocks * block_bytes + 70);
  expect_one(Part::leases, 0, false);
  for (const std::uint64_t copy : {0u, 1u})
    flip(layout.lease_at + copy * layout.lease_blocks * block_bytes + 70);

  const VolumeReport& volume = whole_.volumes[0];
  for (const std::uint64_t area : {0u, 1u})
    flip(layout.chunk_at(volume.head) + area * layout.area_bytes() + 20);
  expect_one(Part::metadata, 1, false);
  for (const std::uint64_t area : {0u, 1u})
    flip(layout.chunk_at(volume.head) + area * layout.area_bytes() + 20);

  flip(layout.first_chunk + volume.state.roots.at(0).extents[0].first * unit_bytes + 1);
  expect_one(Part::root, 1, false);
}

Task<Result<>> claim_units_of(Extents extents, std::uint64_t head, Superblock layout) {
  auto device = CO_TRY(co_await open_device(spec));
  Channel& channel = *CO_TRY(co_await device->channel());
  VolumeLog log(channel, layout, 1, head);
  Result<> done = co_await log.open();
  if (done)
    done =
        co_await log.commit(edit_add_table(9, {.bytes = units_of(extents) * unit_bytes, .extents = extents}),
                            VolumeLog::Growth::table);
  co_await device->close();
  co_return done;
}

TEST_F(DeviceCheckTest, FindsUnitsOfTwoBlobs) {
  const VolumeReport& volume = whole_.volumes[0];
  Extents part = volume.state.tables.at(1).extents;
  part.front().units = 1;  // no clone: that shares all
  ASSERT_TRUE(machine_.run([&] { return claim_units_of(part, volume.head, whole_.layout); }));
  expect_one(Part::extents, 1, false);
}

TEST_F(DeviceCheckTest, OfADeviceWithoutBlobsThereIsNothingToSay) {
  machine_.disk = sim::Disk();
  ASSERT_TRUE(machine_.run([] { return make_disk(64u << 20); }));
  DeviceReport report;
  const Result<> checked = machine_.run([&] { return check_into(&report); });
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, Errc::not_found);
}

}  // namespace
}  // namespace ashlar::blob
