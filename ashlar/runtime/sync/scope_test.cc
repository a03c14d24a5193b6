#include "ashlar/runtime/sync/scope.h"

#include <gtest/gtest.h>

#include <string>

#include "ashlar/runtime/sync/event.h"
#include "ashlar/runtime/sync/sleep.h"
#include "ashlar/runtime/sync/test_shard.h"

namespace ashlar {
namespace {

using namespace std::chrono_literals;
using testing::TestShard;

struct Scope : ::testing::Test {
  TestShard shard;
  std::string trace;
};

Task<> sleeper(Duration time, char name, std::string* trace) {
  const auto slept = co_await sleep_for(time);
  *trace += slept ? name : '!';
}

TEST_F(Scope, JoinWaitsForAllAndForNone) {
  shard.run([](std::string* into) -> Task<> {
    TaskScope scope;
    co_await scope.join();
    scope.spawn(sleeper(2ms, 'b', into));
    scope.spawn(sleeper(1ms, 'a', into));
    EXPECT_EQ(scope.live(), 2u);
    co_await scope.join();
    EXPECT_EQ(*into, "ab");
    scope.spawn(sleeper(0ms, 'c', into));  // a scope may be used again
    co_await scope.join();
  }(&trace));
  EXPECT_EQ(trace, "abc");
}

TEST_F(Scope, StartsWithinTheSliceAsATaskOfItsOwn) {
  shard.run([](std::string* into) -> Task<> {
    TaskScope scope;
    const auto context = [] { return Shard::current().context(); };
    const CancelScope* const own = context().cancel;
    scope.start([](std::string* trace, CancelScope* expected) -> Task<> {
      *trace += 'a';
      EXPECT_EQ(Shard::current().context().cancel, expected);
      co_await sleep_for(1ms);
      EXPECT_EQ(Shard::current().context().cancel, expected);
      *trace += 'c';
    }(into, &scope.cancel_scope()));
    *into += 'b';
    EXPECT_EQ(context().cancel, own);
    EXPECT_EQ(scope.live(), 1u);
    co_await scope.join();
    scope.start([](std::string* trace) -> Task<> {
      *trace += 'd';
      co_return;
    }(into));
    EXPECT_EQ(scope.live(), 0u) << "it never waited";
    co_await scope.join();
  }(&trace));
  EXPECT_EQ(trace, "abcd");
}

TEST_F(Scope, CancelReachesNestedScopesAndLaterWaits) {
  TaskScope outer(nullptr);
  outer.spawn([](std::string* into) -> Task<> {
    TaskScope inner;
    inner.spawn([](std::string* deep) -> Task<> {
      TaskScope innermost;
      innermost.spawn(sleeper(1h, 'x', deep));
      co_await innermost.join();
    }(into));
    inner.spawn(sleeper(1h, 'y', into));
    co_await inner.join();
    EXPECT_TRUE(inner.cancelled());
    EXPECT_FALSE(co_await sleep_for(1h));  // does not even begin
    *into += '.';
  }(&trace));
  shard.settle();
  EXPECT_EQ(trace, "");
  outer.cancel();
  outer.cancel();
  shard.settle();
  EXPECT_EQ(trace, "!!.");
  outer.spawn(sleeper(1h, 'z', &trace));
  shard.settle();
  EXPECT_EQ(trace, "!!.!");
  EXPECT_EQ(outer.live(), 0u);
}

TEST_F(Scope, CancellingAChildLeavesItsParentAlone) {
  TaskScope outer(nullptr);
  outer.spawn([](std::string* into) -> Task<> {
    TaskScope inner;
    inner.spawn(sleeper(1h, 'x', into));
    (void)co_await sleep_for(1ms);
    inner.cancel();
    co_await inner.join();
    EXPECT_TRUE(co_await sleep_for(1ms));
    *into += '.';
  }(&trace));
  shard.run([](TaskScope* scope) -> Task<> { co_await scope->join(); }(&outer));
  EXPECT_EQ(trace, "!.");
}

TEST_F(Scope, TasksKeepTheirShareAndScopeAcrossSuspensions) {
  TaskScope scope(nullptr);
  scope.spawn(
      [](TaskScope* expected) -> Task<> {
        for (int i = 0; i < 3; ++i) {
          EXPECT_EQ(Shard::current().context().share, Share::background);
          EXPECT_EQ(Shard::current().context().cancel, &expected->cancel_scope());
          co_await yield();
          (void)co_await sleep_for(1ms);
        }
        TaskScope children;
        children.spawn([]() -> Task<> {
          EXPECT_EQ(Shard::current().context().share, Share::background) << "inherited";
          co_return;
        }());
        co_await children.join();
      }(&scope),
      Share::background);
  scope.spawn(
      []() -> Task<> {
        for (int i = 0; i < 5; ++i) {
          EXPECT_EQ(Shard::current().context().share, Share::flush);
          co_await yield();
        }
      }(),
      Share::flush);
  shard.run([](TaskScope* all) -> Task<> { co_await all->join(); }(&scope));
}

TEST_F(Scope, ATaskThatNeverRanLeavesNothingBehind) {
  {
    const Task<> unused = sleeper(1h, 'x', &trace);
  }
  EXPECT_EQ(shard->frames().frames_live(), 0u);
}

TEST_F(Scope, EventWakesAllWaitersAndOutlastsThem) {
  Event event;
  TaskScope scope(nullptr);
  const auto waiter = [](Event* waited, std::string* into) -> Task<> {
    *into += co_await waited->wait() ? 'e' : '!';
  };
  TaskScope cancelled(nullptr);
  cancelled.spawn(waiter(&event, &trace));
  for (int i = 0; i < 3; ++i) scope.spawn(waiter(&event, &trace));
  shard.settle();
  cancelled.cancel();
  shard.settle();
  EXPECT_EQ(trace, "!");
  event.set();
  event.set();
  scope.spawn(waiter(&event, &trace));
  shard.settle();
  EXPECT_EQ(trace, "!eeee");
}

}  // namespace
}  // namespace ashlar
