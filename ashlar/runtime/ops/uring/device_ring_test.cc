#include "ashlar/runtime/ops/uring/device_ring.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ashlar/base/units.h"
#include "ashlar/runtime/memory/locked_memory.h"
#include "ashlar/runtime/memory/regions.h"
#include "ashlar/runtime/memory/test_memlock.h"
#include "ashlar/runtime/ops/conformance.h"
#include "ashlar/runtime/ops/file.h"
#include "ashlar/runtime/ops/test_loop_device.h"
#include "ashlar/runtime/sync/when.h"

namespace ashlar {
namespace {

using namespace ashlar::literals;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using testing::random_text;

/// An operation that goes to a ring.
template <class Awaiter>
class OnRing : public Awaiter {
 public:
  template <class... Arguments>
  OnRing(IoRing& ring, std::uint32_t in_region, Arguments&&... arguments)
      : Awaiter(std::forward<Arguments>(arguments)...), ring_(ring) {
    this->region = in_region;
  }
  void await_suspend(std::coroutine_handle<> suspended) noexcept {
    waiter_.arm(suspended);
    this->complete = [](Operation& done) noexcept { static_cast<OnRing&>(done).waiter_.make_ready(); };
    ring_.submit(*this);
  }

 private:
  IoRing& ring_;
  Waiter waiter_;
};
using RingRead = OnRing<ReadAwaiter>;
using RingWrite = OnRing<WriteAwaiter>;

class DeviceRingTest : public testing::Conformance {
 protected:
  Result<std::unique_ptr<IoRing>> open(const RingOptions& options) {
    return shard().backend().open_ring(options);
  }
  /// A buffer that is a region.
  MutableBytes region() {
    if (region_.data == nullptr) region_ = regions_.take().value();
    return {region_.data, Region::bytes};
  }
  void TearDown() override {
    if (region_.data != nullptr) regions_.give(region_);
    Conformance::TearDown();
  }

 private:
  Regions regions_;
  Region region_;
};

constexpr std::size_t block_bytes = 4096;

Task<Result<>> write_then_read(IoRing* ring, const File* file, MutableBytes memory, std::size_t block) {
  const std::string text = random_text(block_bytes, block);
  const MutableBytes mine = memory.subspan(block * 2 * block_bytes, 2 * block_bytes);
  std::memcpy(mine.data(), text.data(), block_bytes);
  const std::uint64_t at = block * block_bytes;
  const bool durable = block % 8 == 0;
  CO_TRY(co_await RingWrite(*ring, 0, file->handle(), mine.first(block_bytes), at, durable, 0u));
  // In two parts, which need not be in order.
  iovec parts[2] = {{mine.data() + block_bytes + 2048, 2048}, {mine.data() + block_bytes, 2048}};
  const std::size_t read = CO_TRY(co_await RingRead(*ring, 0, file->handle(), parts, at, 0u));
  EXPECT_EQ(read, block_bytes);
  EXPECT_TRUE(as_text(mine.subspan(block_bytes)) == text.substr(2048) + text.substr(0, 2048)) << block;
  const MutableBytes whole = mine.subspan(block_bytes);
  EXPECT_EQ(CO_TRY(co_await RingRead(*ring, 0, file->handle(), whole, at, 0u)), block_bytes);
  EXPECT_TRUE(as_text(whole) == text) << block;
  co_return Result<>{};
}

/// Many blocks at once, then the same one by one, with the shard asleep between.
Task<Result<>> exercise(IoRing* ring, std::string name, int flags, MutableBytes memory) {
  auto opened = co_await File::open(name, O_RDWR | O_CREAT | flags);
  if (!opened && flags == O_DIRECT && opened.error().code == Errc::invalid) co_return Result<>{};  // tmpfs
  File file = CO_TRY(std::move(opened));
  ring->attach(file.handle());
  std::vector<Task<Result<>>> tasks;
  for (std::size_t block = 0; block < 200; ++block)
    tasks.push_back(write_then_read(ring, &file, memory, block));
  for (const Result<>& result : co_await when_all(std::move(tasks))) CO_TRY(result);
  for (std::size_t block = 0; block < 10; ++block)
    CO_TRY(co_await write_then_read(ring, &file, memory, block));
  EXPECT_EQ(ring->in_flight(), 0u);

  const auto closed = file.handle();
  CO_TRY(co_await file.close());
  const auto refused = co_await RingRead(*ring, no_region, closed, memory.first(block_bytes), 0, 0u);
  EXPECT_FALSE(refused) << "the slot went with the handle";
  co_return Result<>{};
}

struct Variant {
  const char* name;
  RingOptions options;
};
const Variant variants[] = {
    {"as it comes", {}},
    {"shallow", {.queue_depth = 4}},
    {"SQPOLL", {.sqpoll = true, .sqpoll_idle_ms = 1}},
    {"SQPOLL on a CPU", {.sqpoll = true, .sqpoll_idle_ms = 100, .sqpoll_cpu = 0}},
    {"shallow SQPOLL", {.queue_depth = 2, .sqpoll = true, .sqpoll_idle_ms = 1}},
    {"IOPOLL", {.iopoll = true}},
    {"SQPOLL and IOPOLL", {.sqpoll = true, .iopoll = true}},
    {"COOP_TASKRUN", {.task_run = TaskRun::cooperative}},
    {"interrupts", {.task_run = TaskRun::interrupting}},
    {"nothing", {.single_issuer = false, .registered_ring = false, .fixed_files = false, .regions_max = 0}},
    {"workers", {.always_async = true, .workers_max = 2, .workers_cpu = 0}},
};

TEST_P(DeviceRingTest, ReadsAndWrites) {
  for (const Variant& variant : variants) {
    SCOPED_TRACE(variant.name);
    for (const int flags : {0, O_DIRECT}) {
      auto ring = open(variant.options);
      ASSERT_TRUE(ring) << ring.error().to_string();
      const Result<> registered = (*ring)->register_region(0, region());
      EXPECT_EQ(registered.has_value(), variant.options.regions_max != 0);
      EXPECT_TRUE((*ring)->register_region(0, region()).has_value() == registered.has_value());
      run(exercise(ring->get(), path("file"), flags, region()));
    }
  }
}

TEST_P(DeviceRingTest, SeveralBesideEachOther) {
  std::vector<std::unique_ptr<IoRing>> rings;
  std::vector<Task<Result<>>> tasks;
  for (int i = 0; i < 4; ++i) {
    auto ring = open({.queue_depth = 16, .sqpoll = i != 0, .sqpoll_idle_ms = 1});
    ASSERT_TRUE(ring) << ring.error().to_string();
    rings.push_back(*std::move(ring));
    tasks.push_back(exercise(rings.back().get(), path("file" + std::to_string(i)), 0, region()));
  }
  for (auto& task : tasks) run(std::move(task));
}

TEST_P(DeviceRingTest, BlockDevices) {
  run([](std::string name) -> Task<Result<>> {
    File image = CO_TRY(co_await File::open(name, O_RDWR | O_CREAT));
    CO_TRY(co_await image.resize(1_MiB));
    co_return co_await image.close();
  }(path("image")));
  const auto device = testing::LoopDevice::attach(path("image"), 512);
  if (!device) GTEST_SKIP() << device.error().to_string();
  for (const Variant& variant : variants) {
    SCOPED_TRACE(variant.name);
    auto ring = open(variant.options);
    ASSERT_TRUE(ring) << ring.error().to_string();
    run(exercise(ring->get(), device->path(), O_DIRECT, region()));
  }
}

// For a virtual machine with a disk that polls: the contents of the device named are overwritten.
TEST_P(DeviceRingTest, TheDeviceNamedInTheEnvironment) {
  const char* device = std::getenv("ASHLAR_SCRATCH_DEVICE");
  if (device == nullptr) GTEST_SKIP() << "ASHLAR_SCRATCH_DEVICE names no block device to overwrite";
  bool polls = false;
  run([](std::string name, bool* polling) -> Task<Result<>> {
    const File file = CO_TRY(co_await File::open(name, O_RDONLY));
    *polling = CO_TRY(file.describe()).io_poll.value_or(false);
    co_return Result<>{};
  }(device, &polls));
  for (const Variant& variant : variants) {
    SCOPED_TRACE(variant.name);
    auto ring = open(variant.options);
    ASSERT_TRUE(ring) << ring.error().to_string();
    run(exercise(ring->get(), device, O_DIRECT, region()));
    if (variant.options.iopoll && polls && GetParam() == testing::Subject::uring)
      EXPECT_THAT((*ring)->notes(), IsEmpty());
  }
}

TEST_P(DeviceRingTest, WhatCannotBePolledGoesToTheMainRing) {
  auto ring = open({.iopoll = true});
  ASSERT_TRUE(ring) << ring.error().to_string();
  run([](IoRing* polled, std::string name) -> Task<Result<>> {
    const File file = CO_TRY(co_await File::open(name, O_RDWR | O_CREAT));
    polled->attach(file.handle());  // buffered
    CO_TRY(co_await RingWrite(*polled, no_region, file.handle(), as_bytes("text"), 0, false, 0u));
    using RingSync = OnRing<StatusAwaiter>;
    CO_TRY(co_await RingSync(*polled, no_region, OpCode::sync, file.handle(), "fsync", 0u));
    CO_TRY(
        co_await RingSync(*polled, no_region, OpCode::allocate, file.handle(), "allocate", 0u, 0u, 10'000u));
    co_return Result<>{};
  }(ring->get(), path("file")));
  EXPECT_THAT((*ring)->notes(), Contains(HasSubstr("IOPOLL: ")));
}

TEST_P(DeviceRingTest, ReusesTheSlotsOfClosedFiles) {
  auto ring = open({});
  ASSERT_TRUE(ring) << ring.error().to_string();
  run([](IoRing* to, std::string name) -> Task<Result<>> {
    for (int round = 0; round < 3; ++round) {
      std::vector<File> files;
      for (int i = 0; i < 60; ++i) {
        files.push_back(CO_TRY(co_await File::open(name + std::to_string(i), O_RDWR | O_CREAT)));
        to->attach(files.back().handle());
      }
      const std::string text = std::to_string(round);
      for (File& file : files) {
        CO_TRY(co_await RingWrite(*to, no_region, file.handle(), as_bytes(text), 0, false, 0u));
        std::string back = "?";
        CO_TRY(co_await file.read(testing::writable(back), 0));
        EXPECT_EQ(back, text);
      }
      while (!files.empty()) {
        CO_TRY(co_await files.back().close());
        files.pop_back();
      }
    }
    co_return Result<>{};
  }(ring->get(), path("file")));
  if (GetParam() == testing::Subject::uring) EXPECT_THAT((*ring)->notes(), IsEmpty());
}

TEST_P(DeviceRingTest, NamesPairsThatNoKernelTakes) {
  const auto refused = [&](const RingOptions& options, const char* pair) {
    const auto ring = open(options);
    ASSERT_FALSE(ring) << pair;
    EXPECT_EQ(ring.error().code, Errc::invalid);
    EXPECT_THAT(ring.error().to_string(), HasSubstr(pair));
  };
  refused({.sqpoll = true, .task_run = TaskRun::cooperative}, "SQPOLL excludes COOP_TASKRUN");
  refused({.sqpoll = true, .task_run = TaskRun::deferred}, "SQPOLL excludes DEFER_TASKRUN");
  refused({.single_issuer = false, .task_run = TaskRun::deferred}, "DEFER_TASKRUN needs SINGLE_ISSUER");
  refused({.sqpoll_cpu = 0}, "SQ_AFF needs SQPOLL");
  refused({.queue_depth = 0}, "queue depth 0");
}

TEST_P(DeviceRingTest, SaysWhatIsNotInEffect) {
  auto ring = open({.sqpoll = true, .sqpoll_cpu = 10'000, .regions_max = 4, .workers_cpu = 1'000});
  ASSERT_TRUE(ring) << ring.error().to_string();
  EXPECT_THAT((*ring)->notes(), Contains(HasSubstr("SQ_AFF: CPU 10000 is refused")));
  EXPECT_THAT((*ring)->notes(), Contains(HasSubstr("IOWQ_AFF is refused")));
  EXPECT_THAT((*ring)->setup(), HasSubstr("SQPOLL"));
  EXPECT_THAT((*ring)->setup(), Not(HasSubstr("SQ_AFF")));
  EXPECT_FAILS(Errc::too_large, (*ring)->register_region(4, region()));
  EXPECT_TRUE((*ring)->register_region(3, region()));
  EXPECT_THAT((*ring)->setup(), HasSubstr("2 MiB of fixed buffers"));
  EXPECT_THAT((*ring)->notes(), Contains(HasSubstr("regions from 4 on")));
}

class DeviceRingAges : public DeviceRingTest {};

/// What a kernel lacks: what setup() does not say then, and the line that says so.
struct Lack {
  const char* name;
  const char* note;
};
constexpr Lack lacks[] = {
    {"DEFER_TASKRUN", "DEFER_TASKRUN needs Linux 6.1: completions run at any system call"},
    {"SINGLE_ISSUER", "SINGLE_ISSUER needs Linux 6.0: the kernel locks the ring"},
    {"COOP_TASKRUN", "COOP_TASKRUN needs Linux 5.19: completions interrupt the shard"},
    {"registered ring", "a registered ring needs Linux 5.18: one look-up of its descriptor per system call"},
    {"fixed files", "sparse fixed files need Linux 5.19: one look-up of the file per operation"},
    {"workers", "IOWQ_MAX_WORKERS needs Linux 5.15: as many workers as the kernel likes"},
};

std::span<const Lack> lacks_of(testing::Subject subject) {
  switch (subject) {
    case testing::Subject::uring_6_0: return std::span(lacks).first(1);
    case testing::Subject::uring_5_19: return std::span(lacks).first(2);
    case testing::Subject::uring_plain: return lacks;
    default: return {};
  }
}

TEST_P(DeviceRingAges, AnOldKernelIsSteppedDownToAndNamed) {
  auto ring = open({.workers_max = 2});
  ASSERT_TRUE(ring) << ring.error().to_string();
  for (const Lack& lack : lacks_of(GetParam())) {
    EXPECT_THAT((*ring)->setup(), Not(HasSubstr(lack.name)));
    EXPECT_THAT((*ring)->notes(), Contains(lack.note));
  }
  EXPECT_GE((*ring)->notes().size(), lacks_of(GetParam()).size());
  run(exercise(ring->get(), path("file"), 0, region()));
}

TEST_P(DeviceRingAges, APollerIsHadFromEveryKernelThatAllowsIt) {
  auto ring = open({.sqpoll = true, .sqpoll_idle_ms = 1, .sqpoll_cpu = 0});
  ASSERT_TRUE(ring) << ring.error().to_string();
  if (GetParam() == testing::Subject::uring_no_poller) {
    EXPECT_THAT((*ring)->setup(), Not(HasSubstr("SQ")));
    EXPECT_THAT((*ring)->notes(), Contains(AllOf(HasSubstr("SQPOLL is refused"), HasSubstr("EPERM"),
                                                 HasSubstr("the shard submits by system calls"))));
  } else {
    EXPECT_THAT((*ring)->setup(), HasSubstr("SQPOLL, SQ_AFF"));
  }
  // With the poller goes what excludes it: completions are deferred, where the kernel has that.
  for (const Lack& lack : lacks_of(GetParam())) EXPECT_THAT((*ring)->setup(), Not(HasSubstr(lack.name)));
  run(exercise(ring->get(), path("file"), 0, region()));
}

TEST_P(DeviceRingTest, WorksWhereLittleMemoryMayBeLocked) {
  const testing::LowMemlock low(64_KiB);
  if (!low.works()) GTEST_SKIP() << "this process cannot give up the right to lock memory";
  auto ring = open({.queue_depth = 8});
  ASSERT_TRUE(ring) << ring.error().to_string();
  EXPECT_FAILS(Errc::no_memory, (*ring)->register_region(0, region()));
  EXPECT_FAILS(Errc::no_memory, (*ring)->register_region(1, region()));
  if (GetParam() == testing::Subject::uring)
    EXPECT_EQ((*ring)->notes().size(), 1u) << "one line, however often it is asked";
  EXPECT_THAT((*ring)->notes(), Contains(HasSubstr("fixed buffers end at 0 MiB")));
  run(exercise(ring->get(), path("file"), 0, region()));
}

TEST_P(DeviceRingTest, StopsAtTheLimitBeforeTheKernelDoes) {
  if (GetParam() == testing::Subject::uring_plain) GTEST_SKIP() << "fixed buffers need Linux 5.19";
  const testing::LowMemlock low(5_MiB);
  if (!low.works()) GTEST_SKIP() << "this process cannot give up the right to lock memory";
  const std::uint64_t before = LockedMemory::process().bytes();
  Regions regions;
  const Region first = regions.take(3).value();
  const auto memory = [&](std::uint32_t id) { return MutableBytes(regions.at(id).data, Region::bytes); };
  {
    auto ring = open({.queue_depth = 8}), other = open({.queue_depth = 8});
    ASSERT_TRUE(ring && other);
    EXPECT_TRUE((*ring)->register_region(0, memory(0)));
    EXPECT_TRUE((*other)->register_region(0, memory(0))) << "each ring pins it by itself";
    EXPECT_EQ(LockedMemory::process().bytes() - before, 4_MiB);
    const Result<> refused = (*ring)->register_region(1, memory(1));
    EXPECT_FAILS(Errc::no_memory, refused);
    if (!refused) EXPECT_EQ(refused.error().native, 0) << "the kernel was asked";
    EXPECT_FAILS(Errc::no_memory, (*ring)->register_region(2, memory(2)));
    EXPECT_THAT((*ring)->notes(),
                Contains(AllOf(HasSubstr("fixed buffers end at 2 MiB"), HasSubstr("ulimit -l"))));
    EXPECT_EQ((*ring)->notes().size(), (*other)->notes().size() + 1) << "one line, however often";
    EXPECT_EQ(LockedMemory::process().bytes() - before, 4_MiB);
    run(exercise(ring->get(), path("file"), 0, memory(0)));
  }
  EXPECT_EQ(LockedMemory::process().bytes(), before);
  regions.give(first, 3);
}

TEST_P(DeviceRingTest, TheMainRingKnowsRegionsToo) {
  run([](std::string name, MutableBytes memory) -> Task<Result<>> {
    Backend& backend = Shard::current().backend();
    const File file = CO_TRY(co_await File::open(name, O_RDWR | O_CREAT));
    CO_TRY(backend.register_region(7, memory));
    CO_TRY(backend.register_region(7, memory));
    struct Fixed : WriteAwaiter {
      Fixed(const File& to, Bytes from, std::uint64_t at, std::uint32_t id)
          : WriteAwaiter(to.handle(), from, at, false, 0) {
        region = id;
      }
    };
    std::memset(memory.data(), 'x', memory.size());
    CO_TRY(co_await Fixed(file, memory.first(10'000), 0, 7));
    CO_TRY(co_await Fixed(file, as_bytes("elsewhere"), 10'000, 7));  // not in it, whatever it says
    CO_TRY(co_await Fixed(file, as_bytes("unknown"), 10'009, 8));
    std::string back(10'016, '?');
    CO_TRY(co_await file.read(testing::writable(back), 0));
    EXPECT_TRUE(back == std::string(10'000, 'x') + "elsewhereunknown");
    co_return Result<>{};
  }(path("file"), region()));
}

INSTANTIATE_TEST_SUITE_P(Backends, DeviceRingTest,
                         ::testing::Values(testing::Subject::uring, testing::Subject::uring_plain),
                         [](const auto& info) { return testing::to_string(info.param); });

INSTANTIATE_TEST_SUITE_P(Backends, DeviceRingAges,
                         ::testing::Values(testing::Subject::uring, testing::Subject::uring_6_0,
                                           testing::Subject::uring_5_19, testing::Subject::uring_plain,
                                           testing::Subject::uring_no_poller),
                         [](const auto& info) { return testing::to_string(info.param); });

class NoRings : public testing::Conformance {};

TEST_P(NoRings, AreSaidToBeMissing) {
  EXPECT_FAILS(Errc::unsupported, shard().backend().open_ring({}));
  EXPECT_FAILS(Errc::unsupported, shard().backend().register_region(0, {}));
}

INSTANTIATE_TEST_SUITE_P(Backends, NoRings,
                         ::testing::Values(testing::Subject::epoll, testing::Subject::simulated),
                         [](const auto& info) { return testing::to_string(info.param); });

}  // namespace
}  // namespace ashlar
