#pragma once

/// What a background task sleeps on: work that comes, or time that passes.

#include "ashlar/runtime/shard/shard.h"
#include "ashlar/runtime/sync/condition.h"
#include "ashlar/runtime/sync/timer.h"
#include "ashlar/runtime/task/task.h"

namespace ashlar::blob {

/// Owner: one shard; one task waits. A nudge that comes while nobody waits ends the next wait at once.
class Nudge : private Timer {
 public:
  Nudge() noexcept {
    fire = [](Timer& timer) noexcept { static_cast<Nudge&>(timer).nudge(); };
  }
  void nudge() noexcept {
    nudged_ = true;
    condition_.notify_all();
  }
  Task<> wait() {
    while (!nudged_ && co_await condition_.wait()) {
    }
    nudged_ = false;
  }
  Task<> wait_at_most(Duration time) {
    TimerHeap& timers = Shard::current().timers();
    timers.arm(*this, Shard::current().now() + time);
    co_await wait();
    timers.disarm(*this);
  }

 private:
  Condition condition_;
  bool nudged_ = false;
};

}  // namespace ashlar::blob
