#include <fcntl.h>

#include <string>
#include <vector>

#include "ashlar/base/random.h"
#include "ashlar/base/units.h"
#include "ashlar/runtime/ops/conformance.h"
#include "ashlar/runtime/ops/file.h"
#include "ashlar/runtime/sync/scope.h"
#include "ashlar/runtime/sync/when.h"

namespace ashlar {
namespace {

using namespace ashlar::literals;
using testing::random_text;
using testing::writable;

constexpr int create = O_RDWR | O_CREAT | O_TRUNC;

class FileConformance : public testing::Conformance {};

/// Reads `bytes` at `offset`; fewer where the file ends.
Task<Result<std::string>> read_text(const File& file, std::size_t bytes, std::uint64_t offset) {
  std::string text(bytes, '?');
  text.resize(CO_TRY(co_await file.read(writable(text), offset)));
  co_return text;
}

TEST_P(FileConformance, ReadsWhatWasWrittenAndStopsAtTheEnd) {
  run([](std::string name) -> Task<Result<>> {
    File file = CO_TRY(co_await File::open(name, create));
    const std::string text = random_text(10'000, 1);
    CO_TRY(co_await file.write(as_bytes(text), 5'000));
    EXPECT_EQ(CO_TRY(file.bytes()), 15'000u);
    EXPECT_EQ(CO_TRY(co_await read_text(file, 10'000, 5'000)), text);
    EXPECT_EQ(CO_TRY(co_await read_text(file, 10'000, 14'000)), text.substr(9'000))
        << "short only at the end";
    EXPECT_EQ(CO_TRY(co_await read_text(file, 100, 15'000)), "");
    EXPECT_EQ(CO_TRY(co_await read_text(file, 100, 1_TiB)), "");
    EXPECT_EQ(CO_TRY(co_await read_text(file, 5'000, 0)), std::string(5'000, '\0'))
        << "a hole reads as zeros";
    CO_TRY(co_await file.write(as_bytes("over"), 6'000));
    EXPECT_EQ(CO_TRY(co_await read_text(file, 6, 5'999)),
              text.substr(999, 1) + "over" + text.substr(1'004, 1));
    CO_TRY(co_await file.write(Bytes{}, 100'000));
    EXPECT_EQ(CO_TRY(file.bytes()), 15'000u) << "an empty write changes nothing";
    EXPECT_EQ(CO_TRY(co_await read_text(file, 0, 0)), "");
    co_return co_await file.close();
  }(path("file")));
}

TEST_P(FileConformance, MovesManyVectors) {
  run([](std::string name) -> Task<Result<>> {
    File file = CO_TRY(co_await File::open(name, create));
    std::string text = random_text(300'000, 2);
    // More than the kernel takes in one call (1024), of uneven sizes, some empty.
    const auto split = [](std::string& of) {
      std::vector<iovec> vectors;
      Random random(3);
      for (std::size_t at = 0; at < of.size();) {
        const std::size_t bytes = std::min<std::size_t>(random.below(200), of.size() - at);
        vectors.push_back({of.data() + at, bytes});
        at += bytes;
      }
      EXPECT_GT(vectors.size(), 2'000u);
      return vectors;
    };
    std::vector<iovec> from = split(text);
    CO_TRY(co_await file.write(from, 77));
    std::string back(text.size(), '?');
    std::vector<iovec> into = split(back);
    EXPECT_EQ(CO_TRY(co_await file.read(into, 77)), text.size());
    EXPECT_EQ(back, text);
    into = split(back);
    EXPECT_EQ(CO_TRY(co_await file.read(into, 1'077)), text.size() - 1'000);
    EXPECT_EQ(back.substr(0, text.size() - 1'000), text.substr(1'000));
    co_return co_await file.close();
  }(path("file")));
}

TEST_P(FileConformance, MovesMuchAtOnce) {
  run([](std::string name) -> Task<Result<>> {
    File file = CO_TRY(co_await File::open(name, create));
    const std::string text = random_text(24_MiB, 4);
    CO_TRY(co_await file.write(as_bytes(text), 0, true));
    EXPECT_TRUE(CO_TRY(co_await read_text(file, 32_MiB, 0)) == text);
    co_return co_await file.close();
  }(path("file")));
}

TEST_P(FileConformance, WritesInOrderAndEndsAtTheFirstError) {
  run([](std::string name) -> Task<Result<>> {
    File file = CO_TRY(co_await File::open(name, create));
    const std::string text = random_text(64'000, 6);
    std::vector<FileWrite> steps;
    // Each overwrites half of the one before: the last ones win.
    for (std::size_t i = 0; i + 2'000 <= text.size(); i += 1'000)
      steps.push_back({as_bytes(text).subspan(i, 2'000), i});
    CO_TRY(co_await file.write_in_order(steps));
    EXPECT_TRUE(CO_TRY(co_await read_text(file, 70'000, 0)) == text);
    CO_TRY(co_await file.write_in_order({}));
    // More than a submission queue has entries.
    steps.clear();
    for (std::size_t i = 0; i < 1'000; ++i) steps.push_back({as_bytes(text).subspan(i * 60, 60), i * 60});
    CO_TRY(co_await file.write_in_order(steps, true));
    EXPECT_TRUE(CO_TRY(co_await read_text(file, 60'000, 0)) == text.substr(0, 60'000));

    // A direct write that is misaligned fails: what is before it happened, what is behind did not.
    CO_TRY(co_await file.close());
    file = CO_TRY(co_await File::open(name, create | O_DIRECT));
    if (CO_TRY(file.describe()).offset_alignment < 512) co_return co_await file.close();  // tmpfs takes it
    const IoBuffer memory = CO_TRY(Shard::current().buffers().allocate(16_KiB));
    std::ranges::copy(as_bytes(text).first(16_KiB), memory.data());
    const auto block = [&](std::size_t i, std::uint64_t at) {
      return FileWrite{memory.bytes().subspan(i * 4_KiB, 4_KiB), at};
    };
    const FileWrite third_fails[] = {block(0, 0), block(1, 4_KiB), block(2, 8_KiB + 1), block(3, 12_KiB)};
    const Result<> failed = co_await file.write_in_order(third_fails);
    EXPECT_FAILS(Errc::invalid, failed);
    if (!failed) EXPECT_EQ(failed.error().offset, third_fails[2].offset) << failed.error().to_string();
    EXPECT_EQ(CO_TRY(file.bytes()), 8_KiB);
    const FileWrite first_fails[] = {block(0, 12_KiB + 1), block(1, 16_KiB)};
    EXPECT_FAILS(Errc::invalid, co_await file.write_in_order(first_fails));
    EXPECT_EQ(CO_TRY(file.bytes()), 8_KiB);
    CO_TRY(co_await file.read(memory.bytes().subspan(8_KiB), 0));
    EXPECT_TRUE(equal(memory.bytes().first(8_KiB), memory.bytes().subspan(8_KiB)));
    co_return co_await file.close();
  }(path("file")));
}

Task<Result<>> write_block(const File* file, std::size_t block) {
  const std::string text = random_text(4_KiB, block);
  co_return co_await file->write(as_bytes(text), block * 4_KiB, block % 16 == 0);
}
Task<Result<>> check_block(const File* file, std::size_t block) {
  EXPECT_EQ(CO_TRY(co_await read_text(*file, 4_KiB, block * 4_KiB)), random_text(4_KiB, block)) << block;
  co_return Result<>{};
}

TEST_P(FileConformance, KeepsManyInFlight) {
  run([](std::string name) -> Task<Result<>> {
    const File file = CO_TRY(co_await File::open(name, create));
    for (auto step : {&write_block, &check_block}) {
      std::vector<Task<Result<>>> tasks;
      for (std::size_t block = 0; block < 1'000; ++block) tasks.push_back(step(&file, block));
      for (const Result<>& result : co_await when_all(std::move(tasks))) CO_TRY(result);
    }
    co_return Result<>{};
  }(path("file")));
}

TEST_P(FileConformance, HandsOverWhatATaskDoesNotWaitForYet) {
  run([](std::string name) -> Task<Result<>> {
    File file = CO_TRY(co_await File::open(name, create));
    CO_TRY(co_await file.write(as_bytes("early"), 0));
    Result<std::string> text = fail(Errc::stopped, "not read");
    TaskScope scope;
    scope.start([](const File& from, Result<std::string>& into) -> Task<> {
      into = co_await read_text(from, 5, 0);
    }(file, text));
    Shard::current().hand_over();
    EXPECT_FALSE(Shard::current().backend().unsubmitted());
    EXPECT_EQ(scope.live(), 1u) << "nothing completes within a submission";
    co_await scope.join();
    EXPECT_EQ(CO_TRY(text), "early");
    co_return co_await file.close();
  }(path("file")));
}

TEST_P(FileConformance, SyncsAllocatesAndResizes) {
  run([](std::string name) -> Task<Result<>> {
    File file = CO_TRY(co_await File::open(name, create));
    CO_TRY(co_await file.allocate(0, 1_MiB));
    EXPECT_EQ(CO_TRY(file.bytes()), 1_MiB);
    EXPECT_EQ(CO_TRY(co_await read_text(file, 10, 1_MiB - 10)), std::string(10, '\0'));
    CO_TRY(co_await file.write(as_bytes("kept"), 0, true));
    CO_TRY(co_await file.allocate(0, 4_KiB));
    EXPECT_EQ(CO_TRY(file.bytes()), 1_MiB) << "allocating what is there shrinks nothing";
    CO_TRY(co_await file.sync());
    CO_TRY(co_await file.data_sync());
    CO_TRY(co_await file.resize(2));
    EXPECT_EQ(CO_TRY(co_await read_text(file, 10, 0)), "ke");
    CO_TRY(co_await file.resize(6));
    EXPECT_EQ(CO_TRY(co_await read_text(file, 10, 0)), std::string("ke\0\0\0\0", 6))
        << "what was cut off is gone";
    co_return co_await file.close();
  }(path("file")));
}

TEST_P(FileConformance, WritesDirectly) {
  run([](std::string name) -> Task<Result<>> {
    auto opened = co_await File::open(name, create | O_DIRECT | O_DSYNC);
    if (!opened && opened.error().code == Errc::invalid) co_return Result<>{};  // tmpfs before 6.6
    File file = CO_TRY(std::move(opened));
    struct alignas(4096) Block {
      std::byte bytes[16384];
    };
    const auto block = std::make_unique<Block>();
    std::fill(std::begin(block->bytes), std::end(block->bytes), std::byte{7});
    CO_TRY(co_await file.write(block->bytes, 4_KiB));
    CO_TRY(co_await file.resize(10'000));  // the end is inside a block
    std::fill(std::begin(block->bytes), std::end(block->bytes), std::byte{0});
    EXPECT_EQ(CO_TRY(co_await file.read(block->bytes, 4_KiB)), 10'000 - 4_KiB);
    EXPECT_EQ(block->bytes[10'000 - 4_KiB - 1], std::byte{7});
    co_return co_await file.close();
  }(path("file")));
}

TEST_P(FileConformance, FailsWithTheErrorThatNamesTheCause) {
  run([](std::string name, std::string directory) -> Task<Result<>> {
    EXPECT_FAILS(Errc::not_found, co_await File::open(name, O_RDWR));
    EXPECT_FAILS(Errc::not_found, co_await File::open(directory + "/no/file", create));
    {
      File file = CO_TRY(co_await File::open(name, create, 0600, 42));
      EXPECT_FAILS(Errc::exists, co_await File::open(name, O_RDWR | O_CREAT | O_EXCL));
      CO_TRY(co_await file.close());
    }
    EXPECT_FAILS(Errc::invalid, co_await File::open(directory, O_RDWR));
    EXPECT_FAILS(Errc::invalid, co_await File::open(name + "/below", create));
    File reader = CO_TRY(co_await File::open(name, O_RDONLY, 0, 42));
    const auto refused = co_await reader.write(as_bytes("x"), 8);
    EXPECT_FAILS(Errc::invalid, refused);
    EXPECT_EQ(refused.error().native, EBADF);
    EXPECT_EQ(refused.error().object, 42u);
    EXPECT_EQ(refused.error().offset, 8u);
    CO_TRY(co_await reader.close());

    const File nothing(Handle{}, 0);
    std::string text(10, '\0');
    EXPECT_FAILS(Errc::invalid, co_await nothing.read(writable(text), 0));
    EXPECT_FAILS(Errc::invalid, co_await nothing.sync());
    EXPECT_FAILS(Errc::not_found, co_await unlink_file(directory + "/missing"));
    EXPECT_FAILS(Errc::not_found, co_await rename_file(directory + "/missing", name));
    EXPECT_FAILS(Errc::not_found, co_await link_file(directory + "/missing", name));
    EXPECT_FAILS(Errc::exists, co_await link_file(name, name));
    EXPECT_FAILS(Errc::not_found, co_await sync_directory(directory + "/missing"));
    EXPECT_FAILS(Errc::invalid, co_await sync_directory(name));
    co_return Result<>{};
  }(path("file"), directory()));
}

TEST_P(FileConformance, ChangesNames) {
  run([](std::string directory) -> Task<Result<>> {
    const std::string a = directory + "/a", b = directory + "/b", c = directory + "/c";
    for (const std::string& name : {a, b}) {
      File file = CO_TRY(co_await File::open(name, create));
      CO_TRY(co_await file.write(as_bytes(name), 0));
      CO_TRY(co_await file.close());
    }
    CO_TRY(co_await rename_file(a, b));
    EXPECT_FAILS(Errc::not_found, co_await File::open(a, O_RDONLY));
    File file = CO_TRY(co_await File::open(b, O_RDONLY));
    EXPECT_EQ(CO_TRY(co_await read_text(file, 1'000, 0)), a) << "rename replaces its target";
    CO_TRY(co_await link_file(b, c));
    CO_TRY(co_await unlink_file(b));
    EXPECT_EQ(CO_TRY(co_await read_text(file, 1'000, 0)), a) << "an open file outlives its name";
    CO_TRY(co_await file.close());
    file = CO_TRY(co_await File::open(c, O_RDONLY));
    EXPECT_EQ(CO_TRY(co_await read_text(file, 1'000, 0)), a);
    CO_TRY(co_await file.close());
    CO_TRY(co_await sync_directory(directory));
    co_return co_await unlink_file(c);
  }(directory()));
}

TEST_P(FileConformance, ListsSortedWithSizes) {
  run([](std::string directory) -> Task<Result<>> {
    Backend& backend = Shard::current().backend();
    for (const char* name : {"/zeta", "/alpha", "/mid"}) {
      File file = CO_TRY(co_await File::open(directory + name, create));
      CO_TRY(co_await file.resize(std::string_view(name).size()));
      CO_TRY(co_await file.close());
    }
    CO_TRY(backend.make_directory(directory + "/inner"));
    EXPECT_FAILS(Errc::exists, backend.make_directory(directory + "/inner"));
    EXPECT_FAILS(Errc::not_found, backend.make_directory(directory + "/no/inner"));
    EXPECT_FAILS(Errc::not_found, backend.list(directory + "/no"));
    std::string seen;
    for (const DirectoryEntry& entry : CO_TRY(backend.list(directory))) {
      seen += entry.name + (entry.directory ? "/ " : ":" + std::to_string(entry.bytes) + " ");
    }
    EXPECT_EQ(seen, "alpha:6 inner/ mid:4 zeta:5 ");
    EXPECT_TRUE(CO_TRY(backend.list(directory + "/inner")).empty());
    const FileSystemSpace space = CO_TRY(backend.space(directory));
    EXPECT_GT(space.free_bytes, 0u);
    EXPECT_GE(space.total_bytes, space.free_bytes);
    co_return Result<>{};
  }(directory()));
}

TEST_P(FileConformance, LocksOnce) {
  run([](std::string name) -> Task<Result<>> {
    Backend& backend = Shard::current().backend();
    File held(CO_TRY(backend.lock(name)), 0);
    EXPECT_FAILS(Errc::busy, backend.lock(name));
    CO_TRY(co_await held.close());
    File again(CO_TRY(backend.lock(name)), 0);
    co_return co_await again.close();
  }(path("LOCK")));
}

TEST_P(FileConformance, ClosesWhatIsMerelyDestroyed) {
  run([](std::string directory) -> Task<Result<>> {
    // More files than a process may have open, were they not closed.
    for (int i = 0; i < 3'000; ++i) {
      const File file = CO_TRY(co_await File::open(directory + "/same", O_RDWR | O_CREAT));
      EXPECT_TRUE(file);
    }
    co_return Result<>{};
  }(directory()));
}

INSTANTIATE_TEST_SUITE_P(Backends, FileConformance,
                         ::testing::Values(testing::Subject::uring, testing::Subject::uring_5_19,
                                           testing::Subject::uring_plain, testing::Subject::epoll,
                                           testing::Subject::simulated),
                         [](const auto& info) { return testing::to_string(info.param); });

}  // namespace
}  // namespace ashlar
