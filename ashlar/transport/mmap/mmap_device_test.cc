/// What the conformance suite does not ask of mapped files: views, private mappings, pages that cannot be
/// read, files that change under the mapping.

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "ashlar/base/units.h"
#include "ashlar/block/test_changes.h"
#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/ops/test_file.h"
#include "ashlar/runtime/ops/test_loop_device.h"
#include "ashlar/transport/mmap/mmap_device.h"

namespace ashlar::testing {
namespace {

using namespace ashlar::literals;

const Registry& kinds() {
  static const Registry registry = [] {
    Registry made;
    made.add(mmap_kind());
    return made;
  }();
  return registry;
}

class MmapTest : public ::testing::TestWithParam<BackendKind> {
 protected:
  void with(const std::string& target, const DeviceBody& body, unsigned shards = 1) {
    run_real(GetParam(), shards, [&] { return with_device(kinds(), "mmap:" + target, body); });
  }
  void refused(const std::string& target, Errc code, const char* says, std::size_t at = 5) {
    run_real(GetParam(), 1, [&] { return expect_refused(kinds(), "mmap:" + target, code, at, says); });
  }
  TestDirectory directory;
};
INSTANTIATE_TEST_SUITE_P(Backends, MmapTest, ::testing::Values(BackendKind::automatic, BackendKind::epoll),
                         [](const auto& test) {
                           return std::string(test.param == BackendKind::epoll ? "epoll" : "automatic");
                         });

char byte_of(const std::string& path, std::uint64_t at) {
  std::ifstream in(path, std::ios::binary);
  in.seekg(static_cast<std::streamoff>(at));
  return static_cast<char>(in.get());
}

TEST_P(MmapTest, WrongTargetsAreOneClearError) {
  refused("", Errc::invalid, "takes a path");
  refused(directory / "missing", Errc::not_found, "open");
  refused(directory / "", Errc::invalid, "takes a file");
  refused("/dev/zero", Errc::invalid, "takes a file");
  refused(directory.file("empty", 0), Errc::invalid, "at least one block");
  refused(directory.file("odd", 1000), Errc::invalid, "not whole blocks of 512B");
  refused(directory.file("half", 512) + "?block=4KiB", Errc::invalid, "not whole blocks of 4KiB");
  const std::string pipe = directory / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  refused(pipe, Errc::invalid, "takes a file");
}

TEST_P(MmapTest, AViewIsTheFileItself) {
  const std::string path = directory.file("disk", 64_KiB);
  with(path + "?block=512", [&](Device& device, Channel& channel) -> Task<Result<>> {
    MappedView view = CO_TRY(co_await device.map(Lba(9), 20, MapMode::read_write));  // not at a page
    EXPECT_EQ(view.bytes().size(), 20 * 512u);
    EXPECT_EQ(view.bytes()[0], std::byte{9});
    const AlignedMemory memory(512);
    CO_TRY(co_await channel.write(Lba(10), memory.bytes()));
    EXPECT_EQ(view.bytes()[512], std::byte{0xee}) << "no copy";
    view.bytes()[1024] = std::byte{0x77};
    CO_TRY(co_await channel.read(Lba(11), memory.bytes()));
    EXPECT_EQ(memory.bytes()[0], std::byte{0x77});
    CO_TRY(co_await view.persist(1024, 1));
    EXPECT_EQ((co_await view.persist(20 * 512, 1)).error().code, Errc::invalid);
    EXPECT_EQ((co_await view.persist(1, ~std::uint64_t{0})).error().code, Errc::invalid);
    CO_TRY(view.ok());
    co_await view.release();

    MappedView copy = CO_TRY(co_await device.map(Lba(0), 8, MapMode::private_copy));
    copy.bytes()[0] = std::byte{0x55};
    EXPECT_EQ((co_await copy.persist(0, 1)).error().code, Errc::unsupported);
    CO_TRY(co_await channel.read(Lba(0), memory.bytes()));
    EXPECT_EQ(memory.bytes()[0], std::byte{0});
    co_await copy.release();

    EXPECT_EQ((co_await device.map(Lba(120), 9, MapMode::read_only)).error().code, Errc::invalid);
    EXPECT_EQ((co_await device.map(Lba(~std::uint64_t{0}), 2, MapMode::read_only)).error().code,
              Errc::invalid);
    EXPECT_EQ((co_await device.map(Lba(0), 0, MapMode::read_only)).error().code, Errc::invalid);
    co_return Result<>{};
  });
}

TEST_P(MmapTest, AClaimKeepsOthersOut) {
  const std::string path = directory.file("disk", 64_KiB);
  with(path, [&](Device& device, Channel&) -> Task<Result<>> {
    CO_TRY(co_await device.claim());
    CO_TRY(co_await device.claim());
    co_return co_await with_device(kinds(), "mmap:" + path, [](Device& other, Channel&) -> Task<Result<>> {
      const Result<> claimed = co_await other.claim();
      EXPECT_FALSE(claimed);
      if (!claimed) EXPECT_EQ(claimed.error().code, Errc::busy);
      co_return Result<>{};
    });
  });
  with(path, [](Device& device, Channel&) { return device.claim(); });
}

TEST_P(MmapTest, APrivateDeviceKeepsItsWritesToItself) {
  const std::string path = directory.file("disk", 64_KiB);
  with(
      path + "?private",
      [&](Device& device, Channel& channel) -> Task<Result<>> {
        EXPECT_FALSE(device.geometry().persistent || device.geometry().mappable);
        const AlignedMemory memory(4096);
        CO_TRY(co_await channel.write(Lba(2), memory.bytes(), {.durable = true}));
        CO_TRY(co_await channel.write_zeroes(Lba(3), 1));
        CO_TRY(co_await channel.flush());
        co_return co_await invoke(ShardId(1), [&]() -> Task<Result<>> {
          Channel* const other = CO_TRY(co_await device.channel());
          const AlignedMemory read(8192);
          CO_TRY(co_await other->read(Lba(2), read.bytes()));
          EXPECT_EQ(read.bytes()[0], std::byte{0xee}) << "all shards see one copy";
          EXPECT_EQ(read.bytes()[4096], std::byte{0});
          co_return Result<>{};
        });
      },
      2);
  EXPECT_EQ(byte_of(path, 2 * 4096), 16);
}

TEST_P(MmapTest, ReadonlyIsReadOnly) {
  const std::string path = directory.file("disk", 64_KiB);
  with(path + "?readonly", [&](Device& device, Channel& channel) -> Task<Result<>> {
    const AlignedMemory memory(4096);
    CO_TRY(co_await channel.read(Lba(1), memory.bytes()));
    EXPECT_EQ(memory.bytes()[0], std::byte{8});
    EXPECT_EQ((co_await channel.write(Lba(1), memory.bytes())).error().code, Errc::permission);
    EXPECT_EQ((co_await device.map(Lba(0), 1, MapMode::read_write)).error().code, Errc::permission);
    MappedView view = CO_TRY(co_await device.map(Lba(0), 1, MapMode::read_only));
    EXPECT_EQ(view.bytes()[512], std::byte{1});
    co_await view.release();
    co_return co_await channel.flush();
  });
}

TEST_P(MmapTest, ATruncatedFileFailsRequestsAndMarksViews) {
  const std::string path = directory.file("disk", 1_MiB);
  with(path, [&](Device& device, Channel& channel) -> Task<Result<>> {
    Watcher watcher(channel);
    MappedView view = CO_TRY(co_await device.map(Lba(0), 256, MapMode::read_only));
    EXPECT_EQ(::truncate(path.c_str(), 256_KiB), 0);
    const AlignedMemory memory(8192);
    for (const std::uint64_t lba : {64, 100, 255}) {
      for (const Op op : {Op::read, Op::write}) {
        const auto at = Lba(lba);
        const auto part = memory.part(0, 4096);
        const Result<> result = co_await (op == Op::read ? channel.read(at, part) : channel.write(at, part));
        EXPECT_FALSE(result) << lba;
        if (result) continue;
        EXPECT_EQ(result.error().offset, lba * 4096);
        EXPECT_TRUE(result.error().code == Errc::io || result.error().code == Errc::invalid)
            << result.error().to_string();
      }
    }
    CO_TRY(co_await channel.read(Lba(62), memory.bytes()));
    EXPECT_TRUE(view.ok());
    EXPECT_EQ(view.bytes()[300_KiB], std::byte{0}) << "zeroes, and no signal";
    EXPECT_FALSE(view.ok());
    co_await view.release();

    co_await until(watcher.resized);
    EXPECT_EQ(device.geometry().bytes(), 256_KiB);
    EXPECT_EQ(::truncate(path.c_str(), 2_MiB), 0);
    CO_TRY(co_await device.refresh());
    EXPECT_EQ(device.geometry().bytes(), 2_MiB);
    for (const std::uint64_t lba : {63, 64, 255, 256, 511}) {
      CO_TRY(co_await channel.write(Lba(lba), memory.part(0, 4096), {.durable = true}));
      CO_TRY(co_await channel.read(Lba(lba), memory.part(4096, 4096)));
      EXPECT_EQ(memory.bytes()[8191], memory.bytes()[4095]);
    }
    CO_TRY(co_await channel.read(Lba(254), memory.bytes()));
    co_return co_await channel.flush();
  });
}

/// A page goes between the look at it and its use: what was mapped is replaced, and used again.
TEST_P(MmapTest, AMappingThatLostAPageIsReplaced) {
  const std::string path = directory.file("disk", 1_MiB);
  with(path, [&](Device& device, Channel& channel) -> Task<Result<>> {
    const AlignedMemory memory(512_KiB);
    for (int round = 0; round < 20; ++round) {
      EXPECT_EQ(::truncate(path.c_str(), 0), 0);
      static_cast<void>(co_await channel.read(Lba(128), memory.bytes()));
      EXPECT_EQ(::truncate(path.c_str(), 1_MiB), 0);
      CO_TRY(co_await device.refresh());
      CO_TRY(co_await channel.read(Lba(128), memory.bytes()));
      EXPECT_EQ(memory.bytes()[0], std::byte{0});
    }
    co_return Result<>{};
  });
}

TEST(MmapSimulated, AFlushedRangeOutlivesAPowerCutByItself) {
  sim::Disk disk;
  run_simulated(1, disk, [](sim::World&) { return make_file("/disk", 64_KiB); });
  run_simulated(1, disk, [](sim::World& world) {
    return with_device(kinds(), "mmap:/disk", [&world](Device&, Channel& channel) -> Task<Result<>> {
      const AlignedMemory memory(8192);
      CO_TRY(co_await channel.write(Lba(4), memory.bytes()));
      CO_TRY(co_await channel.flush(Lba(5), 1));
      world.environment().cut_power();
      co_return Result<>{};
    });
  });
  run_simulated(1, disk, [](sim::World&) {
    return with_device(kinds(), "mmap:/disk", [](Device&, Channel& channel) -> Task<Result<>> {
      const AlignedMemory found(8192);
      CO_TRY(co_await channel.read(Lba(4), found.bytes()));
      EXPECT_TRUE(equal(found.part(4096, 4096), AlignedMemory(4096).bytes())) << "flushed, and lost";
      EXPECT_EQ(found.bytes()[0], std::byte{0}) << "nobody flushed it: so the range was flushed, not all";
      co_return Result<>{};
    });
  });
}

TEST_P(MmapTest, ABlockDeviceIsMappedToo) {
  const std::string image = directory.file("image", 1_MiB);
  const auto loop = LoopDevice::attach(image, 512);
  if (!loop) GTEST_SKIP() << loop.error().to_string();
  with(loop->path(), [&](Device& device, Channel& channel) -> Task<Result<>> {
    EXPECT_EQ(device.geometry().block_bytes, 512u);
    const AlignedMemory memory(4096);
    CO_TRY(co_await channel.read(Lba(9), memory.bytes()));
    EXPECT_EQ(memory.bytes()[0], std::byte{9});
    std::ranges::fill(memory.bytes(), std::byte{0x42});
    CO_TRY(co_await channel.write(Lba(16), memory.bytes(), {.durable = true}));
    EXPECT_EQ(byte_of(image, 16 * 512), 0x42);
    if (device.geometry().trim) CO_TRY(co_await channel.trim(Lba(16), 8));
    CO_TRY(co_await channel.write_zeroes(Lba(32), 8, {.durable = true}));
    EXPECT_EQ(byte_of(image, 32 * 512), 0);

    Watcher watcher(channel);
    EXPECT_TRUE(loop->resize(0));
    EXPECT_FALSE(co_await device.refresh());
    EXPECT_EQ(watcher.removed, 1);
    EXPECT_EQ((co_await channel.read(Lba(0), memory.bytes())).error().code, Errc::closed);
    co_return Result<>{};
  });
}

TEST_P(MmapTest, TheFileSystemOfASparseFileIsFull) {
  const auto loop = LoopDevice::attach(directory.file("image", 8_MiB), 512);
  if (!loop) GTEST_SKIP() << loop.error().to_string();
  const std::string mountpoint = directory / "mounted";
  ASSERT_EQ(::mkdir(mountpoint.c_str(), 0755), 0);
  if (std::system(("mkfs.ext4 -q -b 4096 " + loop->path() + " >/dev/null 2>&1").c_str()) != 0)
    GTEST_SKIP() << "no mkfs.ext4";
  if (::mount(loop->path().c_str(), mountpoint.c_str(), "ext4", 0, nullptr) != 0)
    GTEST_SKIP() << "this process may not mount";
  std::ofstream(mountpoint + "/disk");
  ASSERT_EQ(::truncate((mountpoint + "/disk").c_str(), 64_MiB), 0);
  with(mountpoint + "/disk", [](Device&, Channel& channel) -> Task<Result<>> {
    const AlignedMemory memory(4096), read(4096);
    std::vector<Lba> written;
    int refused = 0;
    for (std::uint64_t lba = 0; lba < channel.geometry().blocks && refused < 5; ++lba) {
      const Result<> result = co_await channel.write(Lba(lba), memory.bytes());
      if (result) {
        written.push_back(Lba(lba));
        continue;
      }
      ++refused;
      EXPECT_EQ(result.error().code, Errc::no_space) << result.error().to_string();
      EXPECT_EQ(result.error().offset, lba * 4096);
    }
    EXPECT_EQ(refused, 5);
    CO_TRY(co_await channel.flush());
    for (const Lba lba : written) {
      CO_TRY(co_await channel.read(lba, read.bytes()));
      EXPECT_TRUE(equal(read.bytes(), memory.bytes())) << lba.value;
    }
    co_return Result<>{};
  });
  unmount(mountpoint);
}

}  // namespace
}  // namespace ashlar::testing
