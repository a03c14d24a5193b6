#include "ashlar/device/ladder.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <functional>

#include "ashlar/device/standard_registry.h"
#include "ashlar/runtime/machine/test_tree.h"
#include "ashlar/runtime/ops/test_loop_device.h"
#include "ashlar/runtime/shard/runtime.h"

namespace ashlar {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using State = LadderStep::State;
using testing::TestTree;

Machine machine(const TestTree& tree, const char* topology, Result<std::vector<UringFeature>> uring) {
  return {tree.tree(), std::move(uring), *Topology::synthetic(topology)};
}

FileTraits block_traits(bool io_poll) {
  FileTraits traits;
  traits.kind = FileTraits::Kind::block;
  traits.bytes = 1 << 30;
  traits.memory_alignment = traits.offset_alignment = 512;
  traits.alignment_from_kernel = true;
  traits.disk = "nvme0n1";
  traits.io_poll = io_poll;
  return traits;
}
FileTraits file_traits() {
  FileTraits traits = block_traits(false);
  traits.kind = FileTraits::Kind::regular;
  return traits;
}

const LadderStep& step(const Ladder& ladder, std::string_view name) {
  for (const LadderStep& one : ladder.steps) {
    if (one.rung->name == name) return one;
  }
  ADD_FAILURE() << "no rung " << name;
  std::abort();
}

std::unexpected<Error> refused() {
  return fail_errno(EPERM, "io_uring_setup");
}

// Every rung of a kind that exists is a spec that the kind takes.
TEST(Rungs, AreSpecsOfTheRegistry) {
  for (const Rung& rung : all_rungs()) {
    EXPECT_NE(rung.goals, 0u) << rung.name;
    const DeviceKind* const kind = standard_registry().find(rung.kind);
    if (kind == nullptr) continue;
    const auto spec = parse_spec(std::string(rung.kind) + ":/x?" + rung.options);
    if (*rung.options == '\0') continue;
    ASSERT_TRUE(spec) << rung.name;
    OptionSet set;
    const auto bound_to = kind->describe(set);
    EXPECT_TRUE(read_options(*spec, set)) << rung.name;
  }
}

TEST(Rungs, TakeTheOptionsThatAutoHandsDown) {
  std::vector<std::string> kinds = {"auto"};
  for (const Rung& rung : all_rungs()) kinds.emplace_back(rung.kind);
  for (const std::string& name : kinds) {
    const DeviceKind* const kind = standard_registry().find(name);
    if (kind == nullptr) continue;
    OptionSet set;
    const auto bound_to = kind->describe(set);
    for (const char* option : {"readonly", "in-use"})
      EXPECT_NE(set.find(option), nullptr) << name << " has no option " << option;
  }
}

TEST(Rungs, EveryGoalEndsWithBufferedThreads) {
  TestTree tree;
  testing::build_bare_metal(tree);
  const Machine bare = machine(tree, "numa:2 core:32 pu:1", testing::every_uring_feature());
  const Site site(bare, "/dev/nvme0n1", block_traits(true), 4);
  for (std::size_t goal = 0; goal < std::size(goal_names); ++goal) {
    const Ladder ladder = judge(site, static_cast<Goal>(goal), standard_registry());
    EXPECT_STREQ(ladder.steps.back().rung->name, "threads, buffered");
    EXPECT_EQ(ladder.steps.back().spec, "direct:/dev/nvme0n1?buffered");
    EXPECT_EQ(ladder.chosen, Ladder::none);
    EXPECT_EQ(ladder.reasons().size(), ladder.steps.size());
  }
}

// NVMe behind an IOMMU, unused, on a large machine.
TEST(Rungs, OnBareMetalAnUnusedNamespaceNeedsLittle) {
  TestTree tree;
  testing::build_bare_metal(tree);
  tree.write("/proc/self/mountinfo", "");
  const Machine bare = machine(tree, "numa:2 core:32 pu:1", testing::every_uring_feature());
  const Site site(bare, "/dev/nvme0n1", block_traits(true), 4);
  const Ladder ladder = judge(site, Goal::latency, standard_registry());

  const LadderStep& vfio = step(ladder, "NVMe driver in user space, vfio");
  EXPECT_EQ(vfio.state, State::not_built);
  EXPECT_EQ(vfio.spec, "vfio:0000:01:00.0/1");
  EXPECT_THAT(vfio.reason(), AllOf(HasSubstr("this build has no vfio:"), HasSubstr("modprobe vfio-pci"),
                                   HasSubstr("driver_override"), Not(HasSubstr("umount")),
                                   Not(HasSubstr("IOMMU")), Not(HasSubstr("nr_hugepages"))));
  const LadderStep& commands = step(ladder, "NVMe commands by io_uring (URING_CMD)");
  EXPECT_EQ(commands.state, State::not_built);
  EXPECT_EQ(commands.spec, "passthrough:/dev/ng0n1");
  EXPECT_TRUE(commands.verdict.needs.empty());
  EXPECT_EQ(step(ladder, "loads and stores (DAX)").state, State::never);

  const LadderStep& polled = step(ladder, "io_uring, SQPOLL and IOPOLL");
  EXPECT_TRUE(polled.verdict.needs.empty()) << polled.reason();
  EXPECT_EQ(polled.spec, "uring:/dev/nvme0n1?direct&sqpoll&iopoll");
}

TEST(Rungs, WhatIsMountedStaysWithTheKernel) {
  TestTree tree;
  testing::build_bare_metal(tree);
  const Machine bare = machine(tree, "numa:2 core:32 pu:1", testing::every_uring_feature());
  const Ladder whole =
      judge(Site(bare, "/dev/nvme0n1", block_traits(true), 4), Goal::control, standard_registry());
  EXPECT_THAT(step(whole, "NVMe driver in user space, vfio").reason(), HasSubstr("umount /"));
  const Ladder part =
      judge(Site(bare, "/dev/nvme0n1p1", block_traits(true), 4), Goal::control, standard_registry());
  EXPECT_THAT(step(part, "NVMe driver in user space, vfio").reason(), HasSubstr("a partition"));
  const Ladder file = judge(Site(bare, "/var/file", file_traits(), 4), Goal::control, standard_registry());
  EXPECT_THAT(step(file, "NVMe commands by ioctl").reason(), HasSubstr("a file"));
}

TEST(Rungs, WithoutAnIommuTheFirmwareIsNamed) {
  TestTree plain;
  testing::build_bare_metal(plain);
  plain.remove("/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/iommu_group");
  const Machine without = machine(plain, "core:4 pu:1", testing::every_uring_feature());
  const Ladder ladder =
      judge(Site(without, "/dev/nvme0n1", block_traits(true), 4), Goal::latency, standard_registry());
  EXPECT_THAT(step(ladder, "NVMe driver in user space, vfio").reason(), HasSubstr("intel_iommu=on"));
}

TEST(Rungs, ThePollerNeedsACpuOfItsOwn) {
  TestTree tree;
  testing::build_bare_metal(tree);
  const Machine small = machine(tree, "core:2 pu:1", testing::every_uring_feature());
  const Ladder full =
      judge(Site(small, "/dev/nvme0n1", block_traits(true), 2), Goal::latency, standard_registry());
  EXPECT_THAT(step(full, "io_uring, SQPOLL").reason(), HasSubstr("--runtime-shards 1"));
  const Ladder spare =
      judge(Site(small, "/dev/nvme0n1", block_traits(true), 1), Goal::latency, standard_registry());
  EXPECT_TRUE(step(spare, "io_uring, SQPOLL").verdict.needs.empty());
}

TEST(Rungs, PollingNeedsQueuesOfTheDriver) {
  TestTree tree;
  testing::build_bare_metal(tree);
  tree.write("/sys/module/nvme/parameters/poll_queues", "0");
  const Machine bare = machine(tree, "core:4 pu:1", testing::every_uring_feature());
  const Ladder ladder =
      judge(Site(bare, "/dev/nvme0n1", block_traits(false), 2), Goal::latency, standard_registry());
  EXPECT_THAT(step(ladder, "io_uring, IOPOLL").reason(),
              AllOf(HasSubstr("nvme has 0 poll queues"), HasSubstr("nvme.poll_queues=2")));

  // A loop device does not poll, whatever its file lies on.
  tree.block("loop3", "7:3", "virtual/block/loop3")
      .write("/sys/devices/virtual/block/loop3/loop/backing_file", "/var/image");
  const Ladder loop =
      judge(Site(bare, "/dev/loop3", block_traits(false), 2), Goal::latency, standard_registry());
  EXPECT_THAT(step(loop, "io_uring, IOPOLL").reason(), HasSubstr("loop3 is driven by loop"));

  const std::string virtual_disk = "pci0000:00/virtio1/block/vda";
  tree.block("vda", "254:0", virtual_disk)
      .link("/sys/devices/" + virtual_disk + "/device/driver", "/sys/bus/virtio/drivers/virtio_blk")
      .directory("/sys/bus/virtio/drivers/virtio_blk")
      .write("/sys/module/virtio_blk/parameters/poll_queues", "0")
      .directory("/sys/devices/" + virtual_disk + "/mq/0");
  const auto polling = [&] {
    const Ladder now =
        judge(Site(bare, "/dev/vda", block_traits(false), 2), Goal::latency, standard_registry());
    return step(now, "io_uring, IOPOLL").reason();
  };
  EXPECT_THAT(polling(), AllOf(HasSubstr("one queue"), HasSubstr("QEMU")));
  tree.directory("/sys/devices/" + virtual_disk + "/mq/1");
  EXPECT_THAT(polling(), HasSubstr("boot with virtio_blk.poll_queues=2"));

  TestTree old;
  testing::build_old_machine(old);
  const Machine spinning = machine(old, "core:4 pu:1", testing::every_uring_feature());
  const Ladder disk =
      judge(Site(spinning, "/home/file", file_traits(), 2), Goal::throughput, standard_registry());
  EXPECT_THAT(step(disk, "io_uring, IOPOLL").reason(), HasSubstr("sda is driven by"));
}

TEST(Rungs, RefusedIoUringLeavesThreads) {
  TestTree tree;
  testing::build_bare_metal(tree);
  tree.status("0", "2");
  const Machine container = machine(tree, "core:4 pu:1", refused());
  const Ladder ladder =
      judge(Site(container, "/var/file", file_traits(), 4), Goal::latency, standard_registry());
  for (const char* name : {"io_uring, O_DIRECT", "io_uring, buffered"}) {
    EXPECT_THAT(step(ladder, name).verdict.needs.at(0).lacks, HasSubstr("seccomp")) << name;
  }
  EXPECT_TRUE(step(ladder, "threads, O_DIRECT").verdict.needs.empty());
}

TEST(Rungs, LockedMemoryLimitsRegisteredBuffers) {
  TestTree tree;
  testing::build_old_machine(tree);
  const Machine low = machine(tree, "core:4 pu:1", testing::every_uring_feature());
  const Ladder ladder =
      judge(Site(low, "/home/file", file_traits(), 2), Goal::throughput, standard_registry());
  EXPECT_THAT(step(ladder, "io_uring, registered buffers").reason(),
              AllOf(HasSubstr("64KiB"), HasSubstr("ulimit -l")));
}

TEST(Rungs, NothingInMemoryIsPersistent) {
  TestTree tree;
  testing::build_bare_metal(tree);
  const Machine bare = machine(tree, "core:4 pu:1", testing::every_uring_feature());
  const Ladder ladder =
      judge(Site(bare, "/dev/shm/x", file_traits(), 2), Goal::persistent, standard_registry());
  for (const LadderStep& one : ladder.steps) EXPECT_EQ(one.state, State::never) << one.rung->name;
  EXPECT_THAT(ladder.steps.back().reason(), HasSubstr("tmpfs"));
}

TEST(Rungs, PersistentMemoryAsksForTheMountOption) {
  TestTree tree;
  tree.block("pmem0", "259:5", "LNXSYSTM:00/ndbus0/block/pmem0")
      .queue("LNXSYSTM:00/ndbus0/block/pmem0", "dax", "1")
      .write("/proc/self/mountinfo", "22 1 259:5 / /pmem rw - ext4 /dev/pmem0 rw");
  const Machine bare = machine(tree, "core:4 pu:1", testing::every_uring_feature());
  const Ladder ladder = judge(Site(bare, "/pmem/x", file_traits(), 2), Goal::persistent, standard_registry());
  const LadderStep& dax = step(ladder, "loads and stores (DAX)");
  EXPECT_EQ(dax.state, State::not_built);
  EXPECT_THAT(dax.reason(), HasSubstr("mount -o dax=always /dev/pmem0 /pmem"));
}

TEST(Rungs, DirectIoNeedsAFileSystemThatHasIt) {
  TestTree tree;
  testing::build_bare_metal(tree);
  FileTraits traits = file_traits();
  traits.memory_alignment = traits.offset_alignment = 0;
  const Machine bare = machine(tree, "core:4 pu:1", testing::every_uring_feature());
  const Ladder none = judge(Site(bare, "/dev/shm/x", traits, 2), Goal::portable, standard_registry());
  EXPECT_THAT(step(none, "threads, O_DIRECT").reason(), HasSubstr("tmpfs has no direct I/O"));
  traits = file_traits();
  traits.bytes = 512;
  traits.offset_alignment = 4096;
  const Ladder odd = judge(Site(bare, "/var/x", traits, 2), Goal::portable, standard_registry());
  EXPECT_THAT(step(odd, "threads, O_DIRECT").reason(), HasSubstr("truncate -s %4096 /var/x"));
}

// From here on: this machine, as it is.

/// Runs a task on one shard of this machine.
void run(const std::function<Task<>()>& main, BackendKind backend = BackendKind::automatic) {
  RuntimeOptions options;
  options.shards = 1;
  options.pin = false;
  options.backend = backend;
  Runtime runtime(options);
  const auto wrapped = [](Task<> task) -> Task<Result<>> {
    co_await std::move(task);
    co_return Result<>();
  };
  const Result<> done = runtime.run([&](Shard&) { return wrapped(main()); });
  EXPECT_TRUE(done) << done.error().to_string();
}

/// A file of 1 MiB in the build directory, which is on a disk more often than the temporary one.
class ThisMachine : public ::testing::Test {
 protected:
  ThisMachine() {
    path_ = (std::filesystem::current_path() / "ashlar_ladder_XXXXXX").string();
    const int fd = ::mkstemp(path_.data());
    if (fd < 0 || ::ftruncate(fd, 1 << 20) != 0) std::abort();
    ::close(fd);
  }
  ~ThisMachine() override { std::filesystem::remove(path_); }

  std::string path_;
};

Task<> expect_climb(std::string path) {
  const Machine machine = Machine::here();
  const auto site = co_await look_at(machine, path, 1);
  EXPECT_TRUE(site);
  if (!site) co_return;
  for (std::size_t goal = 0; goal < std::size(goal_names); ++goal) {
    const Ladder ladder = co_await climb(*site, static_cast<Goal>(goal), standard_registry());
    if (static_cast<Goal>(goal) == Goal::persistent && site->mount && site->mount->volatile_memory())
      continue;
    // A file is reached in one way at least, and what was tried says so.
    EXPECT_LT(ladder.chosen, ladder.steps.size()) << goal_names[goal];
    for (const LadderStep& one : ladder.steps) {
      EXPECT_FALSE(one.reason().empty()) << one.rung->name;
      EXPECT_NE(one.state, State::untried) << one.rung->name;
      // Whether a file takes direct I/O is known from Linux 6.1 on, and before that by trying.
      if (site->traits.alignment_from_kernel) {
        EXPECT_NE(one.state, State::failed) << one.rung->name << ": " << one.outcome;
      }
    }
    EXPECT_EQ(step(ladder, "threads, buffered").state, State::works);
    if (machine.uring && goal == 0) {
      EXPECT_EQ(step(ladder, "io_uring, buffered").state, State::works);
    }
  }
}

TEST_F(ThisMachine, EveryRungIsTriedAndNothingIsChanged) {
  const auto written = std::filesystem::last_write_time(path_);
  const auto size = std::filesystem::file_size(path_);
  run([&] { return expect_climb(path_); });
  EXPECT_EQ(std::filesystem::last_write_time(path_), written);
  EXPECT_EQ(std::filesystem::file_size(path_), size);
}

TEST_F(ThisMachine, OnEpollTheRungsOfIoUringSayWhy) {
  const auto main = [](std::string path) -> Task<> {
    const Machine machine = Machine::here();
    const auto site = co_await look_at(machine, path, 1);
    EXPECT_TRUE(site);
    if (!site) co_return;
    const Ladder ladder = co_await climb(*site, Goal::latency, standard_registry());
    EXPECT_EQ(step(ladder, "io_uring, buffered").state, State::would_work);
    EXPECT_THAT(ladder.steps[ladder.chosen].rung->kind, ::testing::AnyOf(std::string("direct"), "mmap"));
  };
  run([&] { return main(path_); }, BackendKind::epoll);
}

Task<> use_auto(std::string spec) {
  auto device = co_await standard_registry().open(spec);
  EXPECT_TRUE(device) << spec;
  if (!device) {
    ADD_FAILURE() << device.error().show(spec);
    co_return;
  }
  EXPECT_FALSE((*device)->notes().empty());
  EXPECT_THAT((*device)->notes(), ::testing::Contains(HasSubstr("auto for ")));
  const auto channel = co_await (*device)->channel();
  EXPECT_TRUE(channel);
  if (channel) {
    const auto buffer = Shard::current().buffers().allocate((*channel)->geometry().block_bytes);
    EXPECT_TRUE(buffer);
    EXPECT_TRUE(co_await (*channel)->write(Lba(1), *buffer));
    EXPECT_TRUE(co_await (*channel)->flush());
    EXPECT_TRUE(co_await (*channel)->read(Lba(1), *buffer));
  }
  co_await (*device)->close();
}

TEST_F(ThisMachine, AutoOpensWhatWorks) {
  for (const char* goal : {"latency", "throughput", "portable", "remote", "control"}) {
    run([&] { return use_auto("auto:" + path_ + "?for=" + goal); });
    run([&] { return use_auto("auto:" + path_ + "?for=" + goal); }, BackendKind::epoll);
  }
}

Task<> expect_refused(std::string spec, Errc code, std::string says) {
  auto device = co_await standard_registry().open(spec);
  EXPECT_FALSE(device) << spec;
  if (device) {
    co_await (*device)->close();
    co_return;
  }
  EXPECT_EQ(device.error().code, code) << device.error().message;
  EXPECT_THAT(device.error().message, HasSubstr(says));
}

TEST_F(ThisMachine, AutoOpensWhatIsClaimedWhereThatIsMeant) {
  const auto loop = testing::LoopDevice::attach(path_, 512);
  if (!loop) GTEST_SKIP() << loop.error().to_string();
  const int claim = ::open(loop->path().c_str(), O_RDONLY | O_EXCL | O_CLOEXEC);
  ASSERT_GE(claim, 0);
  const auto began = std::chrono::steady_clock::now();
  run([&] { return expect_refused("auto:" + loop->path(), Errc::busy, "?in-use"); });
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(3)) << "one rung asks, not each";
  run([&] { return use_auto("auto:" + loop->path() + "?in-use"); });
  ::close(claim);
}

TEST_F(ThisMachine, AutoSaysOneClearThing) {
  run([&] { return expect_refused("auto:/no/such/file", Errc::not_found, "ENOENT"); });
  run([&] { return expect_refused("auto:/", Errc::invalid, "directory"); });
  run([&] { return expect_refused("auto:", Errc::invalid, "path"); });
  run([&] { return expect_refused("auto:" + path_ + "?for=fun", Errc::invalid, "latency|throughput"); });
  std::filesystem::resize_file(path_, 1000);
  run([&] { return expect_refused("auto:" + path_, Errc::invalid, "truncate -s %512 " + path_); });
  std::filesystem::resize_file(path_, 0);
  run([&] { return expect_refused("auto:" + path_, Errc::invalid, "empty file"); });
}

}  // namespace
}  // namespace ashlar
