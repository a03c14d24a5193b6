/// What goes wrong under a device is the same whatever reaches it: each transport refuses in the same words,
/// ends what is in flight with errors that say where, and learns what became of the device.

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "ashlar/base/units.h"
#include "ashlar/block/test_changes.h"
#include "ashlar/device/standard_registry.h"
#include "ashlar/runtime/ops/test_loop_device.h"

namespace ashlar::testing {
namespace {

using namespace ashlar::literals;

struct Way {
  const char* name;
  const char* kind;
  BackendKind backend;
};
void PrintTo(const Way& way, std::ostream* out) {
  *out << way.name;
}

class DeviceFaults : public ::testing::TestWithParam<Way> {
 protected:
  std::string spec(const std::string& target) const { return GetParam().kind + target; }
  void with(const std::string& target, const DeviceBody& body) {
    run_real(GetParam().backend, 1, [&] { return with_device(standard_registry(), spec(target), body); });
  }
  void refused(const std::string& target, Errc code, const char* says) {
    run_real(GetParam().backend, 1, [&] {
      return expect_refused(standard_registry(), spec(target), code, std::strlen(GetParam().kind), says);
    });
  }
  TestDirectory directory;
};
INSTANTIATE_TEST_SUITE_P(Ways, DeviceFaults,
                         ::testing::Values(Way{"uring", "uring:", BackendKind::automatic},
                                           Way{"uring_on_epoll", "uring:", BackendKind::epoll},
                                           Way{"direct", "direct:", BackendKind::automatic},
                                           Way{"mmap", "mmap:", BackendKind::automatic},
                                           Way{"mmap_on_epoll", "mmap:", BackendKind::epoll},
                                           Way{"automatic", "auto:", BackendKind::automatic}),
                         [](const auto& test) { return std::string(test.param.name); });

Task<Result<>> only_reads(Channel& channel) {
  EXPECT_TRUE(channel.geometry().read_only);
  const AlignedMemory memory(4096);
  CO_TRY(co_await channel.read(Lba(1), memory.bytes()));
  EXPECT_EQ(memory.bytes()[0], std::byte{8});
  const Result<> written = co_await channel.write(Lba(1), memory.bytes());
  EXPECT_EQ(written.error().code, Errc::permission);
  co_return Result<>{};
}

TEST_P(DeviceFaults, WithoutTheRightToWriteReadonlyIsProposed) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to give it up";
  const std::string file = directory.file("disk", 64_KiB), secret = directory.file("secret", 64_KiB);
  ASSERT_EQ(::chmod((directory / "").c_str(), 0755), 0);
  ASSERT_EQ(::chmod(file.c_str(), 0644), 0);
  ASSERT_EQ(::chmod(secret.c_str(), 0600), 0);
  run_restricted([] { ASSERT_EQ(::setuid(65534), 0); },
                 [&] {
                   refused(file, Errc::permission, "?readonly");
                   refused(secret + "?readonly", Errc::permission, "EACCES");
                   with(file + "?readonly", [](Device&, Channel& channel) { return only_reads(channel); });
                 });
}

TEST_P(DeviceFaults, WhatIsInFlightEndsWhenAFileShrinks) {
  const std::string file = directory.file("disk", 1_MiB);
  const auto shrink = [&] { ASSERT_EQ(::truncate(file.c_str(), 256_KiB), 0); };
  const bool mapped = std::strcmp(GetParam().kind, "mmap:") == 0;
  for (const Op op : {Op::read, Op::write}) {
    if (op == Op::write && !mapped) continue;
    ASSERT_EQ(::truncate(file.c_str(), 1_MiB), 0);
    with(file, [&](Device& device, Channel& channel) -> Task<Result<>> {
      Watcher watcher(channel);
      ManyBlocks blocks(channel, op);
      CO_TRY(co_await use_while_it_shrinks(blocks, 256_KiB, 1, shrink));
      co_await until(watcher.resized);
      EXPECT_EQ(device.geometry().bytes(), 256_KiB);
      EXPECT_EQ(watcher.removed, 0);
      const AlignedMemory memory(4096);
      co_return co_await channel.read(Lba(256_KiB / 4096 - 1), memory.bytes());
    });
  }
}

/// A block device over a sparse file, large enough that its pages are not all in memory before it changes.
class Disk {
 public:
  explicit Disk(const TestDirectory& directory, std::uint64_t bytes)
      : image_(directory.file("image", 0)), loop_(attach(image_, bytes)) {}
  const Result<LoopDevice>& loop() const noexcept { return loop_; }
  const std::string& path() const noexcept { return loop_->path(); }
  const std::string& image() const noexcept { return image_; }
  void resize(std::uint64_t bytes) const { ASSERT_TRUE(loop_->resize(bytes)); }
  /// The last that the machine knows of it, but for those who have it open.
  void unplug() {
    ASSERT_EQ(::unlink(image_.c_str()), 0);
    ASSERT_TRUE(loop_->detach());
  }

 private:
  static Result<LoopDevice> attach(const std::string& image, std::uint64_t bytes) {
    if (::truncate(image.c_str(), static_cast<off_t>(bytes)) != 0) return fail_errno(errno, "truncate");
    return LoopDevice::attach(image, 512);
  }

  const std::string image_;
  Result<LoopDevice> loop_;
};

constexpr std::uint64_t every_mebibyte = 2048;  // of blocks of 512 bytes

// A mapping goes on to show what is in memory: it notices at the pages that are not, hence so many.
TEST_P(DeviceFaults, WhatIsInFlightEndsWhenABlockDeviceShrinks) {
  const Disk disk(directory, 512_MiB);
  if (!disk.loop()) GTEST_SKIP() << disk.loop().error().to_string();
  with(disk.path(), [&](Device& device, Channel& channel) -> Task<Result<>> {
    Watcher watcher(channel);
    ManyBlocks blocks(channel, Op::read, every_mebibyte);
    CO_TRY(co_await use_while_it_shrinks(blocks, 256_KiB, 0, [&] { disk.resize(256_KiB); }));
    co_await until(watcher.resized);
    EXPECT_EQ(device.geometry().bytes(), 256_KiB);
    EXPECT_EQ(watcher.removed, 0);
    const AlignedMemory memory(4096);
    co_return co_await channel.read(Lba(256_KiB / 512 - 8), memory.bytes());
  });
}

TEST_P(DeviceFaults, WhatIsInFlightEndsWhenABlockDeviceGoes) {
  const Disk disk(directory, 512_MiB);
  if (!disk.loop()) GTEST_SKIP() << disk.loop().error().to_string();
  with(disk.path(), [&](Device& device, Channel& channel) -> Task<Result<>> {
    Watcher watcher(channel);
    ManyBlocks blocks(channel, Op::read, every_mebibyte);
    CO_TRY(co_await use_while_it_shrinks(blocks, 0, 0, [&] { disk.resize(0); }));
    co_await until(watcher.removed);
    EXPECT_EQ(watcher.removed, 1);
    const AlignedMemory memory(4096);
    EXPECT_FALSE(co_await channel.read(Lba(0), memory.bytes()));
    EXPECT_FALSE(co_await channel.flush());
    EXPECT_FALSE(co_await device.refresh());
    co_return Result<>{};
  });
}

// The kernel keeps both the device and the file for those who have them open: I/O goes on to the end.
TEST_P(DeviceFaults, ABlockDeviceThatIsDetachedServesWhoHasItOpen) {
  Disk disk(directory, 64_MiB);
  if (!disk.loop()) GTEST_SKIP() << disk.loop().error().to_string();
  with(disk.path(), [&](Device& device, Channel& channel) -> Task<Result<>> {
    Watcher watcher(channel);
    for (const Op op : {Op::read, Op::write, Op::read}) {
      ManyBlocks blocks(channel, op, every_mebibyte / 8);
      IoBatch batch = blocks.submit();
      if (::access(disk.image().c_str(), F_OK) == 0) disk.unplug();
      CO_TRY(co_await batch);
    }
    CO_TRY(co_await device.refresh());
    EXPECT_EQ(watcher.removed, 0);
    co_return co_await channel.flush();
  });
}

TEST_P(DeviceFaults, ABlockDeviceThatGrewIsUsedToItsLastBlockOnceAsked) {
  const Disk disk(directory, 1_MiB);
  if (!disk.loop()) GTEST_SKIP() << disk.loop().error().to_string();
  with(disk.path(), [&](Device& device, Channel& channel) -> Task<Result<>> {
    Watcher watcher(channel);
    disk.resize(4_MiB);
    const AlignedMemory written(4096), read(4096);
    const Lba last(4_MiB / 512 - 8);
    EXPECT_EQ((co_await channel.read(last, read.bytes())).error().code, Errc::invalid) << "nobody watches";
    EXPECT_EQ(watcher.resized, 0);
    CO_TRY(co_await device.refresh());
    EXPECT_EQ(watcher.resized, 1);
    EXPECT_EQ(device.geometry().bytes(), 4_MiB);
    CO_TRY(co_await channel.write(last, written.bytes(), {.durable = true}));
    CO_TRY(co_await channel.read(last, read.bytes()));
    EXPECT_TRUE(equal(read.bytes(), written.bytes()));
    co_return co_await channel.flush();
  });
}

}  // namespace
}  // namespace ashlar::testing
