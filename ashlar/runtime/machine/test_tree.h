#pragma once

/// Synthetic machines for tests: trees of files that stand for /proc and /sys.

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "ashlar/runtime/machine/machine.h"

namespace ashlar::testing {

/// A directory that is removed at the end.
class TestTree {
 public:
  TestTree() {
    std::string pattern = ::testing::TempDir() + "ashlar_tree_XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    root_ = std::filesystem::canonical(pattern).string();
  }
  TestTree(const TestTree&) = delete;
  TestTree& operator=(const TestTree&) = delete;
  ~TestTree() { std::filesystem::remove_all(root_); }

  FileTree tree() const { return FileTree(root_); }
  TestTree& write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text << '\n';
    return *this;
  }
  TestTree& directory(const std::string& path) {
    std::filesystem::create_directories(root_ + path);
    return *this;
  }
  TestTree& remove(const std::string& path) {
    std::filesystem::remove_all(root_ + path);
    return *this;
  }
  /// A symbolic link to a path of the tree.
  TestTree& link(const std::string& path, const std::string& to) {
    const auto parent = std::filesystem::path(root_ + path).parent_path();
    std::filesystem::create_directories(parent);
    std::filesystem::create_symlink(std::filesystem::path(root_ + to).lexically_relative(parent),
                                    root_ + path);
    return *this;
  }
  /// A block device of class and number, at `at` of /sys/devices.
  TestTree& block(const std::string& name, const std::string& number, const std::string& at) {
    const std::string directory = "/sys/devices/" + at;
    write(directory + "/dev", number);
    link("/sys/class/block/" + name, directory);
    return link("/sys/dev/block/" + number, directory);
  }
  TestTree& queue(const std::string& at, const std::string& attribute, const std::string& value) {
    return write("/sys/devices/" + at + "/queue/" + attribute, value);
  }
  TestTree& limits(const std::string& locked_memory, const std::string& open_files) {
    return write(
        "/proc/self/limits",
        "ResourceLimit                     Soft ResourceLimit           Hard ResourceLimit           Units\n"
        "Max open files            1024                 " +
            open_files +
            "                 files\n"
            "Max locked memory         " +
            locked_memory + " " + locked_memory + " bytes");
  }
  TestTree& status(const std::string& capabilities, const std::string& seccomp) {
    return write("/proc/self/status",
                 "Name:\tashlar\nUid:\t1000\t1000\t1000\t1000\nGid:\t100\t100\t100\t100\n"
                 "Groups:\t100 998\nCapEff:\t" +
                     capabilities + "\nSeccomp:\t" + seccomp);
  }

 private:
  std::string root_;
};

/// Two nodes of 32 cores, NVMe with poll queues behind an IOMMU, ext4 on its first partition, huge pages.
inline void build_bare_metal(TestTree& tree) {
  const std::string pci = "pci0000:00/0000:00:01.0/0000:01:00.0", disk = pci + "/nvme/nvme0/nvme0n1";
  tree.write("/proc/sys/kernel/osrelease", "6.12.9-amd64")
      .write("/proc/sys/kernel/io_uring_disabled", "0")
      .write("/proc/modules", "nvme 65536 2 - Live 0x0000000000000000")
      .write("/proc/cpuinfo", "vendor_id\t: GenuineIntel")
      .write("/proc/swaps", "Filename Type Size Used Priority")
      .write("/proc/meminfo", "MemTotal:       263882196 kB\nMemAvailable:  250000000 kB")
      .write("/lib/modules/6.12.9-amd64/modules.dep",
             "kernel/drivers/vfio/pci/vfio-pci.ko.xz: kernel/drivers/vfio/vfio.ko.xz\n"
             "kernel/drivers/nvme/host/nvme-tcp.ko.xz:\nkernel/drivers/block/ublk_drv.ko.xz:")
      .write("/lib/modules/6.12.9-amd64/modules.builtin", "kernel/drivers/uio/uio.ko")
      .directory("/sys/module/nvme")
      .write("/sys/module/nvme/parameters/poll_queues", "4")
      .directory("/sys/kernel/iommu_groups/14")
      .directory("/sys/kernel/iommu_groups/15")
      .write("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "1024")
      .write("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "1000")
      .write("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never")
      .write("/sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc")
      .write("/sys/devices/system/clocksource/clocksource0/available_clocksource", "tsc hpet acpi_pm")
      .write("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance")
      .limits("unlimited", "1048576")
      .status("000001ffffffffff", "0");
  tree.block("nvme0n1", "259:0", disk)
      .block("nvme0n1p1", "259:1", disk + "/nvme0n1p1")
      .write("/sys/devices/" + disk + "/nvme0n1p1/partition", "1")
      .write("/sys/devices/" + disk + "/nsid", "1")
      .link("/sys/devices/" + disk + "/device", "/sys/devices/" + pci + "/nvme/nvme0")
      .write("/sys/devices/" + pci + "/nvme/nvme0/transport", "pcie")
      .write("/sys/devices/" + pci + "/nvme/nvme0/address", "0000:01:00.0")
      .write("/sys/devices/" + pci + "/numa_node", "1")
      .link("/sys/bus/pci/devices/0000:01:00.0", "/sys/devices/" + pci)
      .link("/sys/devices/" + pci + "/iommu_group", "/sys/kernel/iommu_groups/14")
      .directory("/sys/class/nvme-generic/ng0n1");
  tree.queue(disk, "scheduler", "[none] mq-deadline")
      .queue(disk, "write_cache", "write back")
      .queue(disk, "fua", "1")
      .queue(disk, "io_poll", "1")
      .queue(disk, "rotational", "0")
      .queue(disk, "discard_max_bytes", "2199023255040")
      .queue(disk, "discard_granularity", "512")
      .queue(disk, "nr_requests", "1023")
      .queue(disk, "dax", "0");
  tree.write("/proc/self/mountinfo",
             "22 1 259:1 / / rw,relatime - ext4 /dev/nvme0n1p1 rw\n"
             "23 22 0:21 / /dev/shm rw,nosuid - tmpfs tmpfs rw");
}

/// An old kernel without modules or IOMMU, low limits, no huge pages, a spinning disk with a busy scheduler.
inline void build_old_machine(TestTree& tree) {
  const std::string disk = "pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda";
  tree.write("/proc/sys/kernel/osrelease", "5.10.0-30-amd64")
      .write("/proc/modules", "ahci 1 1 - Live 0x0")
      .write("/proc/swaps", "Filename Type Size Used Priority\n/dev/sda2 partition 999420 1024 -2")
      .write("/proc/meminfo", "MemTotal:       8061040 kB")
      .write("/proc/cpuinfo", "vendor_id\t: AuthenticAMD")
      .write("/lib/modules/5.10.0-30-amd64/modules.dep", "kernel/fs/ext4/ext4.ko:")
      .write("/sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]")
      .write("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "0")
      .write("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "0")
      .write("/sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet")
      .write("/sys/devices/system/clocksource/clocksource0/available_clocksource", "hpet acpi_pm")
      .write("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave")
      .limits("65536", "4096")
      .status("0000000000000000", "0")
      .block("sda", "8:0", disk)
      .block("dm-0", "253:0", "virtual/block/dm-0")
      .write("/sys/devices/virtual/block/dm-0/dm/uuid", "CRYPT-LUKS2-0123-home")
      .directory("/sys/devices/virtual/block/dm-0/slaves")
      .link("/sys/devices/virtual/block/dm-0/slaves/sda", "/sys/devices/" + disk)
      .queue(disk, "scheduler", "none mq-deadline [bfq]")
      .queue(disk, "write_cache", "write back")
      .queue(disk, "fua", "0")
      .queue(disk, "rotational", "1")
      .queue(disk, "discard_max_bytes", "0")
      .queue(disk, "io_poll", "0")
      .write("/proc/self/mountinfo", "22 1 253:0 / / rw - ext4 /dev/mapper/home rw,nobarrier");
}

/// What probing gives where the kernel is new enough for everything, and where it refuses with an errno.
inline Result<std::vector<UringFeature>> every_uring_feature() {
  auto feature = [](const char* name) {
    UringFeature one{};
    one.name = name;
    one.since = "5.11";
    one.instead = "nothing";
    one.present = true;
    return one;
  };
  return std::vector{feature("SQPOLL"), feature("IOPOLL")};
}

}  // namespace ashlar::testing
