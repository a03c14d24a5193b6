#include "ashlar/runtime/machine/interrupts.h"

#include <gtest/gtest.h>

#include "ashlar/runtime/machine/test_tree.h"

namespace ashlar {
namespace {

using testing::TestTree;

constexpr const char* interrupts = R"(            CPU0       CPU1
   1:          7          0   IO-APIC    1-edge      i8042
  27:          5         20   PCI-MSIX-0000:01:00.0   0-edge      nvme0q0
  28:        100         11   PCI-MSIX-0000:01:00.0   1-edge      nvme0q1
  29:          0       1000   PCI-MSIX-0000:01:00.0   2-edge      nvme0q2
  30:          1          1   PCI-MSIX-0000:02:00.0   1-edge      nvme01q1
  36:          0      49387   PCI-MSIX-0000:00:02.0   1-edge      virtio1-req.0
  37:          3          0   PCI-MSIX-0000:00:02.0   2-edge      virtio1-req.1
  38:          9          9   PCI-MSIX-0000:00:03.0   0-edge      virtio1-config
  39:          2          2   PCI-MSIX-0000:00:03.0   1-edge      virtio11-req.0
 NMI:          0          0   Non-maskable interrupts
 ERR:          0)";

/// vda of virtio1, with two queues.
void build_virtio(TestTree& tree) {
  const std::string virtio = "pci0000:00/0000:00:02.0/virtio1", disk = virtio + "/block/vda";
  tree.block("vda", "254:0", disk)
      .link("/sys/devices/" + disk + "/device", "/sys/devices/" + virtio)
      .directory("/sys/bus/virtio/drivers/virtio_blk")
      .link("/sys/devices/" + virtio + "/driver", "/sys/bus/virtio/drivers/virtio_blk");
}

std::optional<std::uint64_t> count(const TestTree& tree, const char* name) {
  const auto device = block_device(tree.tree(), name);
  EXPECT_TRUE(device) << name;
  return device ? interrupts_of(tree.tree(), *disks_of(*device).front()) : std::nullopt;
}

TEST(Interrupts, AreThoseOfTheDisksQueues) {
  TestTree tree;
  testing::build_bare_metal(tree);
  build_virtio(tree);
  EXPECT_FALSE(count(tree, "nvme0n1")) << "there is no /proc/interrupts";
  tree.write("/proc/interrupts", interrupts);
  EXPECT_EQ(count(tree, "nvme0n1"), 1111u) << "neither those of the controller nor of another one";
  EXPECT_EQ(count(tree, "nvme0n1p1"), 1111u) << "of the disk below";
  EXPECT_EQ(count(tree, "vda"), 49390u);
}

TEST(Interrupts, OfWhatSharesThemAreNotKnown) {
  TestTree tree;
  testing::build_old_machine(tree);
  tree.write("/proc/interrupts", "  19:  55  66  IO-APIC  19-fasteoi  ahci[0000:00:1f.2]");
  EXPECT_FALSE(count(tree, "sda"));
  build_virtio(tree);
  tree.write("/proc/interrupts", "  19:  55  66  IO-APIC  19-fasteoi  virtio1");
  EXPECT_FALSE(count(tree, "vda"));
}

TEST(Interrupts, TellWhoPolls) {
  EXPECT_EQ(polled(1000, 1000, 64), true);
  EXPECT_EQ(polled(1000, 1020, 64), true) << "somebody else's";
  EXPECT_EQ(polled(1000, 1064, 64), false);
  EXPECT_EQ(polled(1000, 1032, 64), false);
  EXPECT_EQ(polled(1000, 1000, 3), std::nullopt) << "too few to tell";
  EXPECT_EQ(polled(std::nullopt, 1000, 64), std::nullopt);
  EXPECT_EQ(polled(1000, std::nullopt, 64), std::nullopt);
  EXPECT_EQ(polled(1000, 10, 64), std::nullopt) << "a CPU went";
}

}  // namespace
}  // namespace ashlar
