/// What block devices are built on: ranges of files and devices, their traits, and files as memory.

#include <fcntl.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "ashlar/base/units.h"
#include "ashlar/runtime/ops/conformance.h"
#include "ashlar/runtime/ops/mapping.h"
#include "ashlar/runtime/ops/test_loop_device.h"

namespace ashlar {
namespace {

using namespace ashlar::literals;
using testing::random_text;
using testing::writable;

constexpr int create = O_RDWR | O_CREAT | O_TRUNC;

class DeviceConformance : public testing::Conformance {};

Task<Result<std::string>> read_text(const File& file, std::size_t bytes, std::uint64_t offset) {
  std::string text(bytes, '?');
  text.resize(CO_TRY(co_await file.read(writable(text), offset)));
  co_return text;
}

/// Memory as direct I/O wants it.
struct alignas(4096) Pages {
  std::array<std::byte, 64_KiB> bytes;
  std::string_view text() const { return as_text(bytes); }
};
std::unique_ptr<Pages> pages_of(const std::string& text) {
  auto pages = std::make_unique<Pages>();
  std::memcpy(pages->bytes.data(), text.data(), std::min(text.size(), pages->bytes.size()));
  return pages;
}

TEST_P(DeviceConformance, DiscardsARangeOfAFile) {
  run([](std::string name) -> Task<Result<>> {
    File file = CO_TRY(co_await File::open(name, create));
    const std::string text = random_text(1_MiB, 1);
    CO_TRY(co_await file.write(as_bytes(text), 0));
    const Result<> discarded = co_await file.discard(100'000, 300'000);
    if (!discarded && discarded.error().code == Errc::unsupported) co_return Result<>{};  // the file system
    CO_TRY(Result<>(discarded));
    EXPECT_EQ(CO_TRY(file.bytes()), 1_MiB) << "the size stays";
    EXPECT_TRUE(CO_TRY(co_await read_text(file, 1_MiB, 0)) ==
                text.substr(0, 100'000) + std::string(300'000, '\0') + text.substr(400'000));
    CO_TRY(co_await file.write(as_bytes("again"), 200'000));
    EXPECT_EQ(CO_TRY(co_await read_text(file, 5, 200'000)), "again");
    CO_TRY(co_await file.discard(900'000, 10_MiB));
    EXPECT_EQ(CO_TRY(file.bytes()), 1_MiB) << "nor does it grow";
    EXPECT_FAILS(Errc::invalid, co_await file.discard(0, 0));
    const File reader = CO_TRY(co_await File::open(name, O_RDONLY));
    EXPECT_FAILS(Errc::invalid, co_await reader.discard(0, 4_KiB));
    EXPECT_EQ(CO_TRY(co_await read_text(file, 100, 0)), text.substr(0, 100));
    co_return co_await file.close();
  }(path("file")));
}

TEST_P(DeviceConformance, WritesZeroesWithoutATransferOrSaysThatItCannot) {
  run([](std::string name) -> Task<Result<>> {
    File file = CO_TRY(co_await File::open(name, create));
    const std::string text = random_text(1_MiB, 2);
    CO_TRY(co_await file.write(as_bytes(text), 0));
    const Result<> written = co_await file.write_zeroes(64_KiB, 512_KiB);
    if (!written) {
      EXPECT_EQ(written.error().code, Errc::unsupported) << written.error().to_string();
      EXPECT_TRUE(CO_TRY(co_await read_text(file, 1_MiB, 0)) == text) << "then nothing has changed";
      co_return Result<>{};
    }
    CO_TRY(co_await file.sync());
    EXPECT_TRUE(CO_TRY(co_await read_text(file, 1_MiB, 0)) ==
                text.substr(0, 64_KiB) + std::string(512_KiB, '\0') + text.substr(576_KiB));
    EXPECT_EQ(CO_TRY(file.bytes()), 1_MiB);
    co_return co_await file.close();
  }(path("file")));
}

TEST_P(DeviceConformance, TakesHints) {
  run([](std::string name) -> Task<Result<>> {
    const File file = CO_TRY(co_await File::open(name, create));
    CO_TRY(co_await file.write(as_bytes("hint"), 0));
    for (const int advice : {POSIX_FADV_SEQUENTIAL, POSIX_FADV_WILLNEED, POSIX_FADV_DONTNEED})
      CO_TRY(co_await file.advise(0, 0, advice));

    struct Urgent : ReadAwaiter {
      Urgent(const File& from, MutableBytes into, std::uint16_t how)
          : ReadAwaiter(from.handle(), into, 0, 0) {
        priority = how;
      }
    };
    // Classes: idle, best effort; real time, which is for the privileged and otherwise ignored.
    for (const std::uint16_t how : {io_priority_idle, io_priority_best_effort(0), std::uint16_t{1u << 13}}) {
      std::string text(4, '?');
      EXPECT_EQ(CO_TRY(co_await Urgent(file, writable(text), how)), 4u);
      EXPECT_EQ(text, "hint");
    }
    co_return Result<>{};
  }(path("file")));
}

TEST_P(DeviceConformance, EndsWhereAFileThatShrankEnds) {
  run([](std::string name) -> Task<Result<>> {
    const File file = CO_TRY(co_await File::open(name, create));
    CO_TRY(co_await file.write(as_bytes(random_text(1_MiB, 3)), 0));
    CO_TRY(co_await file.resize(5'000));
    std::string a(4'096, '?'), b(100'000, '?');
    std::vector<iovec> into = {{a.data(), a.size()}, {b.data(), b.size()}};
    EXPECT_EQ(CO_TRY(co_await file.read(into, 0)), 5'000u);
    into = {{a.data(), a.size()}, {b.data(), b.size()}};
    EXPECT_EQ(CO_TRY(co_await file.read(into, 500'000)), 0u);
    co_return Result<>{};
  }(path("file")));
}

TEST_P(DeviceConformance, DescribesAFile) {
  run([](std::string name, std::string directory) -> Task<Result<>> {
    File file = CO_TRY(co_await File::open(name, create));
    CO_TRY(co_await file.resize(12'345));
    FileTraits traits = CO_TRY(file.describe());
    EXPECT_EQ(traits.kind, FileTraits::Kind::regular);
    EXPECT_EQ(traits.bytes, 12'345u);
    EXPECT_FALSE(traits.read_only);
    EXPECT_GE(traits.logical_block_bytes, 512u);
    EXPECT_GE(traits.physical_block_bytes, traits.logical_block_bytes);
    if (traits.offset_alignment != 0) {
      EXPECT_EQ(4_KiB % traits.offset_alignment, 0u);
      EXPECT_GT(traits.memory_alignment, 0u);
    }
    CO_TRY(co_await file.close());
    EXPECT_FAILS(Errc::invalid, file.describe());
    file = CO_TRY(co_await File::open(name, O_RDONLY));
    EXPECT_TRUE(CO_TRY(file.describe()).read_only);
    file = CO_TRY(co_await File::open(directory, O_RDONLY));
    EXPECT_EQ(CO_TRY(file.describe()).kind, FileTraits::Kind::other);
    co_return Result<>{};
  }(path("file"), directory()));
}

TEST_P(DeviceConformance, MapsAFile) {
  run([](std::string name) -> Task<Result<>> {
    File file = CO_TRY(co_await File::open(name, create));
    const std::string text = random_text(100'000, 4);
    CO_TRY(co_await file.write(as_bytes(text), 0));
    EXPECT_FAILS(Errc::invalid, Mapping::map(file, 0, 100'001));
    EXPECT_FAILS(Errc::invalid, Mapping::map(file, 200_KiB, 1));
    EXPECT_FAILS(Errc::invalid, Mapping::map(file, 100, 1'000));
    EXPECT_FAILS(Errc::invalid, Mapping::map(file, 0, 0));

    Mapping shared = CO_TRY(Mapping::map(file, 0, 100'000, {.writable = true}));
    Mapping own = CO_TRY(Mapping::map(file, 0, 100'000, {.writable = true, .shared = false}));
    CO_TRY(co_await shared.populate(0, 100'000));
    CO_TRY(co_await own.populate(50'000, 10'000, true));
    EXPECT_TRUE(as_text(shared.bytes()) == text);
    EXPECT_TRUE(as_text(own.bytes()) == text);
    std::memcpy(own.bytes().data(), "own", 3);
    std::memcpy(shared.bytes().data() + 70'000, "shared", 6);
    CO_TRY(co_await shared.sync(70'000, 6));
    EXPECT_EQ(CO_TRY(co_await read_text(file, 3, 0)), text.substr(0, 3));
    EXPECT_EQ(CO_TRY(co_await read_text(file, 6, 70'000)), "shared");
    EXPECT_FAILS(Errc::invalid, co_await shared.sync(100'000, 1));
    EXPECT_FAILS(Errc::invalid, co_await shared.populate(1, ~std::uint64_t{0}));
    CO_TRY(co_await file.close());
    EXPECT_TRUE(as_text(own.bytes().first(60'000)) == "own" + text.substr(3, 59'997))
        << "a mapping outlives its handle";
    EXPECT_TRUE(shared.ok() && own.ok());
    CO_TRY(co_await own.unmap());
    EXPECT_FALSE(own);

    file = CO_TRY(co_await File::open(name, O_RDONLY));
    EXPECT_FAILS(Errc::permission, Mapping::map(file, 0, 4_KiB, {.writable = true}));
    const Mapping tail = CO_TRY(Mapping::map(file, 64_KiB, 10'000, {}));  // left to its destructor
    EXPECT_EQ(as_text(tail.bytes().subspan(0, 1'000)), text.substr(64_KiB, 1'000));
    co_return Result<>{};
  }(path("file")));
}

TEST_P(DeviceConformance, APageThatCannotBeReadMarksTheMapping) {
  if (simulated()) GTEST_SKIP() << "a simulated mapping is a copy: no page of it can fail";
  run([](std::string name) -> Task<Result<>> {
    File file = CO_TRY(co_await File::open(name, create));
    CO_TRY(co_await file.write(as_bytes(random_text(1_MiB, 5)), 0));
    Mapping whole = CO_TRY(Mapping::map(file, 0, 1_MiB, {.writable = true}));
    const Mapping other = CO_TRY(Mapping::map(file, 0, 1_MiB, {}));
    CO_TRY(co_await file.resize(512_KiB));
    EXPECT_TRUE(whole.ok()) << "nobody has touched what is gone";
    EXPECT_FAILS(Errc::io, co_await whole.populate(256_KiB, 512_KiB));
    EXPECT_TRUE(whole.ok()) << "nor has populate(), which only reports it";

    unsigned sum = 0;
    for (const std::byte byte : whole.bytes().subspan(512_KiB + 100'000)) sum += static_cast<unsigned>(byte);
    EXPECT_EQ(sum, 0u) << "zeros";
    EXPECT_FALSE(whole.ok());
    const Result<> failed = whole.check();
    EXPECT_FAILS(Errc::io, failed);
    if (!failed) EXPECT_EQ(failed.error().offset, (512_KiB + 100'000) / 4_KiB * 4_KiB);
    whole.bytes()[600_KiB] = std::byte{1};  // goes nowhere
    EXPECT_FAILS(Errc::io, co_await whole.sync(0, 4_KiB));
    EXPECT_TRUE(other.ok()) << "each mapping by itself";
    co_return Result<>{};
  }(path("file")));
}

TEST_P(DeviceConformance, CharacterDevices) {
  if (simulated()) GTEST_SKIP() << "a simulated machine has no devices";
  run([]() -> Task<Result<>> {
    const File zero = CO_TRY(co_await File::open("/dev/zero", O_RDWR));
    EXPECT_EQ(CO_TRY(zero.describe()).kind, FileTraits::Kind::character);
    EXPECT_EQ(CO_TRY(co_await read_text(zero, 10'000, 123)), std::string(10'000, '\0'));
    CO_TRY(co_await zero.write(as_bytes("swallowed"), 0));
    const File full = CO_TRY(co_await File::open("/dev/full", O_RDWR));
    EXPECT_FAILS(Errc::no_space, co_await full.write(as_bytes("refused"), 0));
    EXPECT_FALSE(co_await zero.discard(0, 4_KiB));
    co_return Result<>{};
  }());
}

Task<Result<>> use_block_device(std::string device, unsigned block_bytes) {
  File file = CO_TRY(co_await File::open(device, O_RDWR | O_DIRECT));
  const FileTraits traits = CO_TRY(file.describe());
  EXPECT_EQ(traits.kind, FileTraits::Kind::block);
  EXPECT_EQ(traits.bytes, 16_MiB);
  EXPECT_EQ(traits.logical_block_bytes, block_bytes);
  EXPECT_EQ(device, "/dev/" + traits.disk);
  EXPECT_FALSE(traits.partition);
  EXPECT_FALSE(traits.read_only);
  EXPECT_LE(traits.offset_alignment, 4_KiB);
  EXPECT_GT(traits.offset_alignment, 0u);
  EXPECT_TRUE(traits.volatile_cache.has_value());
  EXPECT_FALSE(traits.io_poll.value_or(true));

  const std::string text = random_text(64_KiB, 6);
  const auto from = pages_of(text), into = pages_of("");
  std::vector<iovec> parts = {{from->bytes.data(), 16_KiB}, {from->bytes.data() + 16_KiB, 48_KiB}};
  CO_TRY(co_await file.write(parts, 1_MiB, true));
  parts = {{into->bytes.data(), 4_KiB}, {into->bytes.data() + 4_KiB, 60_KiB}};
  EXPECT_EQ(CO_TRY(co_await file.read(parts, 1_MiB)), 64_KiB);
  EXPECT_TRUE(into->text() == text);
  EXPECT_FAILS(Errc::invalid, co_await file.read(MutableBytes(into->bytes).first(100), 0));

  CO_TRY(co_await file.discard(1_MiB, 8_KiB));
  CO_TRY(co_await file.write_zeroes(1_MiB + 32_KiB, 8_KiB));
  EXPECT_EQ(CO_TRY(co_await file.read(into->bytes, 1_MiB)), 64_KiB);
  EXPECT_TRUE(into->text().substr(8_KiB) ==
              text.substr(8_KiB, 24_KiB) + std::string(8_KiB, '\0') + text.substr(40_KiB));
  EXPECT_FAILS(Errc::invalid, co_await file.discard(1_MiB, 100));
  EXPECT_FAILS(Errc::invalid, co_await file.write_zeroes(1_MiB + 1, 4_KiB));
  EXPECT_FAILS(Errc::invalid, co_await file.discard(16_MiB, 4_KiB));
  for (int i = 0; i < 3; ++i) CO_TRY(co_await file.discard(2_MiB, 1_MiB));

  EXPECT_FAILS(Errc::no_space, co_await file.write(from->bytes, 16_MiB));
  EXPECT_EQ(CO_TRY(co_await file.read(into->bytes, 16_MiB - 32_KiB)), 32_KiB) << "the end of the device";
  EXPECT_EQ(CO_TRY(co_await file.read(into->bytes, 16_MiB)), 0u);
  CO_TRY(co_await file.data_sync());

  Mapping view = CO_TRY(Mapping::map(file, 1_MiB, 64_KiB, {}));
  CO_TRY(co_await view.populate(0, 64_KiB));
  EXPECT_TRUE(as_text(view.bytes().subspan(40_KiB)) == text.substr(40_KiB));
  EXPECT_FAILS(Errc::invalid, Mapping::map(file, 15_MiB, 2_MiB));
  CO_TRY(co_await view.unmap());
  co_return co_await file.close();
}

TEST_P(DeviceConformance, BlockDevices) {
  if (simulated()) GTEST_SKIP() << "a simulated machine has no devices";
  for (const unsigned block_bytes : {512u, 4'096u}) {
    run([](std::string name) -> Task<Result<>> {
      File image = CO_TRY(co_await File::open(name, create));
      CO_TRY(co_await image.resize(16_MiB));
      co_return co_await image.close();
    }(path("image")));
    const auto device = testing::LoopDevice::attach(path("image"), block_bytes);
    if (!device) GTEST_SKIP() << device.error().to_string();
    run(use_block_device(device->path(), block_bytes));
    run([](std::string name) -> Task<Result<>> {
      const File file = CO_TRY(co_await File::open(name, O_RDONLY));
      EXPECT_TRUE(CO_TRY(file.describe()).read_only);
      EXPECT_FALSE(co_await file.discard(0, 4_KiB));
      co_return Result<>{};
    }(device->path()));
  }
}

TEST_P(DeviceConformance, Partitions) {
  if (simulated()) GTEST_SKIP() << "a simulated machine has no devices";
  run([](std::string name) -> Task<Result<>> {
    File image = CO_TRY(co_await File::open(name, create));
    CO_TRY(co_await image.resize(4_MiB));
    co_return co_await image.close();
  }(path("image")));
  auto device = testing::LoopDevice::attach(path("image"), 512);
  if (!device) GTEST_SKIP() << device.error().to_string();
  const auto partition = device->add_partition(1_MiB, 2_MiB);
  if (!partition) GTEST_SKIP() << partition.error().to_string();
  run([](std::string whole_path, std::string part_path) -> Task<Result<>> {
    File whole = CO_TRY(co_await File::open(whole_path, O_RDWR | O_DIRECT));
    File part = CO_TRY(co_await File::open(part_path, O_RDWR | O_DIRECT));
    const FileTraits disk = CO_TRY(whole.describe()), traits = CO_TRY(part.describe());
    EXPECT_EQ(traits.kind, FileTraits::Kind::block);
    EXPECT_TRUE(traits.partition);
    EXPECT_EQ(traits.bytes, 2_MiB);
    EXPECT_EQ(traits.disk, disk.disk) << "its queue is the disk's";
    EXPECT_EQ(traits.volatile_cache, disk.volatile_cache);
    EXPECT_EQ(traits.scheduler, disk.scheduler);
    EXPECT_EQ(traits.discard_bytes_max, disk.discard_bytes_max);
    const auto from = pages_of(random_text(64_KiB, 7)), into = pages_of("");
    CO_TRY(co_await part.write(from->bytes, 0, true));
    CO_TRY(co_await part.discard(8_KiB, 4_KiB));
    EXPECT_EQ(CO_TRY(co_await whole.read(into->bytes, 1_MiB)), 64_KiB);
    EXPECT_TRUE(into->text().substr(12_KiB) == from->text().substr(12_KiB));
    CO_TRY(co_await part.close());
    co_return co_await whole.close();
  }(device->path(), *partition));
}

INSTANTIATE_TEST_SUITE_P(Backends, DeviceConformance,
                         ::testing::Values(testing::Subject::uring, testing::Subject::uring_5_19,
                                           testing::Subject::uring_plain, testing::Subject::epoll,
                                           testing::Subject::simulated),
                         [](const auto& info) { return testing::to_string(info.param); });

}  // namespace
}  // namespace ashlar
