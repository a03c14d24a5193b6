#pragma once

/// Waiting until another task of the same shard says that something changed.
///
///   while (queue.empty()) CO_TRY(co_await not_empty.wait());

#include <coroutine>

#include "ashlar/runtime/sync/queued_wait.h"

namespace ashlar {

/// Owner: one shard. FIFO. No lock goes with it: a shard's tasks do not run at once, but another may run
/// between the notification and the resumption, hence the loop above. Destroyed when nobody waits.
class Condition {
 public:
  Condition() = default;
  Condition(const Condition&) = delete;
  Condition& operator=(const Condition&) = delete;

  class [[nodiscard]] Wait final : private QueuedWait {
   public:
    explicit Wait(Condition& condition) noexcept : condition_(condition) {}
    bool await_ready() noexcept { return cancelled_before(); }
    void await_suspend(std::coroutine_handle<> suspended) noexcept {
      enqueue(condition_.waiters_, suspended);
    }
    Result<> await_resume() const noexcept {
      if (cancelled()) return fail(Errc::cancelled, "condition");
      return {};
    }

   private:
    Condition& condition_;
  };

  /// Completes with the next notification that reaches it; `cancelled` where the scope ends first.
  Wait wait() noexcept { return Wait(*this); }
  void notify_one() noexcept {
    if (!waiters_.empty()) waiters_.front().wake();
  }
  void notify_all() noexcept {
    while (!waiters_.empty()) waiters_.front().wake();
  }
  bool has_waiters() const noexcept { return !waiters_.empty(); }

 private:
  WaitQueue waiters_;
};

}  // namespace ashlar
