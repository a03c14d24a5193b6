#include "ashlar/runtime/shard/stall_detector.h"

#include <gtest/gtest.h>

#include <functional>
#include <mutex>

#include "ashlar/runtime/ops/epoll/epoll_backend.h"
#include "ashlar/runtime/sync/scope.h"
#include "ashlar/runtime/sync/sleep.h"

namespace ashlar {

// With a name that a stack can show.
[[gnu::noinline]] void hold_the_shard_until(const std::function<bool()>& enough) {
  const Instant limit = Shard::current().now() + std::chrono::seconds(60);
  while (!enough() && Shard::current().now() < limit) {
  }
}

namespace {

using namespace std::chrono_literals;

class StallDetectorTest : public ::testing::Test {
 public:
  void SetUp() override {
    shard_ =
        std::make_unique<Shard>(ShardId(0), *EpollBackend::create(), mesh_, ShardOptions{.stall = 200ms});
    Shard::enter(shard_.get());
  }
  void TearDown() override {
    shard_.reset();
    Shard::enter(nullptr);
  }
  void run(Task<> task) {
    shard_->scope().spawn(std::move(task), Share::foreground);
    while (shard_->scope().live() != 0) {
      if (!shard_->poll_once()) shard_->sleep();
    }
  }
  std::vector<StallReport> reports() {
    const std::lock_guard lock(mutex_);
    return reports_;
  }

  Mesh mesh_{1};
  std::unique_ptr<Shard> shard_;
  std::mutex mutex_;
  std::vector<StallReport> reports_;
  StallDetector detector_{[this](const StallReport& report) {
    const std::lock_guard lock(mutex_);
    reports_.push_back(report);
  }};
};

TEST_F(StallDetectorTest, ReportsEachStallOnceWithItsStack) {
  const StallDetector::Watch watch(detector_, *shard_);
  run([](StallDetectorTest* test) -> Task<> {
    for (std::size_t stall = 1; stall <= 2; ++stall) {
      (void)co_await sleep_for(1ms);
      hold_the_shard_until([&] { return test->reports().size() == stall; });
      const std::uint64_t looks = test->detector_.looks();
      hold_the_shard_until([&] { return test->detector_.looks() >= looks + 3; });
    }
  }(this));
  const auto seen = reports();
  ASSERT_EQ(seen.size(), 2u);
  for (const StallReport& report : seen) {
    EXPECT_EQ(report.shard, ShardId(0));
    EXPECT_GT(report.held, 200ms);
#if !(defined(__has_feature) && __has_feature(thread_sanitizer))  // which delivers signals when it pleases
    EXPECT_GT(report.stack.size(), 3u);
#endif
  }
}

TEST_F(StallDetectorTest, WellBehavedTasksAreNotReported) {
  const StallDetector::Watch watch(detector_, *shard_);
  run([]() -> Task<> {
    for (int i = 0; i < 300; ++i) (void)co_await sleep_for(1ms);
  }());
  EXPECT_TRUE(reports().empty());
}

TEST_F(StallDetectorTest, CostsNothingWhileAllSleepAndWakesWithTheShard) {
  const StallDetector::Watch watch(detector_, *shard_);
  run([](StallDetectorTest* test) -> Task<> {
    (void)co_await sleep_for(300ms);
    const std::uint64_t before = test->detector_.looks();
    (void)co_await sleep_for(2s);
    EXPECT_LE(test->detector_.looks() - before, 5u) << "it would have looked 20 times";
    hold_the_shard_until([&] { return !test->reports().empty(); });
  }(this));
  EXPECT_EQ(reports().size(), 1u) << "a stall right after the sleep is seen";
}

}  // namespace
}  // namespace ashlar
