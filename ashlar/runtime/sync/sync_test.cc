#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "ashlar/runtime/sync/condition.h"
#include "ashlar/runtime/sync/mutex.h"
#include "ashlar/runtime/sync/semaphore.h"
#include "ashlar/runtime/sync/sleep.h"
#include "ashlar/runtime/sync/task_channel.h"
#include "ashlar/runtime/sync/test_shard.h"

namespace ashlar {
namespace {

using namespace std::chrono_literals;
using testing::TestShard;

struct Sync : ::testing::Test {
  TestShard shard;
  std::string trace;  // what happened, in order
};

Task<void> hold(Mutex* mutex, Duration time, char name, std::string* trace) {
  const auto lock = co_await mutex->lock();
  *trace += name;
  (void)co_await sleep_for(time);
  *trace += name;
}

TEST_F(Sync, MutexIsExclusiveAndFair) {
  Mutex mutex;
  for (char name : {'a', 'b', 'c'}) shard->scope().spawn(hold(&mutex, 1ms, name, &trace));
  shard.settle();
  EXPECT_EQ(trace, "a");
  EXPECT_FALSE(mutex.try_lock());
  shard.run(hold(&mutex, 0ms, 'd', &trace));
  EXPECT_EQ(trace, "aabbccdd");
  EXPECT_FALSE(mutex.locked());
  {
    auto lock = mutex.try_lock();
    EXPECT_TRUE(lock);
    auto moved = std::move(lock);
    EXPECT_TRUE(mutex.locked());
  }
  EXPECT_FALSE(mutex.locked());
}

Task<void> take(Semaphore* semaphore, std::uint64_t count, char name, std::string* trace) {
  auto units = co_await semaphore->acquire(count);
  if (!units) {
    EXPECT_EQ(units.error().code, Errc::cancelled);
    *trace += '!';
    co_return;
  }
  EXPECT_EQ(units->count(), count);
  *trace += name;
  (void)co_await sleep_for(1ms);
}

TEST_F(Sync, SemaphoreServesInOrderOfArrival) {
  Semaphore semaphore(3);
  TaskScope& scope = shard->scope();
  scope.spawn(take(&semaphore, 2, 'a', &trace));
  scope.spawn(take(&semaphore, 3, 'b', &trace));
  scope.spawn(take(&semaphore, 1, 'c', &trace));  // would fit beside a, but b came first
  shard.settle();
  EXPECT_EQ(trace, "a");
  EXPECT_FALSE(semaphore.try_acquire(1));
  shard.run(take(&semaphore, 1, 'd', &trace));
  EXPECT_EQ(trace, "abcd");
  EXPECT_EQ(semaphore.available(), 3u);
}

TEST_F(Sync, CancellingTheFirstInASemaphoreLetsTheNextIn) {
  Semaphore semaphore(2);
  auto held = semaphore.try_acquire(1);
  TaskScope large(nullptr), small(nullptr);
  large.spawn(take(&semaphore, 2, 'l', &trace));
  small.spawn(take(&semaphore, 1, 's', &trace));
  shard.settle();
  EXPECT_EQ(trace, "");
  large.cancel();
  shard.settle();
  EXPECT_EQ(trace, "!s");
  shard.run(take(&semaphore, 1, 'x', &trace));
  held.release();
  EXPECT_EQ(semaphore.available(), 2u);
}

TEST_F(Sync, WhatWasGrantedIsNotLostToACancellationThatComesLater) {
  Semaphore semaphore(0);
  TaskScope scope(nullptr);
  scope.spawn(take(&semaphore, 1, 'a', &trace));
  shard.settle();
  semaphore.release(1);  // made ready, not yet resumed
  scope.cancel();
  shard.settle();
  EXPECT_EQ(trace, "a");
  EXPECT_EQ(scope.live(), 0u);  // its sleep was cut short
  EXPECT_EQ(semaphore.available(), 1u);
}

Task<void> wait_for(Condition* condition, const bool* set, char name, std::string* trace) {
  while (!*set) {
    if (!co_await condition->wait()) {
      *trace += '!';
      co_return;
    }
  }
  *trace += name;
}

TEST_F(Sync, ConditionNotifiesOneOrAll) {
  Condition condition;
  bool set = false;
  TaskScope scope(nullptr);
  for (char name : {'a', 'b', 'c', 'd'}) scope.spawn(wait_for(&condition, &set, name, &trace));
  condition.notify_all();  // nobody yet
  shard.settle();
  condition.notify_one();  // a looks, and waits again, now last
  shard.settle();
  EXPECT_EQ(trace, "");
  set = true;
  condition.notify_one();
  shard.settle();
  EXPECT_EQ(trace, "b");
  condition.notify_all();
  shard.settle();
  EXPECT_EQ(trace, "bcda");
}

TEST_F(Sync, ConditionIsCancellable) {
  Condition condition;
  bool set = false;
  TaskScope scope(nullptr);
  scope.spawn(wait_for(&condition, &set, 'a', &trace));
  shard.settle();
  scope.cancel();
  scope.spawn(wait_for(&condition, &set, 'b', &trace));  // does not begin to wait
  shard.settle();
  EXPECT_EQ(trace, "!!");
  EXPECT_FALSE(condition.has_waiters());
}

Task<void> produce(TaskChannel<int>* channel, int from, int to, std::string* trace) {
  for (int i = from; i < to; ++i) {
    const auto sent = co_await channel->send(i);
    if (!sent) {
      *trace += sent.error().code == Errc::closed ? 'x' : '!';
      co_return;
    }
  }
}
Task<void> consume(TaskChannel<int>* channel, std::vector<int>* into, std::string* trace) {
  for (;;) {
    auto item = co_await channel->receive();
    if (!item) {
      *trace += item.error().code == Errc::closed ? 'x' : '!';
      co_return;
    }
    into->push_back(*item);
  }
}

TEST_F(Sync, ChannelKeepsOrderAtAnyCapacity) {
  for (std::size_t capacity : {0u, 1u, 2u, 7u, 1000u}) {
    TaskChannel<int> channel(capacity);
    std::vector<int> got;
    TaskScope scope(nullptr);
    scope.spawn(produce(&channel, 0, 100, &trace));
    shard.settle();
    EXPECT_EQ(channel.size(), std::min<std::size_t>(capacity, 100));
    scope.spawn(consume(&channel, &got, &trace));
    shard.settle();
    ASSERT_EQ(got.size(), 100u);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(got[static_cast<std::size_t>(i)], i);
    channel.close();
    shard.settle();
    EXPECT_EQ(trace, "x");
    EXPECT_EQ(scope.live(), 0u);
    trace.clear();
  }
}

TEST_F(Sync, ClosedChannelIsDrainedFirst) {
  TaskChannel<int> channel(2);
  std::vector<int> got;
  TaskScope scope(nullptr);
  scope.spawn(produce(&channel, 0, 9, &trace));
  shard.settle();
  channel.close();
  shard.settle();
  EXPECT_EQ(trace, "x");
  int refused = 7;
  EXPECT_FALSE(channel.try_send(refused));
  EXPECT_EQ(refused, 7);
  scope.spawn(consume(&channel, &got, &trace));
  shard.settle();
  EXPECT_EQ(trace, "xx");
  EXPECT_EQ(got, (std::vector{0, 1}));
}

TEST_F(Sync, ChannelIsCancellableOnBothEnds) {
  TaskChannel<int> channel(1);
  std::vector<int> got;
  TaskScope senders(nullptr), receivers(nullptr);
  senders.spawn(produce(&channel, 0, 9, &trace));
  shard.settle();
  senders.cancel();
  shard.settle();
  EXPECT_EQ(trace, "!");
  receivers.spawn(consume(&channel, &got, &trace));
  shard.settle();
  EXPECT_EQ(got, (std::vector{0}));  // what was not accepted was not sent
  receivers.cancel();
  shard.settle();
  EXPECT_EQ(trace, "!!");
  int item = 5;
  EXPECT_TRUE(channel.try_send(item));
  EXPECT_EQ(channel.try_receive(), 5);
  EXPECT_EQ(channel.try_receive(), std::nullopt);
}

}  // namespace
}  // namespace ashlar
