#pragma once

/// Deadlines, in two kinds (D4):
///
///   co_await with_deadline(t, receive(socket));     // cancels the work at t, and waits until it has ended
///   co_await abandon_after(t, read(file, buffer));  // leaves at t; the work goes on, and owns what it
///   touches

#include <coroutine>
#include <memory>
#include <optional>
#include <utility>

#include "ashlar/runtime/sync/scope.h"
#include "ashlar/runtime/sync/timer.h"

namespace ashlar {

namespace detail {

/// Cancels a scope when its time comes. Armed while it lives.
class CancelAt final : private Timer {
 public:
  CancelAt(Instant deadline, CancelScope& scope) noexcept : scope_(scope) {
    fire = [](Timer& timer) noexcept {
      auto& self = static_cast<CancelAt&>(timer);
      self.expired_ = true;
      self.scope_.cancel();
    };
    if (deadline != never) Shard::current().timers().arm(*this, deadline);
  }
  CancelAt(const CancelAt&) = delete;
  CancelAt& operator=(const CancelAt&) = delete;
  ~CancelAt() { Shard::current().timers().disarm(*this); }

  bool expired() const noexcept { return expired_; }

 private:
  CancelScope& scope_;
  bool expired_ = false;
};

}  // namespace detail

/// Runs `task` under a scope of its own that is cancelled at `deadline`. Returns what the task returns, but
/// timed_out for a task that ended with `cancelled` because of the deadline. Returns only once the task has
/// ended.
template <class T>
Task<Result<T>> with_deadline(Instant deadline, Task<Result<T>> task) {
  Shard& shard = Shard::current();
  const TaskContext outer = shard.context();
  CancelScope scope(outer.cancel);
  const detail::CancelAt timer(deadline, scope);
  shard.set_context({&scope, outer.share});
  Result<T> result = co_await task;
  shard.set_context(outer);
  if (!result && result.error().code == Errc::cancelled && timer.expired()) {
    result.error().code = Errc::timed_out;
  }
  co_return result;
}

/// Waits for a task that goes on in the shard's own scope, until it ends, `deadline` passes (timed_out) or
/// the caller's scope is cancelled (cancelled). In the latter two cases the task goes on to its end and its
/// result is dropped: it must own its buffers and refer to nothing of the caller.
template <class T>
class [[nodiscard]] AbandonAfter final : private Waiter, private Timer, private Cancellable {
 public:
  AbandonAfter(Instant deadline, Task<Result<T>> task) noexcept : task_(std::move(task)) { when = deadline; }

  bool await_ready() noexcept {
    const CancelScope* scope = Shard::current().context().cancel;
    if (scope == nullptr || !scope->cancelled()) return false;
    result_ = fail(Errc::cancelled, "deadline");
    return true;
  }
  void await_suspend(std::coroutine_handle<> suspended) {
    Shard& shard = Shard::current();
    Waiter::arm(suspended);
    if (Waiter::context.cancel != nullptr) Waiter::context.cancel->add(*this);
    if (when != never) {
      fire = [](Timer& timer) noexcept {
        auto& self = static_cast<AbandonAfter&>(timer);
        CancelScope::withdraw(self);
        self.leave(Errc::timed_out);
      };
      shard.timers().arm(*this, when);
    }
    auto link = std::make_unique<Link>(this);
    link_ = link.get();
    shard.scope().spawn(carry_out(std::move(task_), std::move(link)), Waiter::context.share);
  }
  Result<T> await_resume() noexcept { return *std::move(result_); }

 private:
  /// Owned by the task; leads to the waiter for as long as it waits.
  struct Link {
    explicit Link(AbandonAfter* to) noexcept : waiter(to) {}
    static void* operator new(std::size_t bytes) { return FramePool::allocate(bytes); }
    static void operator delete(void* memory) noexcept { FramePool::release(memory); }
    AbandonAfter* waiter;
  };

  static Task<void> carry_out(Task<Result<T>> task, std::unique_ptr<Link> link) {
    Result<T> result = co_await task;
    if (link->waiter != nullptr) link->waiter->finish(std::move(result));
  }
  void finish(Result<T> result) noexcept {
    CancelScope::withdraw(*this);
    Shard::current().timers().disarm(*this);
    result_ = std::move(result);
    make_ready();
  }
  void leave(Errc why) noexcept {
    link_->waiter = nullptr;
    result_ = fail(why, "deadline");
    make_ready();
  }
  void on_cancel() noexcept override {
    Shard::current().timers().disarm(*this);
    leave(Errc::cancelled);
  }

  Task<Result<T>> task_;
  Link* link_ = nullptr;
  std::optional<Result<T>> result_;
};

template <class T>
AbandonAfter<T> abandon_after(Instant deadline, Task<Result<T>> task) noexcept {
  return {deadline, std::move(task)};
}

}  // namespace ashlar
