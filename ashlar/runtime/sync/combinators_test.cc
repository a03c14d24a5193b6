#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "ashlar/runtime/sync/deadline.h"
#include "ashlar/runtime/sync/mutex.h"
#include "ashlar/runtime/sync/sleep.h"
#include "ashlar/runtime/sync/test_shard.h"
#include "ashlar/runtime/sync/when.h"

namespace ashlar {
namespace {

using namespace std::chrono_literals;
using testing::TestShard;

struct Combinators : ::testing::Test {
  TestShard shard;
};

template <class T>
Task<Result<T>> after(Duration time, T value) {
  CO_TRY(co_await sleep_for(time));
  co_return value;
}
/// Disk I/O, as far as cancellation goes: it ends when it ends.
Task<Result<int>> stubborn(Duration time, std::shared_ptr<int> ended) {
  const Share share = Shard::current().context().share;
  const TaskContext context = Shard::current().context();
  Shard::current().set_context({nullptr, share});
  (void)co_await sleep_for(time);
  Shard::current().set_context(context);
  ++*ended;
  co_return *ended;
}
Task<void> nothing() {
  co_return;
}

TEST_F(Combinators, WhenAllRunsAtOnceAndKeepsOrder) {
  const Instant start = shard->now();
  auto test = []() -> Task<void> {
    auto [number, text, none] = co_await when_all(
        after(3ms, 7), after<std::unique_ptr<std::string>>(2ms, std::make_unique<std::string>("x")),
        nothing());
    EXPECT_EQ(number, 7);
    EXPECT_EQ(**text, "x");
    static_assert(std::is_same_v<decltype(none), std::monostate>);
  };
  shard.run(test());
  EXPECT_EQ(shard->now() - start, 3ms);
}

TEST_F(Combinators, WhenAllOfManyAndOfNone) {
  auto test = []() -> Task<void> {
    std::vector<Task<Result<int>>> tasks;
    for (int i = 0; i < 50; ++i) tasks.push_back(after(Duration(50 - i), i));
    auto values = co_await when_all(std::move(tasks));
    EXPECT_EQ(values.size(), 50u);
    for (int i = 0; i < 50; ++i) EXPECT_EQ(values[static_cast<std::size_t>(i)], i);
    EXPECT_TRUE((co_await when_all(std::vector<Task<void>>())).empty());
  };
  shard.run(test());
}

TEST_F(Combinators, WhenAnyCancelsAndAwaitsTheLosers) {
  const Instant start = shard->now();
  auto ended = std::make_shared<int>(0);
  auto test = [](std::shared_ptr<int> counter) -> Task<void> {
    auto winner = co_await when_any(after(1h, 1), after(1ms, 2), stubborn(5ms, counter));
    EXPECT_EQ(winner.index(), 1u);
    EXPECT_EQ(std::get<1>(winner), 2);
    EXPECT_EQ(*counter, 1) << "a loser that cannot be cancelled is awaited";

    std::vector<Task<Result<int>>> tasks;
    for (int i = 0; i < 5; ++i) tasks.push_back(after(i == 3 ? 1ms : 1h, i));
    auto first = co_await when_any(std::move(tasks));
    EXPECT_EQ(first.index, 3u);
    EXPECT_EQ(first.value, 3);
  };
  shard.run(test(ended));
  EXPECT_EQ(shard->now() - start, 6ms);
}

TEST_F(Combinators, CancellationReachesEveryChild) {
  TaskScope scope(nullptr);
  bool done = false;
  auto test = [](bool* flag) -> Task<void> {
    auto [a, b] = co_await when_all(after(1h, 1), with_deadline(Instant(2h), after(1h, 2)));
    EXPECT_EQ(a.error().code, Errc::cancelled);
    EXPECT_EQ(b.error().code, Errc::cancelled) << "not timed_out: the deadline had nothing to do with it";
    *flag = true;
  };
  scope.spawn(test(&done));
  shard.settle();
  scope.cancel();
  shard.settle();
  EXPECT_TRUE(done);
}

TEST_F(Combinators, DeadlineCutsShortAndRestoresTheContext) {
  const Instant start = shard->now();
  auto test = [](Instant begin) -> Task<void> {
    auto late = co_await with_deadline(begin + 1ms, after(1h, 1));
    EXPECT_EQ(late.error().code, Errc::timed_out);
    auto early = co_await with_deadline(begin + 1h, after(1ms, 2));
    EXPECT_EQ(early, 2);
    EXPECT_TRUE(co_await sleep_for(1ms)) << "the deadline's scope must not stay in force";
    auto nested = co_await with_deadline(begin + 10ms, with_deadline(begin + 1h, after(2h, 3)));
    EXPECT_EQ(nested.error().code, Errc::timed_out);
    auto unlimited = co_await with_deadline(never, after(1ms, 4));
    EXPECT_EQ(unlimited, 4);
  };
  shard.run(test(start));
  EXPECT_EQ(shard->now() - start, 11ms);
}

TEST_F(Combinators, AbandonedWorkGoesOnAndOwnsItsMemory) {
  const Instant start = shard->now();
  auto ended = std::make_shared<int>(0);
  auto test = [](Instant begin, std::shared_ptr<int> counter) -> Task<void> {
    auto left = co_await abandon_after(begin + 1ms, stubborn(5ms, counter));
    EXPECT_EQ(left.error().code, Errc::timed_out);
    EXPECT_EQ(Shard::current().now() - begin, 1ms);
    EXPECT_EQ(*counter, 0);
    auto stayed = co_await abandon_after(begin + 1h, stubborn(1ms, counter));
    EXPECT_EQ(stayed, 1);
    EXPECT_EQ(co_await abandon_after(never, stubborn(1ms, counter)), 2);
  };
  shard.run(test(start, ended));
  EXPECT_EQ(*ended, 3);
  EXPECT_EQ(ended.use_count(), 1);
  EXPECT_EQ(shard->now() - start, 5ms);
}

TEST_F(Combinators, CancellingAnAbandonableWaitLeavesAtOnce) {
  auto ended = std::make_shared<int>(0);
  TaskScope scope(nullptr);
  auto test = [](std::shared_ptr<int> counter) -> Task<void> {
    auto left = co_await abandon_after(Instant(1h), stubborn(5ms, counter));
    EXPECT_EQ(left.error().code, Errc::cancelled);
    left = co_await abandon_after(Instant(1h), stubborn(5ms, counter));  // never starts
    EXPECT_EQ(left.error().code, Errc::cancelled);
  };
  scope.spawn(test(ended));
  shard.settle();
  scope.cancel();
  shard.settle();
  EXPECT_EQ(scope.live(), 0u);
  EXPECT_EQ(*ended, 0);
  shard.run(nothing());
  EXPECT_EQ(*ended, 1);
}

}  // namespace
}  // namespace ashlar
