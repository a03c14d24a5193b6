#pragma once

/// Running something on another shard and awaiting its value there and back. Nothing is allocated for a plain
/// function: the message, the function and the result live in the caller's frame.
///
///   auto count = co_await invoke(owner, [&] { return partition.entry_count(); });
///   auto value = co_await invoke(owner, [&] { return partition.get(key); });   // a Task runs there, its
///   value comes back
///
/// What the function refers to must be safe to use from the other shard while the caller waits. On the
/// caller's own shard the function runs at once. The wait is not cancellable: the other shard holds
/// references into this frame.

#include <coroutine>
#include <optional>
#include <type_traits>
#include <utility>

#include "ashlar/runtime/mesh/message.h"
#include "ashlar/runtime/shard/shard.h"
#include "ashlar/runtime/sync/scope.h"
#include "ashlar/runtime/task/task.h"

namespace ashlar {

namespace detail {

template <class T>
struct InvokeResult {
  using Value = T;
  static constexpr bool is_task = false;
};
template <class T>
struct InvokeResult<Task<T>> {
  using Value = T;
  static constexpr bool is_task = true;
};

struct Nothing {};

}  // namespace detail

template <class F>
class [[nodiscard]] InvokeAwaiter : private Message, private Waiter {
  using Kind = detail::InvokeResult<std::invoke_result_t<F&>>;
  using Value = typename Kind::Value;
  using Stored = std::conditional_t<std::is_void_v<Value>, detail::Nothing, Value>;

 public:
  InvokeAwaiter(ShardId target, F function) : target_(target), function_(std::move(function)) {}
  InvokeAwaiter(const InvokeAwaiter&) = delete;

  bool await_ready() {
    if constexpr (!Kind::is_task) {
      if (target_ == Shard::current().id()) {
        call();
        return true;
      }
    }
    return false;
  }
  void await_suspend(std::coroutine_handle<> suspended) {
    arm(suspended);
    home_ = Shard::current().id();
    if (target_ == home_) {
      arrived();
    } else {
      Shard::current().mesh().send(
          target_, *this, [](Message& message) noexcept { static_cast<InvokeAwaiter&>(message).arrived(); });
    }
  }
  Value await_resume() {
    if constexpr (!std::is_void_v<Value>) return std::move(*value_);
  }

 private:
  void call() {
    if constexpr (std::is_void_v<Value>) {
      function_();
    } else {
      value_.emplace(function_());
    }
  }
  // On the target shard. Touches the frame only for what the function needs of it: each of its lines comes
  // from the other core.
  void arrived() noexcept {
    if constexpr (Kind::is_task) {
      Shard::current().scope().spawn(run(this), Waiter::context.share);
    } else {
      call();
      Shard::current().mesh().reply(*this, answered);
    }
  }
  // Back home.
  static void answered(Message& message) noexcept { static_cast<InvokeAwaiter&>(message).make_ready(); }

  static Task<> run(InvokeAwaiter* self) {
    if constexpr (std::is_void_v<Value>) {
      co_await self->function_();
    } else {
      self->value_.emplace(co_await self->function_());
    }
    if (self->home_ == Shard::current().id()) {
      self->make_ready();
    } else {
      Shard::current().mesh().send(self->home_, *self, answered);
    }
  }

  ShardId target_;
  ShardId home_{};
  F function_;
  std::optional<Stored> value_;
};

template <class F>
InvokeAwaiter<F> invoke(ShardId target, F function) {
  return {target, std::move(function)};
}

}  // namespace ashlar
