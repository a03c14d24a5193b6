#include "ashlar/runtime/ops/conformance.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <thread>
#include <vector>

#include "ashlar/runtime/ops/epoll/epoll_backend.h"
#include "ashlar/runtime/ops/sim/sim_backend.h"
#include "ashlar/runtime/ops/uring/uring_backend.h"
#include "ashlar/runtime/sync/sleep.h"

namespace ashlar::testing {

std::string to_string(Subject subject) {
  switch (subject) {
    case Subject::uring: return "uring";
    case Subject::uring_6_0: return "uring_6_0";
    case Subject::uring_5_19: return "uring_5_19";
    case Subject::uring_plain: return "uring_plain";
    case Subject::uring_no_poller: return "uring_no_poller";
    case Subject::epoll: return "epoll";
    case Subject::simulated: return "simulated";
  }
  return "unknown";
}

Result<std::unique_ptr<Backend>> Conformance::make_backend() {
  switch (GetParam()) {
    case Subject::uring:
      return UringBackend::create(
          {.receive_buffer_count = pool_buffers, .receive_buffer_bytes = pool_buffer_bytes});
    case Subject::uring_6_0:
      return UringBackend::create({.receive_buffer_count = pool_buffers,
                                   .receive_buffer_bytes = pool_buffer_bytes,
                                   .pretend = KernelAge::linux_6_0});
    case Subject::uring_5_19:
      return UringBackend::create({.receive_buffer_count = pool_buffers,
                                   .receive_buffer_bytes = pool_buffer_bytes,
                                   .pretend = KernelAge::linux_5_19,
                                   .cancels_refused = 5});
    case Subject::uring_plain:
      return UringBackend::create({.submission_entries = 4,
                                   .completion_entries = 8,
                                   .receive_buffer_count = pool_buffers,
                                   .receive_buffer_bytes = pool_buffer_bytes,
                                   .registered_files_max = 0,
                                   .pretend = KernelAge::linux_5_11});
    case Subject::uring_no_poller:
      return UringBackend::create({.receive_buffer_count = pool_buffers,
                                   .receive_buffer_bytes = pool_buffer_bytes,
                                   .sqpoll_error = EPERM});
    case Subject::epoll:
      return EpollBackend::create({.file_threads_max = 4,
                                   .receive_buffer_count = pool_buffers,
                                   .receive_buffer_bytes = pool_buffer_bytes});
    case Subject::simulated:
      environment_.emplace(
          sim::EnvironmentOptions{
              .network = {}, .receive_buffers = pool_buffers, .receive_buffer_bytes = pool_buffer_bytes},
          disk_);
      return std::make_unique<sim::SimBackend>(*environment_);
  }
  return fail(Errc::invalid, "unknown subject");
}

void Conformance::SetUp() {
  auto backend = make_backend();
  if (!backend) GTEST_SKIP() << to_string(GetParam()) << " is not available: " << backend.error().to_string();
  shard_ = std::make_unique<Shard>(ShardId(0), *std::move(backend), mesh_, ShardOptions{});
  Shard::enter(shard_.get());
  if (simulated()) {
    directory_ = "/test";
    ASSERT_TRUE(shard_->backend().make_directory(directory_));
  } else {
    std::string pattern = ::testing::TempDir() + "ashlar_conformance_XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
}

void Conformance::TearDown() {
  if (shard_ == nullptr) return;
  EXPECT_EQ(shard_->backend().in_flight(), 0u);
  EXPECT_EQ(shard_->frames().frames_live(), 0u);
  shard_.reset();
  Shard::enter(nullptr);
  if (!simulated()) std::filesystem::remove_all(directory_);
}

void Conformance::run(Task<Result<>> task) {
  bool done = false;
  const auto check = [](Task<Result<>> tested, bool* ended) -> Task<> {
    const Result<> result = co_await tested;
    EXPECT_TRUE(result) << result.error().to_string();
    *ended = true;
  };
  shard_->scope().spawn(check(std::move(task), &done), Share::foreground);

  Instant progress = shard_->now();
  while (!done || shard_->scope().live() != 0 || shard_->backend().in_flight() != 0) {
    if (shard_->poll_once()) {
      progress = shard_->now();
      continue;
    }
    if (shard_->now() - progress > std::chrono::seconds(20)) {
      ADD_FAILURE() << "nothing has happened for 20 s: " << shard_->scope().live() << " tasks, "
                    << shard_->backend().in_flight() << " operations are left";
      std::abort();  // their frames cannot be taken down
    }
    shard_->sleep(progress + std::chrono::seconds(30));
  }
}

}  // namespace ashlar::testing

namespace ashlar {
namespace {

using namespace std::chrono_literals;

class LoopConformance : public testing::Conformance {};

TEST_P(LoopConformance, TimersFireInOrderAndNeverEarly) {
  run([]() -> Task<Result<>> {
    struct Alarm : Timer {
      int id = 0;
      std::vector<int>* order = nullptr;
    };
    std::vector<int> order;
    std::vector<Alarm> alarms(20);
    const Instant start = Shard::current().now();
    for (int i = 0; i < 20; ++i) {
      Alarm& alarm = alarms[static_cast<std::size_t>(i)];
      alarm.id = (i * 7) % 20;
      alarm.order = &order;
      alarm.fire = [](Timer& timer) noexcept {
        const auto& self = static_cast<Alarm&>(timer);
        EXPECT_GE(Shard::current().now(), self.when);
        self.order->push_back(self.id);
      };
      Shard::current().timers().arm(alarm, start + 1ms * alarm.id);
    }
    while (order.size() < alarms.size()) CO_TRY(co_await sleep_for(1ms));
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
    EXPECT_GE(Shard::current().backend().wall_ms(), 1'500'000'000'000u);
    EXPECT_NE(Shard::current().random(), Shard::current().random());
    co_return Result<>{};
  }());
}

TEST_P(LoopConformance, AForeignThreadWakesASleepingShard) {
  if (simulated()) GTEST_SKIP() << "a simulated world has one thread";
  struct Ping : Message {
    int* count = nullptr;
  };
  int count = 0;
  std::vector<Ping> pings(200);
  std::thread poster([&] {
    for (Ping& ping : pings) {
      ping.count = &count;
      ping.deliver = [](Message& message) noexcept { ++*static_cast<Ping&>(message).count; };
      std::this_thread::sleep_for(50us);
      shard().post(ping);
    }
  });
  while (count < 200) {
    if (!shard().poll_once()) shard().sleep();  // for ever: only a wake-up ends it
  }
  poster.join();
}

INSTANTIATE_TEST_SUITE_P(Backends, LoopConformance,
                         ::testing::Values(testing::Subject::uring, testing::Subject::uring_5_19,
                                           testing::Subject::uring_plain, testing::Subject::epoll,
                                           testing::Subject::simulated),
                         [](const auto& info) { return testing::to_string(info.param); });

}  // namespace
}  // namespace ashlar
