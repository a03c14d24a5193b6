/// What the conformance suite does not ask: wrong specs and targets, what a geometry is made of, and the
/// order in which requests wait.

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <atomic>
#include <cstdlib>
#include <vector>

#include "ashlar/base/test_allocations.h"
#include "ashlar/base/units.h"
#include "ashlar/block/test_device.h"
#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/ops/test_loop_device.h"
#include "ashlar/runtime/sync/scope.h"
#include "ashlar/transport/file/file_kinds.h"
#include "ashlar/transport/file/file_options.h"

namespace ashlar::testing {
namespace {

using namespace ashlar::literals;

const Registry& kinds() {
  static const Registry registry = [] {
    Registry made;
    made.add(uring_kind());
    made.add(direct_kind());
    made.add(sim_kind());
    return made;
  }();
  return registry;
}

void with(BackendKind backend, const std::string& spec, const DeviceBody& body, unsigned shards = 1) {
  run_real(backend, shards, [&] { return with_device(kinds(), spec, body); });
}

TEST(FileSpecs, PairsThatExcludeEachOtherAreRefusedByName) {
  const TestDirectory directory;
  const std::string file = directory.file("disk", 64_KiB);
  const auto refused = [&](const std::string& options, std::size_t at, const char* says) {
    const std::string spec = "uring:" + file + "?" + options;
    run_real(BackendKind::automatic, 1,
             [&] { return expect_refused(kinds(), spec, Errc::invalid, spec.find('?') + 1 + at, says); });
  };
  refused("sqpoll-idle=5ms", 0, "sqpoll-idle: there is no poller");
  refused("qd=4&sqpoll-cpu=0", 5, "sqpoll-cpu: there is no poller");
  refused("sqpoll&task-run=defer", 7, "sqpoll excludes DEFER_TASKRUN");
  refused("sqpoll&task-run=coop", 7, "sqpoll excludes COOP_TASKRUN");
  refused("task-run=defer&single-issuer=off", 0, "DEFER_TASKRUN needs SINGLE_ISSUER");
  refused("iopoll&direct=off", 0, "only direct I/O");
  refused("block=1536", 0, "a power of two");
  refused("sparse", 0, "create=SIZE");
  refused("create=1MiB&readonly", 0, "stays empty");
  refused("readonly&sync=dsync", 9, "nothing is written");
  refused("direct=maybe", 7, "auto|on|off");
  refused("depth=8", 0, "no option 'depth'");
  refused("qd=0", 3, "1 to 4096");
}

TEST(FileSpecs, APlainSpecRunsWithTheDeclaredDepth) {
  const auto declared = [](auto describe) {
    OptionSet options;
    const auto bound_to = describe(options);
    return options.find("qd")->default_value();
  };
  const auto runs_with = [](const char* spec, FileKind kind) {
    return std::to_string(file_options_of(*parse_spec(spec), kind)->queue_depth);
  };
  EXPECT_EQ(runs_with("uring:/disk", FileKind::uring), declared(describe_file_options<FileKind::uring>));
  EXPECT_EQ(runs_with("direct:/disk", FileKind::direct), declared(describe_file_options<FileKind::direct>));
  EXPECT_EQ(runs_with("sim:disk", FileKind::sim), declared(describe_file_options<FileKind::sim>));
}

TEST(FileSpecs, WrongTargetsAreOneClearError) {
  const TestDirectory directory;
  const std::string odd = directory.file("odd", 1000), empty = directory.file("empty", 0);
  const std::string half = directory.file("half", 10 * 512), pipe = directory / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  for (const char* kind : {"uring:", "direct:"}) {
    const auto refused = [&](const std::string& target, Errc code, const char* says, std::size_t at = 0) {
      const std::string spec = kind + target;
      run_real(BackendKind::automatic, 1,
               [&] { return expect_refused(kinds(), spec, code, at != 0 ? at : spec.find(':') + 1, says); });
    };
    refused("", Errc::invalid, "takes a path");
    refused(directory / "missing", Errc::not_found, "?create=SIZE");
    refused(directory / "missing/file", Errc::not_found, "open");
    refused(odd + "/file", Errc::invalid, "open");
    refused(directory / "", Errc::invalid, "a directory");
    refused(pipe + "?readonly", Errc::invalid, "pipe");
    refused(pipe, Errc::invalid, "pipe");
    refused(empty, Errc::invalid, "at least one block");
    refused(odd, Errc::invalid, "1000 bytes is not whole blocks of 512B");
    refused(half + "?block=4KiB", Errc::invalid, "whole blocks of 4KiB", (kind + half).size() + 1);
    refused("/dev/zero", Errc::invalid, "?size=");
    refused("/dev/null?size=1000", Errc::invalid, "whole blocks");
  }
  run_real(BackendKind::automatic, 1, [&] {
    return expect_refused(kinds(), "sim:disk?size=1MiB", Errc::unsupported, 4, "outside of simulation");
  });
}

TEST(FileSpecs, CreateMakesAFileOnce) {
  const TestDirectory directory;
  const std::string path = directory / "new";
  for (const char* options : {"?create=1MiB", "?create=8MiB&sparse"}) {
    with(BackendKind::automatic, "uring:" + path + options, [](Device& device, Channel&) -> Task<Result<>> {
      EXPECT_EQ(device.geometry().bytes(), 1_MiB);
      EXPECT_EQ(device.geometry().block_bytes, 4096u);
      co_return Result<>{};
    });
  }
  struct stat status{};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(static_cast<std::uint64_t>(status.st_blocks) * 512, 1_MiB) << "its space is reserved";
  with(BackendKind::automatic, "direct:" + (directory / "sparse") + "?create=1GiB&sparse&sync=sync",
       [](Device& device, Channel& channel) -> Task<Result<>> {
         EXPECT_FALSE(device.geometry().write_cache);
         const AlignedMemory memory(4096);
         co_return co_await channel.write(Lba(1000), memory.bytes());
       });
}

TEST(FileGeometry, OfAFile) {
  const TestDirectory directory;
  const std::string whole = directory.file("whole", 64_KiB), half = directory.file("half", 10 * 512);
  with(BackendKind::automatic, "uring:" + whole, [](Device& device, Channel&) -> Task<Result<>> {
    const Geometry geometry = device.geometry();
    EXPECT_EQ(geometry.block_bytes, 4096u);
    EXPECT_EQ(geometry.blocks, 16u);
    EXPECT_TRUE(geometry.persistent && geometry.write_cache && !geometry.read_only);
    co_return Result<>{};
  });
  with(BackendKind::automatic, "uring:" + half + "?direct=off", [](Device& device, Channel& channel) {
    EXPECT_EQ(device.geometry().block_bytes, 512u);
    EXPECT_EQ(device.geometry().memory_alignment, 1u);
    return [](Channel& to) -> Task<Result<>> {
      const AlignedMemory memory(1024);
      CO_TRY(co_await to.read(Lba(9), memory.part(1, 512)));
      EXPECT_EQ(memory.bytes()[1], std::byte{9});
      co_return Result<>{};
    }(channel);
  });
}

Task<Result<>> loop_geometry(Device& device, Channel& channel) {
  const Geometry geometry = device.geometry();
  EXPECT_EQ(geometry.block_bytes, 4096u);
  EXPECT_EQ(geometry.bytes(), 1_MiB);
  EXPECT_GE(geometry.memory_alignment, 512u);
  EXPECT_TRUE(geometry.trim) << "loop devices punch holes";
  const AlignedMemory memory(8192);
  CO_TRY(co_await channel.write(Lba(3), memory.bytes(), {.durable = true}));
  CO_TRY(co_await channel.write_zeroes(Lba(3), 1, {.durable = true}));
  CO_TRY(co_await channel.read(Lba(3), memory.bytes()));
  EXPECT_EQ(memory.bytes()[0], std::byte{0});
  EXPECT_EQ(memory.bytes()[4096], std::byte{0xee});
  CO_TRY(co_await channel.trim(Lba(0), 16));
  co_return co_await channel.flush();
}

TEST(FileGeometry, OfABlockDeviceThatIsClaimedMeanwhile) {
  const TestDirectory directory;
  const auto loop = LoopDevice::attach(directory.file("image", 1_MiB), 4096);
  if (!loop) GTEST_SKIP() << loop.error().to_string();
  for (const BackendKind backend : {BackendKind::automatic, BackendKind::epoll}) {
    with(backend, "uring:" + loop->path(), loop_geometry);
    with(backend, "direct:" + loop->path(), loop_geometry);
    const std::string spec = "uring:" + loop->path() + "?block=512";
    run_real(backend, 1, [&] {
      return expect_refused(kinds(), spec, Errc::invalid, spec.find("block"), "at least 4KiB");
    });
  }
  for (int i = 0; i < 5; ++i)
    with(BackendKind::automatic, "uring:" + loop->path() + "?sqpoll", loop_geometry);
  with(BackendKind::automatic, "uring:" + loop->path(), [&](Device&, Channel&) -> Task<Result<>> {
    co_await expect_refused(kinds(), "uring:" + loop->path(), Errc::busy, 6, "?in-use");
    CO_TRY(co_await with_device(kinds(), "uring:" + loop->path() + "?readonly",
                                [](Device&, Channel&) -> Task<Result<>> { co_return Result<>{}; }));
    co_return co_await with_device(kinds(), "uring:" + loop->path() + "?in-use", loop_geometry);
  });
}

TEST(FileChannels, ACharacterDeviceReadsAndWritesByOffset) {
  for (const char* spec : {"uring:/dev/zero?size=1MiB", "direct:/dev/zero?size=1MiB"}) {
    with(BackendKind::automatic, spec, [](Device& device, Channel& channel) -> Task<Result<>> {
      EXPECT_FALSE(device.geometry().persistent);
      const AlignedMemory memory(8192);
      CO_TRY(co_await channel.write(Lba(2), memory.bytes(), {.durable = true}));
      CO_TRY(co_await channel.read(Lba(2), memory.bytes()));
      EXPECT_EQ(memory.bytes()[8191], std::byte{0});
      CO_TRY(co_await channel.write_zeroes(Lba(0), 256, {.durable = true}));
      EXPECT_EQ((co_await channel.trim(Lba(0), 1)).error().code, Errc::unsupported);
      CO_TRY(co_await device.refresh());
      co_return co_await channel.flush();
    });
  }
}

TEST(FileChannels, MisalignedMemoryIsRefusedWithTheAlignment) {
  const TestDirectory directory;
  for (const char* kind : {"uring:", "direct:"}) {
    with(BackendKind::automatic, kind + directory.file("disk", 64_KiB),
         [](Device&, Channel& channel) -> Task<Result<>> {
           const std::uint32_t alignment = channel.geometry().memory_alignment;
           if (alignment == 1) co_return Result<>{};  // the file system has no direct I/O
           const AlignedMemory memory(8192);
           const Result<> result = co_await channel.read(Lba(3), memory.part(alignment / 2, 4096));
           EXPECT_EQ(result.error().code, Errc::invalid);
           EXPECT_EQ(result.error().offset, 3 * 4096u);
           EXPECT_NE(result.error().to_string().find(std::to_string(alignment)), std::string::npos)
               << result.error().to_string();
           co_return Result<>{};
         });
  }
}

TEST(FileChannels, BounceTakesMemoryOfAnyAlignment) {
  const TestDirectory directory;
  const std::string file = directory.file("disk", 64_KiB);
  for (const char* kind : {"uring:", "direct:"}) {
    with(BackendKind::automatic, kind + file + "?bounce",
         [](Device& device, Channel& channel) -> Task<Result<>> {
           EXPECT_EQ(device.geometry().memory_alignment, 1u);
           const AlignedMemory memory(16384);
           const Segment parts[] = {Channel::segment_of(memory.part(1, 5000)),
                                    Channel::segment_of(memory.part(9001, 3192))};
           CO_TRY(co_await channel.read(Lba(1), parts));
           EXPECT_EQ(memory.bytes()[1], std::byte{8});
           EXPECT_EQ(memory.bytes()[9001 + 3191], std::byte{23});
           CO_TRY(co_await channel.write(Lba(4), parts));
           CO_TRY(co_await channel.read(Lba(4), memory.part(0, 8192)));
           EXPECT_EQ(memory.bytes()[0], std::byte{8});
           EXPECT_EQ(memory.bytes()[8191], std::byte{23});
           co_return Result<>{};
         });
  }
}

Task<Result<>> read_often(Channel& channel, MutableBytes memory, int count) {
  for (int i = 0; i < count; ++i)
    CO_TRY(co_await channel.read(Lba(static_cast<std::uint64_t>(i % 16)), memory));
  for (int i = 0; i < count; ++i)
    CO_TRY(co_await channel.write(Lba(static_cast<std::uint64_t>(i % 16)), memory));
  co_return Result<>{};
}

TEST(FileChannels, ARequestAllocatesNothing) {
  const TestDirectory directory;
  const std::string file = directory.file("disk", 64_KiB);
  with(BackendKind::automatic, "uring:" + file, [](Device&, Channel& channel) -> Task<Result<>> {
    const AlignedMemory memory(4096);
    CO_TRY(co_await read_often(channel, memory.bytes(), 10));
    const std::size_t before = allocations;
    CO_TRY(co_await read_often(channel, memory.bytes(), 1000));
    EXPECT_EQ(allocations, before);
    co_return Result<>{};
  });
}

/// Ends are noted in their order.
struct Waiting : Request {
  std::vector<int>* ended = nullptr;
  int number = 0;
};

TEST(FileChannels, WhatWaitsIsServedByPriorityAndEndsAtItsDeadline) {
  sim::Disk disk;
  run_simulated(1, disk, [](sim::World&) {
    return with_device(kinds(), "sim:disk?size=1MiB&qd=1", [](Device&, Channel& channel) -> Task<Result<>> {
      const AlignedMemory memory(4096);
      const Segment segment = Channel::segment_of(memory.bytes());
      std::vector<int> ended;
      Waiting requests[8];
      const Instant now = Shard::current().now();
      for (int i = 0; i < 8; ++i) {
        Waiting& request = requests[i];
        request.op = Op::read;
        request.data = {&segment, 1};
        request.ended = &ended;
        request.number = i;
        request.complete = [](Request& done) noexcept {
          auto& self = static_cast<Waiting&>(done);
          self.ended->push_back(self.number);
        };
      }
      requests[1].options.priority = requests[2].options.priority = IoPriority::background;
      requests[3].options.priority = requests[4].options.priority = IoPriority::high;
      requests[5].options.deadline = now + std::chrono::microseconds(1);
      requests[6].options.deadline = now + std::chrono::hours(1);
      requests[7].options.deadline = now - std::chrono::microseconds(1);
      for (Waiting& request : requests) channel.submit(request);
      EXPECT_EQ(ended, std::vector{7}) << "too late at once";
      CO_TRY(co_await channel.read(Lba(0), memory.bytes(), {.priority = IoPriority::background}));
      EXPECT_EQ(ended, (std::vector{7, 5, 0, 3, 4, 6, 1, 2}));
      for (const Waiting& request : requests) {
        const bool late = request.number == 5 || request.number == 7;
        EXPECT_EQ(request.result.has_value(), !late) << request.number;
        if (late) EXPECT_EQ(request.result.error().code, Errc::timed_out);
      }
      co_return Result<>{};
    });
  });
}

}  // namespace
}  // namespace ashlar::testing
