/// A shard that a foreign event loop drives: epoll here, over the shard's descriptor and nothing else.

#include "ashlar/runtime/shard/driven_shard.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <thread>

#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/ops/file.h"
#include "ashlar/runtime/ops/uring/uring_backend.h"
#include "ashlar/runtime/shard/runtime.h"
#include "ashlar/runtime/sync/event.h"
#include "ashlar/runtime/sync/sleep.h"

namespace ashlar {
namespace {

using namespace std::chrono_literals;

class DrivenShardOn : public ::testing::TestWithParam<BackendKind> {
 protected:
  void SetUp() override {
    if (GetParam() != BackendKind::uring) return;
    const auto probe = UringBackend::create();
    if (!probe) GTEST_SKIP() << "io_uring is not available: " << probe.error().to_string();
  }
  static RuntimeOptions options(unsigned shards) {
    RuntimeOptions options;
    options.shards = shards;
    options.pin = false;
    options.driven = shards - 1;
    options.backend = GetParam();
    return options;
  }
};

/// As a program would: never waits longer than it was told, and a wait that nothing but the clock could end
/// is one that was told an end.
class ForeignLoop {
 public:
  explicit ForeignLoop(DrivenShard& shard) : shard_(shard), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    const auto descriptor = shard.descriptor();
    EXPECT_TRUE(descriptor);
    EXPECT_EQ(*descriptor, shard.descriptor().value());
    epoll_event event{.events = EPOLLIN, .data = {.fd = *descriptor}};
    EXPECT_EQ(epoll_ctl(epoll_, EPOLL_CTL_ADD, *descriptor, &event), 0);
  }
  ~ForeignLoop() { ::close(epoll_); }
  ForeignLoop(const ForeignLoop&) = delete;
  ForeignLoop& operator=(const ForeignLoop&) = delete;

  void run_until(const bool& done) {
    while (!done) {
      const Duration wait = shard_.poll();
      EXPECT_EQ(Shard::current_or_null(), nullptr);
      if (done || wait == Duration::zero()) continue;
      const bool told = wait < lost;
      const auto limit = std::chrono::ceil<std::chrono::milliseconds>(told ? wait : lost);
      epoll_event event{};
      const int ready = epoll_wait(epoll_, &event, 1, static_cast<int>(limit.count()));
      if (ready < 0 && errno == EINTR) continue;  // the kernel's work for a ring ends any wait
      ++waits_;
      readied_ += ready > 0 ? 1 : 0;
      ASSERT_TRUE(ready > 0 || told) << "nothing woke the loop";
    }
  }
  int waits() const noexcept { return waits_; }
  int readied() const noexcept { return readied_; }

 private:
  static constexpr Duration lost = 5s;
  DrivenShard& shard_;
  int epoll_;
  int waits_ = 0, readied_ = 0;
};

Task<Result<>> write_sync_read(std::string path) {
  File file = CO_TRY(co_await File::open(path, O_RDWR | O_CREAT | O_TRUNC));
  for (int i = 0; i < 20; ++i) {
    std::string text(10'000, static_cast<char>('a' + i));
    CO_TRY(co_await file.write(as_bytes(text), 0));
    CO_TRY(co_await file.sync());
    std::string back(text.size(), '\0');
    CO_TRY(co_await file.read({reinterpret_cast<std::byte*>(back.data()), back.size()}, 0));
    EXPECT_EQ(back, text);
  }
  CO_TRY(co_await file.close());
  co_return co_await unlink_file(path);
}

Task<Result<>> all_kinds(std::string path, bool* done) {
  CO_TRY(co_await write_sync_read(path));
  EXPECT_TRUE(co_await sleep_for(3ms));
  const int answer = co_await invoke(ShardId{0}, []() -> Task<int> {
    EXPECT_TRUE(co_await sleep_for(3ms));  // so that the driven shard waits
    co_return 7;
  });
  EXPECT_EQ(answer, 7);
  *done = true;
  co_return Result<>{};
}

Task<Result<>> nothing() {
  co_return Result<>{};
}

TEST_P(DrivenShardOn, AForeignLoopRunsItByItsDescriptor) {
  const std::string path = testing::TempDir() + "/ashlar_driven_test." + std::to_string(::getpid());
  Runtime runtime(options(2));
  bool done = false;
  ASSERT_TRUE(runtime.start(
      [&](Shard& shard) { return shard.id() == ShardId{1} ? all_kinds(path, &done) : nothing(); }));
  ASSERT_NE(runtime.driven(), nullptr);
  EXPECT_TRUE(runtime.driven()->here());
  EXPECT_EQ(Shard::current_or_null(), nullptr);
  {
    ForeignLoop loop(*runtime.driven());
    loop.run_until(done);
    EXPECT_GT(loop.readied(), 0);
  }
  EXPECT_TRUE(runtime.join());
  EXPECT_EQ(runtime.driven(), nullptr);
  EXPECT_EQ(Shard::current_or_null(), nullptr);
}

TEST_P(DrivenShardOn, MessagesOfOtherThreadsWakeTheLoop) {
  static constexpr int rounds = 200;
  struct Ping : Message {
    std::atomic<bool> answered{false};
    int* count = nullptr;
    bool* done = nullptr;
  };
  Runtime runtime(options(1));
  ASSERT_TRUE(runtime.start([&](Shard&) -> Task<Result<>> {
    (void)co_await runtime.stop_event().wait();
    co_return Result<>{};
  }));
  int count = 0;
  bool done = false;
  Shard& shard = runtime.shard(ShardId{0});
  std::thread other([&] {
    for (int i = 0; i < rounds; ++i) {
      Ping ping;
      ping.count = &count;
      ping.done = &done;
      ping.deliver = [](Message& message) noexcept {
        auto& self = static_cast<Ping&>(message);
        *self.done = ++*self.count == rounds;
        self.answered.store(true);
        self.answered.notify_one();
      };
      shard.post(ping);
      ping.answered.wait(false);
      if (i % 8 == 0) std::this_thread::sleep_for(1ms);  // so that the loop is found waiting, and not
    }
  });
  {
    ForeignLoop loop(*runtime.driven());
    loop.run_until(done);
  }
  other.join();
  EXPECT_EQ(count, rounds);
  runtime.request_stop();
  EXPECT_TRUE(runtime.join());
}

TEST_P(DrivenShardOn, ALoopWithNothingElseToWaitForSleepsInIt) {
  Runtime runtime(options(1));
  std::atomic<bool> done{false};
  ASSERT_TRUE(runtime.start([&](Shard&) -> Task<Result<>> {
    EXPECT_TRUE(co_await sleep_for(5ms));
    done.store(true);
    (void)co_await runtime.stop_event().wait();
    co_return Result<>{};
  }));
  DrivenShard& shard = *runtime.driven();
  int turns = 0;
  for (; !done; ++turns) (void)shard.run_once(1s);
  EXPECT_LT(turns, 20);  // it slept, and did not spin
  EXPECT_FALSE(shard.run_once(1ms));

  std::atomic<bool> end{false};
  std::thread other([&] {
    std::this_thread::sleep_for(2ms);
    end.store(true);
    shard.wake();
  });
  shard.run_until(end);
  other.join();
  runtime.request_stop();
  EXPECT_TRUE(runtime.join());
}

TEST_P(DrivenShardOn, IsAtRestNoMoreWhileJoinDrivesIt) {
  Runtime runtime(options(1));
  bool at_rest = true;
  ASSERT_TRUE(runtime.start([&](Shard& shard) -> Task<Result<>> {
    EXPECT_TRUE(co_await sleep_for(1ms));
    at_rest = shard.sleeping();  // then every message would wake it by a system call
    co_return Result<>{};
  }));
  EXPECT_TRUE(runtime.drives_here());
  (void)runtime.driven()->poll();
  EXPECT_TRUE(runtime.shard(ShardId{0}).sleeping());
  std::this_thread::sleep_for(2ms);  // join() finds something to do at once
  EXPECT_TRUE(runtime.join());
  EXPECT_FALSE(at_rest);
}

TEST_P(DrivenShardOn, AWaitThatSubmitsNothingIsNotCounted) {
  if (GetParam() != BackendKind::uring) GTEST_SKIP() << "counts nothing";
  Runtime runtime(options(1));
  ASSERT_TRUE(runtime.start([&](Shard&) -> Task<Result<>> {
    (void)co_await runtime.stop_event().wait();
    co_return Result<>{};
  }));
  DrivenShard& shard = *runtime.driven();
  ASSERT_TRUE(shard.descriptor());
  while (shard.run_once(1ms)) {
  }
  const RingStats& stats = *runtime.shard(ShardId{0}).rings().stats(IoRole::automatic);
  const std::uint64_t before = stats.enters;
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(shard.run_once(1ms));
  EXPECT_EQ(stats.enters, before);
  runtime.request_stop();
  EXPECT_TRUE(runtime.join());
}

INSTANTIATE_TEST_SUITE_P(Backends, DrivenShardOn, ::testing::Values(BackendKind::uring, BackendKind::epoll),
                         [](const auto& info) {
                           return std::string(info.param == BackendKind::uring ? "uring" : "epoll");
                         });

}  // namespace
}  // namespace ashlar
