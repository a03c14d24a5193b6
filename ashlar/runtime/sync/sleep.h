#pragma once

/// Waiting for time, and giving way.

#include <coroutine>

#include "ashlar/base/result.h"
#include "ashlar/runtime/shard/shard.h"
#include "ashlar/runtime/task/cancel.h"

namespace ashlar {

/// `co_await sleep_until(t)`: ok at or after `t`; `cancelled` where the scope ends first.
class [[nodiscard]] SleepAwaiter final : private Timer, private Waiter, private Cancellable {
 public:
  explicit SleepAwaiter(Instant when) noexcept { Timer::when = when; }
  bool await_ready() noexcept {
    const CancelScope* scope = Shard::current().context().cancel;
    cancelled_ = scope != nullptr && scope->cancelled();
    return cancelled_;
  }
  void await_suspend(std::coroutine_handle<> suspended) noexcept {
    arm(suspended);
    fire = [](Timer& timer) noexcept {
      auto& self = static_cast<SleepAwaiter&>(timer);
      CancelScope::withdraw(self);
      self.make_ready();
    };
    Shard::current().timers().arm(*this, when);
    if (Waiter::context.cancel != nullptr) Waiter::context.cancel->add(*this);
  }
  Result<> await_resume() const noexcept {
    if (cancelled_) return fail(Errc::cancelled, "sleep");
    return {};
  }

 private:
  void on_cancel() noexcept override {
    Shard::current().timers().disarm(*this);
    cancelled_ = true;
    make_ready();
  }
  using Waiter::arm;

  bool cancelled_ = false;
};

inline SleepAwaiter sleep_until(Instant when) noexcept {
  return SleepAwaiter(when);
}
inline SleepAwaiter sleep_for(Duration duration) noexcept {
  return SleepAwaiter(Shard::current().now() + duration);
}

/// `co_await yield()`: goes behind the ready tasks of its share.
class [[nodiscard]] YieldAwaiter : private Waiter {
 public:
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> suspended) noexcept {
    arm(suspended);
    make_ready();
  }
  void await_resume() const noexcept {}
};
inline YieldAwaiter yield() noexcept {
  return {};
}

}  // namespace ashlar
