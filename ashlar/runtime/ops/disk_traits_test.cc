/// What sysfs says of disks, read from synthetic trees.

#include "ashlar/runtime/ops/disk_traits.h"

#include <gtest/gtest.h>

#include "ashlar/runtime/machine/test_tree.h"
#include "ashlar/runtime/ops/file_traits.h"

namespace ashlar::testing {
namespace {

FileTraits traits_of(const TestTree& tree, unsigned major, unsigned minor) {
  FileTraits traits;
  describe_disk(tree.tree(), major, minor, traits);
  return traits;
}

TEST(DiskTraits, OfAnOrdinaryDiskAndItsPartition) {
  TestTree tree;
  build_bare_metal(tree);
  const std::string pci = "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0";
  tree.link(pci + "/nvme/nvme0/device", pci);
  for (const unsigned minor : {0u, 1u}) {
    const FileTraits traits = traits_of(tree, 259, minor);
    EXPECT_EQ(traits.disk, "nvme0n1");
    EXPECT_EQ(traits.partition, minor == 1);
    EXPECT_EQ(traits.volatile_cache, true);
    EXPECT_EQ(traits.fua, true);
    EXPECT_EQ(traits.io_poll, true);
    EXPECT_EQ(traits.numa_node, 1u);
    EXPECT_EQ(traits.scheduler, "none");
    EXPECT_FALSE(traits.zones);
    EXPECT_FALSE(traits.protection);
  }
}

TEST(DiskTraits, OfZones) {
  TestTree tree;
  const std::string disk = "pci0000:00/0000:00:02.0/nvme/nvme1/nvme1n2";
  tree.block("nvme1n2", "259:7", disk)
      .queue(disk, "zoned", "host-managed")
      .queue(disk, "chunk_sectors", "524288")
      .queue(disk, "nr_zones", "904")
      .queue(disk, "max_open_zones", "14")
      .queue(disk, "max_active_zones", "28")
      .queue(disk, "zone_append_max_bytes", "131072");
  EXPECT_EQ(traits_of(tree, 259, 7).zones, (Zones{.zone_bytes = std::uint64_t{256} << 20,
                                                  .count = 904,
                                                  .open_max = 14,
                                                  .active_max = 28,
                                                  .append_bytes_max = 131072,
                                                  .sequential_only = true}));
  tree.queue(disk, "zoned", "host-aware");
  EXPECT_FALSE(traits_of(tree, 259, 7).zones.sequential_only);
  tree.queue(disk, "zoned", "none");
  EXPECT_FALSE(traits_of(tree, 259, 7).zones) << "chunk_sectors of a striped disk is no zone";
}

TEST(DiskTraits, OfProtectionInformation) {
  TestTree tree;
  const std::string disk = "pci0000:00/0000:00:03.0/host2/target2:0:0/2:0:0:0/block/sdb";
  const auto integrity = [&](const std::string& name, const std::string& value) {
    tree.write("/sys/devices/" + disk + "/integrity/" + name, value);
  };
  tree.block("sdb", "8:16", disk);
  integrity("format", "T10-DIF-TYPE1-CRC");
  integrity("protection_interval_bytes", "512");
  integrity("tag_size", "2");
  integrity("device_is_integrity_capable", "1");
  integrity("write_generate", "1");
  integrity("read_verify", "0");
  EXPECT_EQ(
      traits_of(tree, 8, 16).protection,
      (Protection{.type = 1, .interval_bytes = 512, .tag_bytes = 2, .in_device = true, .generated = true}));
  integrity("format", "EXT-DIF-TYPE3-CRC64");
  EXPECT_EQ(traits_of(tree, 8, 16).protection.type, 3);
  EXPECT_TRUE(traits_of(tree, 8, 16).protection.crc64);
  for (const char* const without : {"none", "nop", "", "T10-DIF-TYPE", "T10-DIF-TYPE9-CRC"}) {
    integrity("format", without);
    EXPECT_FALSE(traits_of(tree, 8, 16).protection) << without;
  }
}

TEST(DiskTraits, OfNothing) {
  TestTree tree;
  const FileTraits traits = traits_of(tree, 7, 7);
  EXPECT_EQ(traits.disk, "");
  EXPECT_FALSE(traits.volatile_cache.has_value());
}

}  // namespace
}  // namespace ashlar::testing
