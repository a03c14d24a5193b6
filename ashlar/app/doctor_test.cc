#include "ashlar/app/doctor.h"

#include <gmock/gmock.h>

#include <cerrno>

#include "ashlar/runtime/machine/test_tree.h"

namespace ashlar::app {
namespace {

using ashlar::testing::TestTree;
using ::testing::AllOf;
using ::testing::HasSubstr;
using State = Finding::State;

Machine machine(const TestTree& tree, const char* topology, const CgroupLimits& limits = {}) {
  return {tree.tree(), ashlar::testing::every_uring_feature(), *Topology::synthetic(topology, limits)};
}

const Finding& find(const std::vector<Finding>& findings, std::string_view subject) {
  for (const Finding& one : findings) {
    if (one.subject == subject) return one;
  }
  ADD_FAILURE() << "nothing on " << subject;
  static const Finding none;
  return none;
}

/// What is not right says why, and what to do about it; what is right says neither.
void expect_complete(const std::vector<Finding>& findings) {
  for (const Finding& one : findings) {
    EXPECT_FALSE(one.detail.empty()) << one.subject;
    EXPECT_EQ(one.why.empty(), one.state == State::ok) << one.subject;
    EXPECT_EQ(one.command.empty(), one.state == State::ok) << one.subject;
    EXPECT_EQ((one.detail + one.why + one.command).find('\n'), std::string::npos) << one.subject;
  }
}

Place place(const TestTree& tree, const std::string& path) {
  Place found{.path = path, .mount = {}, .device = {}, .free_bytes = 50, .total_bytes = 100};
  found.mount = mount_of(parse_mounts(tree.tree().text("/proc/self/mountinfo")), path);
  if (found.mount) found.device = block_device(tree.tree(), block_device_name(tree.tree(), *found.mount));
  return found;
}

TEST(Doctor, HasNothingToSayAboutAGoodMachine) {
  TestTree tree;
  ashlar::testing::build_bare_metal(tree);
  const Machine bare = machine(tree, "numa:2 core:32 pu:1");
  const auto findings = examine_machine(bare, 64);
  expect_complete(findings);
  for (const Finding& one : findings) EXPECT_EQ(one.state, State::ok) << one.subject << ": " << one.detail;
  EXPECT_THAT(find(findings, "shards").detail, HasSubstr("CPUs 0-31 of node 0, CPUs 32-63 of node 1"));
  EXPECT_THAT(find(findings, "processors").detail, HasSubstr("64 usable on 64 cores and 2 NUMA nodes"));
  EXPECT_EQ(find(findings, "huge pages").detail, "1024 of 2MiB, 1000 free");
  EXPECT_EQ(find(findings, "IOMMU").detail, "2 groups");
  EXPECT_THAT(
      find(findings, "modules").detail,
      AllOf(HasSubstr("nvme present"), HasSubstr("modprobe vfio-pci"), HasSubstr("modprobe nvme-tcp")));
}

TEST(Doctor, SaysWhatAnOldMachineLacks) {
  TestTree tree;
  ashlar::testing::build_old_machine(tree);
  const auto findings = examine_machine(machine(tree, "core:4 pu:2"), 16);
  expect_complete(findings);
  const auto expect_better = [&](const char* subject, const char* command) {
    EXPECT_EQ(find(findings, subject).state, State::better) << subject;
    EXPECT_THAT(find(findings, subject).command, HasSubstr(command));
  };
  expect_better("kernel", "6.1");
  expect_better("shards", "--runtime-shards 4");
  expect_better("CPU frequency", "scaling_governor");
  expect_better("swap", "swapoff -a");
  expect_better("transparent huge pages", "echo madvise");
  expect_better("locked memory", "LimitMEMLOCK=infinity");
  expect_better("open files", "LimitNOFILE=65536");
  expect_better("clock source", "tsc");
  EXPECT_THAT(find(findings, "huge pages").detail, HasSubstr("vm.nr_hugepages"));
  EXPECT_THAT(find(findings, "modules").detail, HasSubstr("vfio-pci absent"));
}

TEST(Doctor, RaisesASoftLimitWhereTheHardOneAllows) {
  TestTree tree;
  ashlar::testing::build_bare_metal(tree);
  tree.status("0", "0").write("/proc/self/limits", "Max locked memory   65536    unlimited    bytes");
  EXPECT_EQ(find(examine_machine(machine(tree, "core:2 pu:1"), 2), "locked memory").command,
            "ulimit -l unlimited");
  tree.write("/proc/self/limits", "Max locked memory   5242880    unlimited    bytes");
  EXPECT_THAT(find(examine_machine(machine(tree, "core:2 pu:1"), 2), "locked memory").detail,
              HasSubstr("5MiB, room for 2 registered buffers of 2MiB"));
  tree.status("0000000000004000", "0");
  const auto exempt = examine_machine(machine(tree, "core:2 pu:1"), 2);
  EXPECT_EQ(find(exempt, "locked memory").state, State::ok);
  EXPECT_THAT(find(exempt, "locked memory").detail, HasSubstr("CAP_IPC_LOCK"));
}

TEST(Doctor, CountsTheQuotaOfAContainer) {
  TestTree tree;
  ashlar::testing::build_bare_metal(tree);
  const auto findings =
      examine_machine(machine(tree, "core:8 pu:1", {.cpus = 2.5, .memory_bytes = 1 << 30}), 2);
  expect_complete(findings);
  EXPECT_THAT(find(findings, "processors").detail, HasSubstr("quota lets 2 run"));
  EXPECT_THAT(find(findings, "memory").detail, HasSubstr("a control group allows 1"));
}

TEST(Doctor, WarnsOfBalancingBetweenNodesOnly) {
  TestTree tree;
  ashlar::testing::build_bare_metal(tree);
  tree.write("/proc/sys/kernel/numa_balancing", "1");
  EXPECT_EQ(find(examine_machine(machine(tree, "numa:2 core:2 pu:1"), 4), "NUMA balancing").state,
            State::better);
  for (const Finding& one : examine_machine(machine(tree, "core:4 pu:1"), 4))
    EXPECT_NE(one.subject, "NUMA balancing");
}

TEST(Doctor, NamesEveryFeatureOfIoUring) {
  TestTree tree;
  ashlar::testing::build_bare_metal(tree);
  Machine bare = machine(tree, "core:2 pu:1");
  bare.uring->front().present = false;
  const auto findings = examine_uring(bare);
  expect_complete(findings);
  ASSERT_EQ(findings.size(), bare.uring->size() + 1);
  EXPECT_EQ(findings[0].state, State::ok);
  EXPECT_EQ(findings[1].state, State::better);
  EXPECT_THAT(findings[1].command, HasSubstr("5.11"));
  EXPECT_THAT(findings[2].detail, HasSubstr("since Linux"));
}

TEST(Doctor, SaysWhoForbidsIoUring) {
  TestTree tree;
  ashlar::testing::build_bare_metal(tree);
  tree.status("0", "2");
  Machine container = machine(tree, "core:2 pu:1");
  container.uring = fail_errno(EPERM, "io_uring_setup");
  const auto findings = examine_uring(container);
  expect_complete(findings);
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].state, State::better);
  EXPECT_THAT(findings[0].detail, HasSubstr("seccomp"));
  EXPECT_THAT(findings[0].command, HasSubstr("io_uring_setup"));
}

TEST(Doctor, LooksThroughPartitionsAtTheDisk) {
  TestTree tree;
  ashlar::testing::build_bare_metal(tree);
  const Machine bare = machine(tree, "core:2 pu:1");
  const auto findings = examine_place(bare, place(tree, "/var/lib"));
  expect_complete(findings);
  EXPECT_EQ(find(findings, "stands on").detail, "nvme0n1p1 (partition) on nvme0n1 (nvme)");
  EXPECT_EQ(find(findings, "nvme0n1 scheduler").state, State::ok);
  EXPECT_THAT(find(findings, "nvme0n1 write cache").detail, HasSubstr("FUA"));
  EXPECT_THAT(find(findings, "nvme0n1").detail, AllOf(HasSubstr("polls"), HasSubstr("1023 requests")));
}

TEST(Doctor, ShowsWhatOnlySomeDisksHave) {
  TestTree tree;
  ashlar::testing::build_bare_metal(tree);
  const std::string disk = "pci0000:00/0000:00:01.0/0000:01:00.0/nvme/nvme0/nvme0n1";
  tree.queue(disk, "zoned", "host-managed")
      .queue(disk, "chunk_sectors", "524288")
      .queue(disk, "nr_zones", "904")
      .queue(disk, "max_open_zones", "14")
      .queue(disk, "atomic_write_unit_min_bytes", "4096")
      .queue(disk, "atomic_write_unit_max_bytes", "65536")
      .write("/sys/devices/" + disk + "/integrity/format", "T10-DIF-TYPE1-CRC")
      .write("/sys/devices/" + disk + "/integrity/protection_interval_bytes", "512")
      .write("/sys/devices/" + disk + "/integrity/device_is_integrity_capable", "1");
  const auto findings = examine_place(machine(tree, "core:2 pu:1"), place(tree, "/var/lib"));
  expect_complete(findings);
  EXPECT_EQ(find(findings, "nvme0n1 zones").detail,
            "904 of 256MiB, 14 open and any active at once, written in order only");
  EXPECT_THAT(find(findings, "nvme0n1 protection").detail,
              AllOf(HasSubstr("type 1"), HasSubstr("512B"), HasSubstr("by the disk")));
  EXPECT_THAT(find(findings, "nvme0n1 atomic writes").detail, HasSubstr("from 4KiB up to 64KiB"));
}

TEST(Doctor, FindsWhatIsUnsafeOrSlowBelowAPath) {
  TestTree tree;
  ashlar::testing::build_old_machine(tree);
  const Machine old = machine(tree, "core:2 pu:1");
  const auto findings = examine_place(old, place(tree, "/home"));
  expect_complete(findings);
  EXPECT_EQ(find(findings, "file system").state, State::problem);
  EXPECT_THAT(find(findings, "file system").command, HasSubstr("barrier=1"));
  EXPECT_THAT(find(findings, "stands on").detail, HasSubstr("device-mapper (crypt)) on sda"));
  EXPECT_EQ(find(findings, "sda scheduler").command, "echo mq-deadline > /sys/block/sda/queue/scheduler");
  EXPECT_THAT(find(findings, "sda").detail,
              AllOf(HasSubstr("turns"), HasSubstr("no discard"), HasSubstr("interrupts")));
  EXPECT_THAT(find(findings, "sda write cache").detail, HasSubstr("a write and a flush"));
}

TEST(Doctor, JudgesFileSystemsByWhatTheyCost) {
  TestTree tree;
  const Machine any = machine(tree, "core:2 pu:1");
  const auto judge = [&](const std::string& type, const std::string& options) {
    Place here{.path = "/x", .mount = {}, .device = {}};
    here.mount = parse_mounts("1 0 0:9 / /x " + options + " - " + type + " none rw")[0];
    const auto findings = examine_place(any, here);
    expect_complete(findings);
    return find(findings, "file system").state;
  };
  EXPECT_EQ(judge("ext4", "rw,relatime"), State::ok);
  EXPECT_EQ(judge("btrfs", "rw,discard=async"), State::ok);
  EXPECT_EQ(judge("ext4", "rw,barrier=0"), State::problem);
  for (const char* type : {"tmpfs", "overlay", "nfs4", "fuse.sshfs", "9p"})
    EXPECT_EQ(judge(type, "rw"), State::better) << type;
  for (const char* option : {"ro", "sync", "discard", "data=journal"})
    EXPECT_EQ(judge("ext4", option), State::better) << option;
}

TEST(Doctor, AFullFileSystemIsAProblem) {
  TestTree tree;
  const Machine any = machine(tree, "core:2 pu:1");
  const auto space = [&](std::uint64_t free) {
    const Place here{.path = "/x", .mount = {}, .device = {}, .free_bytes = free, .total_bytes = 1000};
    return find(examine_place(any, here), "space").state;
  };
  EXPECT_EQ(space(50), State::ok);
  EXPECT_EQ(space(49), State::better);
  EXPECT_EQ(space(0), State::problem);
}

TEST(Doctor, PrintsEachRemedyOnce) {
  static const Rung rung{"a rung", "kind", "", 1, nullptr};
  LadderStep lacking{
      .rung = &rung, .spec = "kind:/x", .state = LadderStep::State::would_work, .verdict = {}, .outcome = {}};
  lacking.verdict.needs = {{"a module is missing", "modprobe it"}, {"memory is low", "buy some"}};
  LadderStep absent = lacking;
  absent.state = LadderStep::State::not_built;
  Diagnosis diagnosis;
  diagnosis.targets.push_back(
      {.name = "/x", .findings = {}, .ladder = Ladder{.path = "/x", .steps = {lacking, absent}}});
  const std::string text = report_text(diagnosis);
  EXPECT_EQ(text.find("modprobe it"), text.rfind("modprobe it")) << text;
  EXPECT_THAT(text, AllOf(HasSubstr("would work  a rung"), HasSubstr("a module is missing (as above)"),
                          HasSubstr("this build has no kind:")));
  EXPECT_THAT(report_json(diagnosis), HasSubstr("\"command\": \"modprobe it\""));
}

TEST(Doctor, WorksUnlessSomethingAskedForDoesNot) {
  Diagnosis diagnosis;
  diagnosis.machine.push_back({"x", State::better, "d", "w", "c"});
  EXPECT_TRUE(diagnosis.works());
  diagnosis.targets.push_back({.name = "a\xff", .findings = {}, .ladder = Ladder{.path = "/x", .steps = {}}});
  EXPECT_FALSE(diagnosis.works());
  diagnosis.targets[0].ladder.reset();
  EXPECT_TRUE(diagnosis.works());
  diagnosis.targets[0].findings.push_back({"p", State::problem, "d", "w", "c"});
  EXPECT_FALSE(diagnosis.works());
  EXPECT_THAT(report_text(diagnosis), HasSubstr("PROBLEM  p"));
  EXPECT_THAT(report_json(diagnosis),
              AllOf(HasSubstr("\"works\": false"), HasSubstr("\"state\": \"problem\"")));
}

}  // namespace
}  // namespace ashlar::app
