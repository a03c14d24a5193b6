/// What goes wrong under an open file or device: each is one error of the requests it hits, with its place;
/// nothing is lost, nothing hangs, and the device learns what became of it.

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cstddef>
#include <cstdlib>
#include <string>
#include <vector>

#include "ashlar/base/units.h"
#include "ashlar/block/test_changes.h"
#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/ops/test_loop_device.h"
#include "ashlar/runtime/sync/scope.h"
#include "ashlar/transport/file/file_kinds.h"

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

struct Way {
  const char* kind;
  const char* options;
  BackendKind backend;
};
void PrintTo(const Way& way, std::ostream* out) {
  *out << way.kind << way.options << (way.backend == BackendKind::epoll ? " on epoll" : "");
}

class FileFaults : public ::testing::TestWithParam<Way> {
 protected:
  void with(const std::string& path, const DeviceBody& body, unsigned shards = 1) {
    const std::string spec = GetParam().kind + path + GetParam().options;
    run_real(GetParam().backend, shards, [&] { return with_device(kinds(), spec, body); });
  }
  TestDirectory directory;
};
INSTANTIATE_TEST_SUITE_P(Ways, FileFaults,
                         ::testing::Values(Way{"uring:", "", BackendKind::automatic},
                                           Way{"uring:", "?qd=4", BackendKind::automatic},
                                           Way{"uring:", "?sqpoll", BackendKind::automatic},
                                           Way{"uring:", "?direct=off", BackendKind::automatic},
                                           Way{"uring:", "", BackendKind::epoll},
                                           Way{"direct:", "", BackendKind::automatic},
                                           Way{"direct:", "?buffered", BackendKind::epoll}));

TEST_P(FileFaults, AFileIsTruncatedUnderIt) {
  const std::string path = directory.file("disk", 1_MiB);
  with(path, [&](Device& device, Channel& channel) -> Task<Result<>> {
    Watcher watcher(channel);
    ManyBlocks blocks(channel, Op::read);
    CO_TRY(co_await use_while_it_shrinks(blocks, 256_KiB, 1,
                                         [&] { ASSERT_EQ(::truncate(path.c_str(), 256_KiB), 0); }));
    co_await until(watcher.resized);
    EXPECT_EQ(device.geometry().bytes(), 256_KiB);
    EXPECT_EQ(watcher.removed, 0);
    const AlignedMemory memory(4096);
    CO_TRY(co_await channel.read(Lba(256_KiB / device.geometry().block_bytes - 8), memory.bytes()));

    // It grows again, which nobody sees before somebody looks.
    EXPECT_EQ(::truncate(path.c_str(), 2_MiB), 0);
    CO_TRY(co_await device.refresh());
    EXPECT_EQ(watcher.resized, 2);
    co_return co_await channel.write(Lba(channel.geometry().blocks - 8),
                                     memory.part(0, channel.geometry().block_bytes));
  });
}

TEST_P(FileFaults, ABlockDeviceShrinksAndGoes) {
  const auto loop = LoopDevice::attach(directory.file("image", 1_MiB), 512);
  if (!loop) GTEST_SKIP() << loop.error().to_string();
  with(
      loop->path(),
      [&](Device& device, Channel& channel) -> Task<Result<>> {
        Watcher watcher(channel);
        ManyBlocks all(channel, Op::read);
        CO_TRY(co_await use_while_it_shrinks(all, 256_KiB, 1, [&] { EXPECT_TRUE(loop->resize(256_KiB)); }));
        co_await until(watcher.resized);
        EXPECT_EQ(device.geometry().bytes(), 256_KiB);

        // No medium is left: requests end, on every shard, and later ones are refused.
        ManyBlocks left(channel, Op::read);
        CO_TRY(co_await use_while_it_shrinks(left, 0, 1, [&] { EXPECT_TRUE(loop->resize(0)); }));
        co_await until(watcher.removed);
        EXPECT_EQ(watcher.removed, 1);
        const AlignedMemory memory(4096);
        const Result<> after = co_await channel.read(Lba(0), memory.bytes());
        EXPECT_FALSE(after);
        EXPECT_FALSE(co_await device.refresh());
        co_await invoke(ShardId(1), [&]() -> Task<> {
          const auto other = co_await device.channel();
          if (other) EXPECT_FALSE(co_await (*other)->flush());
        });
        co_return Result<>{};
      },
      2);
}

/// Writes until there is no space, and some more; what was acknowledged is there.
Task<Result<>> fill_up(Device& device, Channel& channel) {
  const std::uint64_t blocks = device.geometry().blocks;
  const AlignedMemory memory(4096), read(4096);
  std::vector<Lba> written;
  int refused = 0;
  for (std::uint64_t lba = 0; lba < blocks && refused < 20; ++lba) {
    const Result<> result = co_await channel.write(Lba(lba), memory.bytes());
    if (result) {
      written.push_back(Lba(lba));
      continue;
    }
    ++refused;
    EXPECT_EQ(result.error().code, Errc::no_space) << result.error().to_string();
    EXPECT_EQ(result.error().offset, lba * 4096);
  }
  EXPECT_EQ(refused, 20);
  CO_TRY(co_await channel.flush());
  for (const Lba lba : written) {
    CO_TRY(co_await channel.read(lba, read.bytes()));
    EXPECT_TRUE(equal(read.bytes(), memory.bytes())) << lba.value;
  }
  // Space comes back by trimming.
  CO_TRY(co_await channel.trim(Lba(0), written.size()));
  CO_TRY(co_await channel.flush());
  co_return co_await channel.write(Lba(1), memory.bytes(), {.durable = true});
}

TEST_P(FileFaults, TheFileSystemOfASparseFileIsFull) {
  const auto loop = LoopDevice::attach(directory.file("image", 8_MiB), 512);
  if (!loop) GTEST_SKIP() << loop.error().to_string();
  const std::string mountpoint = directory / "mounted";
  ASSERT_EQ(::mkdir(mountpoint.c_str(), 0755), 0);
  if (std::system(("mkfs.ext4 -q -b 4096 " + loop->path() + " >/dev/null 2>&1").c_str()) != 0)
    GTEST_SKIP() << "no mkfs.ext4";
  if (::mount(loop->path().c_str(), mountpoint.c_str(), "ext4", 0, nullptr) != 0)
    GTEST_SKIP() << "this process may not mount";
  {
    const int file = ::open((mountpoint + "/disk").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ASSERT_GE(file, 0);
    ASSERT_EQ(::ftruncate(file, 64_MiB), 0);
    ::close(file);
  }
  with(mountpoint + "/disk", fill_up);
  unmount(mountpoint);
}

TEST(FileFaultsSimulated, AnIoErrorIsThatOfItsRequest) {
  sim::Disk disk;
  run_simulated(1, disk, [](sim::World& world) {
    return with_device(kinds(), "uring:/disk?create=1MiB", [&](Device&, Channel& channel) -> Task<Result<>> {
      const AlignedMemory memory(4096);
      for (const OpCode code : {OpCode::read, OpCode::write, OpCode::discard, OpCode::write_zeroes})
        world.faults().add({.code = code, .path_part = "disk", .nth = 2, .verdict = {.error = EIO}});
      for (const bool fails : {false, true, false}) {
        const auto judge = [fails](const Result<>& result) {
          EXPECT_EQ(result.has_value(), !fails);
          if (result) return;
          EXPECT_EQ(result.error().code, Errc::io) << result.error().to_string();
          EXPECT_EQ(result.error().native, EIO);
          EXPECT_EQ(result.error().offset, 7 * 4096u);
        };
        judge(co_await channel.read(Lba(7), memory.bytes()));
        judge(co_await channel.write(Lba(7), memory.bytes()));
        judge(co_await channel.trim(Lba(7), 2));
        judge(co_await channel.write_zeroes(Lba(7), 2));
      }
      co_return Result<>{};
    });
  });
}

Task<Result<>> flush_on(Device& device, unsigned shard) {
  co_return co_await invoke(ShardId(shard), [&]() -> Task<Result<>> {
    Channel* const channel = CO_TRY(co_await device.channel());
    co_return co_await channel->flush();
  });
}

TEST(FileFaultsSimulated, AFailedFlushIsToldToEveryShardOnce) {
  sim::Disk disk;
  run_simulated(3, disk, [](sim::World& world) {
    return with_device(
        kinds(), "sim:disk?size=1MiB", [&](Device& device, Channel& channel) -> Task<Result<>> {
          for (unsigned shard = 0; shard < 3; ++shard) CO_TRY(co_await flush_on(device, shard));
          world.faults().add(
              {.code = OpCode::data_sync, .nth = 1, .verdict = {.error = EIO, .drop_unsynced = true}});
          Request together[3];
          for (Request& request : together) request.op = Op::flush;
          EXPECT_FALSE(co_await channel.submit(together)) << "one of them, and those that ended after it";
          CO_TRY(co_await channel.flush());
          for (unsigned shard = 1; shard < 3; ++shard) {
            EXPECT_FALSE(co_await flush_on(device, shard)) << shard;
            CO_TRY(co_await flush_on(device, shard));
          }
          co_return co_await flush_on(device, 0);
        });
  });
}

// With RWF_DSYNC the kernel tells the write what else it could not write back, and the next flush nothing.
TEST(FileFaultsSimulated, AFailedDurableWriteFailsTheNextFlushOfEveryShard) {
  sim::Disk disk;
  run_simulated(2, disk, [](sim::World& world) {
    return with_device(kinds(), "sim:disk?size=1MiB",
                       [&](Device& device, Channel& channel) -> Task<Result<>> {
                         for (unsigned shard = 0; shard < 2; ++shard)
                           CO_TRY(co_await flush_on(device, shard));
                         const AlignedMemory memory(4096);
                         world.faults().add({.code = OpCode::write, .nth = 1, .verdict = {.error = EIO}});
                         EXPECT_FALSE(co_await channel.write(Lba(0), memory.bytes(), {.durable = true}));
                         for (unsigned shard = 0; shard < 2; ++shard) {
                           EXPECT_FALSE(co_await flush_on(device, shard)) << shard;
                           CO_TRY(co_await flush_on(device, shard));
                         }
                         CO_TRY(co_await channel.write(Lba(0), memory.bytes(), {.durable = true}));
                         co_return co_await channel.flush();
                       });
  });
}

TEST(FileFaultsSimulated, ZeroesAreWrittenWhereTheFileSystemCannot) {
  sim::Disk disk;
  run_simulated(1, disk, [](sim::World& world) {
    return with_device(kinds(), "sim:disk?size=4MiB", [&](Device&, Channel& channel) -> Task<Result<>> {
      world.faults().add({.code = OpCode::write_zeroes, .verdict = {.error = EOPNOTSUPP}});
      const AlignedMemory memory(1_MiB);
      for (std::uint64_t lba = 0; lba < 1024; lba += 256)
        CO_TRY(co_await channel.write(Lba(lba), memory.bytes()));
      CO_TRY(co_await channel.write_zeroes(Lba(1), 1022, {.durable = true}));
      CO_TRY(co_await channel.read(Lba(0), memory.bytes()));
      EXPECT_EQ(memory.bytes()[4095], std::byte{0xee});
      EXPECT_EQ(memory.bytes()[4096], std::byte{0});
      CO_TRY(co_await channel.read(Lba(768), memory.bytes()));
      EXPECT_EQ(memory.bytes()[255 * 4096 - 1], std::byte{0});
      EXPECT_EQ(memory.bytes()[255 * 4096], std::byte{0xee});
      co_return Result<>{};
    });
  });
}

/// As container runtimes do it.
void forbid_uring() {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{std::size(filter), filter};
  ASSERT_EQ(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  ASSERT_EQ(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

Task<Result<>> writes_and_reads(Channel& channel) {
  BufferPool& pool = Shard::current().buffers();
  const IoBuffer written = CO_TRY(pool.allocate(64_KiB)), read = CO_TRY(pool.allocate(64_KiB));
  std::ranges::fill(written.bytes(), std::byte{0x5a});
  CO_TRY(co_await channel.write(Lba(0), written, {.durable = true}));
  CO_TRY(co_await channel.read(Lba(0), read));
  EXPECT_TRUE(equal(read.bytes(), written.bytes()));
  co_return Result<>{};
}

TEST(FileFallbacks, WithoutIoUringThreadsDoIt) {
  const TestDirectory directory;
  const std::string file = directory.file("disk", 1_MiB);
  run_restricted(forbid_uring, [&] {
    run_real(BackendKind::automatic, 1, [&] {
      return with_device(kinds(), "uring:" + file + "?sqpoll&fixed-buffers",
                         [](Device& device, Channel& channel) -> Task<Result<>> {
                           EXPECT_TRUE(has_note(device, "EPERM")) << device.notes().size();
                           EXPECT_TRUE(has_note(device, "the shard's threads do the I/O"));
                           co_return co_await writes_and_reads(channel);
                         });
    });
  });
}

TEST(FileFallbacks, TooLowAMemlockPinsPerOperation) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to give it up";
  const TestDirectory directory;
  const std::string file = directory.file("disk", 1_MiB);
  ASSERT_EQ(::chmod((directory / "").c_str(), 0755), 0);
  ASSERT_EQ(::chmod(file.c_str(), 0666), 0);
  const auto restrict = [] {
    const rlimit low{1536_KiB, 1536_KiB};  // rings, but no region
    ASSERT_EQ(::setrlimit(RLIMIT_MEMLOCK, &low), 0);
    ASSERT_EQ(::setuid(65534), 0);
  };
  for (const char* options : {"?fixed-buffers", "?fixed-buffers&own-ring"}) {
    run_restricted(restrict, [&] {
      run_real(BackendKind::uring, 1, [&] {
        return with_device(kinds(), "uring:" + file + options,
                           [](Device& device, Channel& channel) -> Task<Result<>> {
                             EXPECT_TRUE(has_note(device, "fixed buffers"));
                             EXPECT_TRUE(has_note(device, "ulimit -l"));
                             co_return co_await writes_and_reads(channel);
                           });
      });
    });
  }
}

/// What the ring pinned must be what stands at the addresses, also after a region went and came back.
TEST(FileFallbacks, FixedBuffersOutliveTheirPool) {
  const TestDirectory directory;
  const std::string file = directory.file("disk", 4_MiB);
  for (const char* options : {"?fixed-buffers", "?fixed-buffers&own-ring"}) {
    run_real(BackendKind::automatic, 1, [&] {
      return with_device(kinds(), "uring:" + file + options, [](Device&, Channel& channel) -> Task<Result<>> {
        for (int round = 0; round < 4; ++round) {
          const IoBuffer buffer = CO_TRY(Shard::current().buffers().allocate(2_MiB));
          std::ranges::fill(buffer.bytes(), static_cast<std::byte>(round));
          CO_TRY(co_await channel.write(Lba(0), buffer));
          const AlignedMemory read(2_MiB);
          CO_TRY(co_await channel.read(Lba(0), read.bytes()));
          EXPECT_TRUE(equal(read.bytes(), buffer.bytes())) << round;
        }
        co_return Result<>{};
      });
    });
  }
}

TEST(FileFallbacks, WhatAFileDoesNotTakeIsSaid) {
  const TestDirectory directory;
  const std::string half = directory.file("half", 4096 + 512), whole = directory.file("whole", 64_KiB);
  run_real(BackendKind::automatic, 1, [&] {
    return with_device(kinds(), "uring:" + whole + "?iopoll",
                       [](Device& device, Channel& channel) -> Task<Result<>> {
                         EXPECT_EQ(device.geometry().poll, !has_note(device, "IOPOLL"));
                         co_return co_await writes_and_reads(channel);
                       });
  });
  // Where direct I/O wants more than 512 bytes, the file is too short for it.
  run_real(BackendKind::automatic, 1, [&] {
    return with_device(kinds(), "uring:" + half, [](Device& device, Channel& channel) -> Task<Result<>> {
      EXPECT_EQ(has_note(device, "page cache"), device.geometry().memory_alignment == 1);
      const AlignedMemory memory(512);
      co_return co_await channel.read(Lba(8), memory.bytes());
    });
  });
}

}  // namespace
}  // namespace ashlar::testing
