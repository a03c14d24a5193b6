#pragma once

/// The bridge between operations and coroutines: suspends the task, submits, and makes it ready at
/// completion.

#include <cassert>
#include <cerrno>
#include <coroutine>

#include "ashlar/base/result.h"
#include "ashlar/runtime/ops/operation.h"
#include "ashlar/runtime/shard/shard.h"
#include "ashlar/runtime/task/cancel.h"

namespace ashlar {

/// An operation that one task awaits once. Not cancellable: for files, whose buffers the kernel owns until
/// the end.
class [[nodiscard]] OperationAwaiter : protected Operation, private Waiter {
 public:
  OperationAwaiter() = default;
  OperationAwaiter(const OperationAwaiter&) = delete;
  OperationAwaiter& operator=(const OperationAwaiter&) = delete;

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> suspended) noexcept {
    arm(suspended);
    complete = [](Operation& done) noexcept { static_cast<OperationAwaiter&>(done).make_ready(); };
    Shard::current().submit(*this);
  }

 protected:
  ~OperationAwaiter() { assert(state == State::idle && "destroyed in flight"); }

  const char* where_ = "";    ///< static string for errors
  std::uint64_t object_ = 0;  ///< for errors: the caller's number of the file
  Result<> status() const noexcept {
    if (result < 0) [[unlikely]]
      return fail_errno(static_cast<int>(-result), where_, {object_, offset});
    return {};
  }
};

/// The same for operations that a scope can end early: sockets.
class [[nodiscard]] CancellableAwaiter : protected Operation, private Waiter, private Cancellable {
 public:
  CancellableAwaiter() = default;

  bool await_ready() noexcept {
    const CancelScope* scope = Shard::current().context().cancel;
    if (scope == nullptr || !scope->cancelled()) return false;
    result = -ECANCELED;
    return true;
  }
  void await_suspend(std::coroutine_handle<> suspended) noexcept {
    arm(suspended);
    complete = [](Operation& done) noexcept {
      auto& self = static_cast<CancellableAwaiter&>(done);
      CancelScope::withdraw(self);
      self.make_ready();
    };
    if (Waiter::context.cancel != nullptr) Waiter::context.cancel->add(*this);
    Shard::current().backend().submit(*this);
  }

 protected:
  ~CancellableAwaiter() { assert(state == State::idle && "destroyed in flight"); }

  const char* where_ = "";
  Result<> status() const noexcept {
    if (result < 0) [[unlikely]]
      return fail_errno(static_cast<int>(-result), where_);
    return {};
  }

 private:
  void on_cancel() noexcept override { Shard::current().backend().cancel(*this); }
};

}  // namespace ashlar
