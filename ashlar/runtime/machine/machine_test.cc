#include "ashlar/runtime/machine/machine.h"

#include <gmock/gmock.h>

#include <cerrno>
#include <thread>

#include "ashlar/runtime/machine/block_stack.h"
#include "ashlar/runtime/machine/test_tree.h"

namespace ashlar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TestTree;

TEST(FileTree, WhatIsMissingIsEmpty) {
  TestTree machine;
  const FileTree tree = machine.tree();
  EXPECT_EQ(tree.text("/proc/x"), "");
  EXPECT_FALSE(tree.number("/proc/x"));
  EXPECT_FALSE(tree.exists("/proc/x"));
  EXPECT_TRUE(tree.list("/proc").empty());
  EXPECT_EQ(tree.resolve("/proc"), "");
  machine.write("/proc/x", " 12 words\nmore").write("/proc/y", "none").link("/proc/link", "/proc/x");
  EXPECT_EQ(tree.line("/proc/x"), " 12 words");
  EXPECT_EQ(tree.number("/proc/link"), 12u);
  EXPECT_FALSE(tree.number("/proc/y"));
  EXPECT_EQ(tree.resolve("/proc/link"), "/proc/x");
  EXPECT_THAT(tree.list("/proc"), ElementsAre("link", "x", "y"));
}

TEST(FileTree, ReadsTheFormsOfTheKernel) {
  EXPECT_EQ(field("CapEffX:\t1\nCapEff:\t00ff\nLast: z", "CapEff"), "00ff");
  EXPECT_EQ(field("a: b", "c"), "");
  EXPECT_EQ(field("a:", "a"), "");
  EXPECT_EQ(bracketed("none [mq-deadline] bfq"), "mq-deadline");
  EXPECT_EQ(bracketed("none"), "none");
  EXPECT_EQ(bracketed("]["), "][");
  EXPECT_THAT(words("  a\tbc \n"), ElementsAre("a", "bc"));
  EXPECT_EQ(base_name("/a/b"), "b");
  EXPECT_EQ(base_name("b"), "b");
}

TEST(Process, ReadsVersions) {
  EXPECT_EQ(parse_kernel_version("6.18.44-fc"), (KernelVersion{6, 18}));
  EXPECT_EQ(parse_kernel_version("5.10"), (KernelVersion{5, 10}));
  EXPECT_LT(parse_kernel_version("5.9.1"), (KernelVersion{5, 10}));
  EXPECT_EQ(parse_kernel_version("new"), KernelVersion{});
  EXPECT_EQ(parse_kernel_version(""), KernelVersion{});
}

TEST(Process, KnowsLimitsAndRights) {
  TestTree machine;
  machine.limits("unlimited", "4096").status("0000000000004000", "2");
  const Process process = read_process(machine.tree());
  EXPECT_EQ(process.locked_memory_bytes.soft, ResourceLimit::unlimited);
  EXPECT_EQ(process.open_files.soft, 1024u);
  EXPECT_EQ(process.open_files.hard, 4096u);
  EXPECT_EQ(process.user, 1000u);
  EXPECT_THAT(process.groups, ElementsAre(100u, 100u, 998u));
  EXPECT_TRUE(process.capable(Process::ipc_lock));
  EXPECT_FALSE(process.capable(Process::sys_admin));
  EXPECT_TRUE(process.seccomp);
}

TEST(Process, SeesThisProcess) {
  const Process process = read_process(FileTree());
  EXPECT_GE(process.open_files.hard, process.open_files.soft);
  EXPECT_GT(process.open_files.soft, 0u);
  EXPECT_GE(kernel_version(FileTree()), (KernelVersion{4, 0}));
}

TEST(Process, FindsModules) {
  TestTree machine;
  testing::build_bare_metal(machine);
  EXPECT_EQ(module_state(machine.tree(), "nvme"), ModuleState::present);
  EXPECT_EQ(module_state(machine.tree(), "uio"), ModuleState::present);
  EXPECT_EQ(module_state(machine.tree(), "vfio-pci"), ModuleState::loadable);
  EXPECT_EQ(module_state(machine.tree(), "ublk_drv"), ModuleState::loadable);
  EXPECT_EQ(module_state(machine.tree(), "nvme-rdma"), ModuleState::absent);
  TestTree fixed;
  fixed.write("/proc/sys/kernel/osrelease", "6.18.44-fc").directory("/sys/bus/pci/drivers/vfio-pci");
  EXPECT_EQ(module_state(fixed.tree(), "vfio-pci"), ModuleState::present);
  EXPECT_EQ(module_state(fixed.tree(), "nvme"), ModuleState::never);
}

struct Refusal {
  const char* disabled;
  const char* group;
  const char* capabilities;
  const char* seccomp;
  int number;
  const char* says;
  const char* remedy;
};

// Every way in which io_uring is refused names who does it and what undoes it.
TEST(Process, ExplainsWhoRefusesIoUring) {
  for (const Refusal& refusal : {
           Refusal{"2", "-1", "000001ffffffffff", "2", EPERM, "io_uring_disabled is 2", "sysctl -w"},
           Refusal{"1", "-1", "0", "0", EPERM, "io_uring_disabled is 1", "kernel.io_uring_group"},
           Refusal{"1", "4711", "0", "0", EPERM, "outside of group 4711", "usermod -aG 4711"},
           Refusal{"1", "998", "0", "2", EPERM, "seccomp", "io_uring_setup"},
           Refusal{"1", "-1", "0000000000200000", "2", EPERM, "seccomp", "io_uring_setup"},
           Refusal{"0", "-1", "0", "2", ENOSYS, "seccomp", "io_uring_register"},
           Refusal{"0", "-1", "0", "0", EPERM, "security module", "dmesg"},
           Refusal{"0", "-1", "0", "0", ENOSYS, "no io_uring", "CONFIG_IO_URING"},
           Refusal{"0", "-1", "0", "2", ENOMEM, "locked memory", "ulimit -l"},
           Refusal{"0", "-1", "0", "0", EIO, "io_uring_setup", "io_uring_setup(2)"},
       }) {
    TestTree machine;
    machine.write("/proc/sys/kernel/osrelease", "6.12.0")
        .write("/proc/sys/kernel/io_uring_disabled", refusal.disabled)
        .write("/proc/sys/kernel/io_uring_group", refusal.group)
        .status(refusal.capabilities, refusal.seccomp);
    const Need need =
        explain_uring_refusal(error_from_errno(refusal.number, "io_uring_setup"), machine.tree());
    EXPECT_THAT(need.lacks, HasSubstr(refusal.says));
    EXPECT_THAT(need.remedy, HasSubstr(refusal.remedy));
  }
  TestTree old;
  testing::build_old_machine(old);
  const Need need = explain_uring_refusal(Error{Errc::unsupported, 0, "io_uring", 0, 0}, old.tree());
  EXPECT_THAT(need.remedy, HasSubstr("5.11"));
}

TEST(Machine, CountsHugePagesAndIommuGroups) {
  TestTree machine, old;
  testing::build_bare_metal(machine);
  testing::build_old_machine(old);
  const auto pages = huge_pages(machine.tree());
  ASSERT_EQ(pages.size(), 1u);
  EXPECT_EQ(pages[0].page_bytes, 2u << 20);
  EXPECT_EQ(pages[0].total, 1024u);
  EXPECT_EQ(pages[0].free, 1000u);
  EXPECT_EQ(iommu(machine.tree()).groups, 2u);
  EXPECT_EQ(iommu(old.tree()).groups, 0u);
  EXPECT_THAT(iommu(old.tree()).remedy, HasSubstr("AMD-Vi"));
}

TEST(BlockStack, FindsTheMountOfAPath) {
  const auto mounts = parse_mounts(
      "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n"
      "garbage\n\n1 2 3 - \n"
      "23 22 0:5 / /data\\040set rw shared:1 master:2 - xfs /dev/sdb rw,dax=always\n"
      "24 22 0:6 / /data rw - tmpfs none rw\n"
      "25 22 0:7 / /data rw - btrfs /dev/sdc rw");
  ASSERT_EQ(mounts.size(), 4u);
  EXPECT_EQ(mount_of(mounts, "/data set/x")->type, "xfs");
  EXPECT_TRUE(mount_of(mounts, "/data set/x")->has("dax=always"));
  EXPECT_EQ(mount_of(mounts, "/data")->type, "btrfs");
  EXPECT_EQ(mount_of(mounts, "/database")->type, "ext4");
  EXPECT_TRUE(mount_of(mounts, "/x")->has("discard"));
  EXPECT_TRUE(mounts[2].volatile_memory());
  EXPECT_FALSE(mount_of(mounts, "relative"));
  EXPECT_FALSE(mount_of({}, "/x"));
}

TEST(BlockStack, GoesDownToTheDisk) {
  TestTree machine, old;
  testing::build_bare_metal(machine);
  testing::build_old_machine(old);
  const auto partition = block_device(machine.tree(), block_device_name(machine.tree(), "259:1"));
  ASSERT_TRUE(partition);
  EXPECT_TRUE(partition->partition);
  ASSERT_EQ(disks_of(*partition).size(), 1u);
  const BlockDevice& disk = *disks_of(*partition)[0];
  EXPECT_EQ(disk.name, "nvme0n1");
  EXPECT_EQ(disk.driver, "nvme");
  EXPECT_FALSE(disk.partition);
  const auto controller = nvme_controller(machine.tree(), disk);
  ASSERT_TRUE(controller);
  EXPECT_EQ(controller->name, "nvme0");
  EXPECT_EQ(controller->transport, "pcie");
  EXPECT_EQ(controller->address, "0000:01:00.0");
  EXPECT_EQ(controller->generic, "/dev/ng0n1");

  const auto mapped = block_device(old.tree(), "dm-0");
  ASSERT_TRUE(mapped);
  EXPECT_EQ(mapped->driver, "device-mapper (crypt)");
  ASSERT_EQ(disks_of(*mapped).size(), 1u);
  EXPECT_EQ(disks_of(*mapped)[0]->name, "sda");
  EXPECT_FALSE(nvme_controller(old.tree(), *disks_of(*mapped)[0]));
  EXPECT_FALSE(block_device(old.tree(), "sdz"));
  EXPECT_FALSE(block_device(old.tree(), ""));
  EXPECT_EQ(block_device_name(old.tree(), "1:1"), "");
}

TEST(BlockStack, FollowsALoopDeviceAndEndsWhereItTurnsInACircle) {
  TestTree machine;
  testing::build_bare_metal(machine);
  machine.block("loop3", "7:3", "virtual/block/loop3")
      .write("/sys/devices/virtual/block/loop3/loop/backing_file", "/var/image")
      .block("dm-1", "253:1", "virtual/block/dm-1")
      .block("dm-2", "253:2", "virtual/block/dm-2")
      .link("/sys/devices/virtual/block/dm-1/slaves/dm-2", "/sys/devices/virtual/block/dm-2")
      .link("/sys/devices/virtual/block/dm-2/slaves/dm-1", "/sys/devices/virtual/block/dm-1");
  const auto loop = block_device(machine.tree(), "loop3");
  ASSERT_TRUE(loop);
  EXPECT_EQ(loop->backing_file, "/var/image");
  EXPECT_EQ(disks_of(*loop).at(0)->name, "nvme0n1");
  EXPECT_TRUE(block_device(machine.tree(), "dm-1"));
}

TEST(BlockStack, FindsTheMultipathController) {
  TestTree machine;
  const std::string subsystem = "virtual/nvme-subsystem/nvme-subsys0";
  machine.block("nvme0n1", "259:0", subsystem + "/nvme0n1")
      .link("/sys/devices/" + subsystem + "/nvme0n1/device", "/sys/devices/" + subsystem)
      .write("/sys/devices/pci0000:00/nvme/nvme7/transport", "tcp")
      .link("/sys/devices/" + subsystem + "/nvme7", "/sys/devices/pci0000:00/nvme/nvme7");
  const auto disk = block_device(machine.tree(), "nvme0n1");
  ASSERT_TRUE(disk);
  EXPECT_EQ(nvme_controller(machine.tree(), *disk)->name, "nvme7");
  EXPECT_EQ(nvme_controller(machine.tree(), *disk)->transport, "tcp");
}

}  // namespace
}  // namespace ashlar
