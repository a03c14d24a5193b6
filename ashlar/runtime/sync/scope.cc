#include "ashlar/runtime/sync/scope.h"

#include <utility>

namespace ashlar {

/// A coroutine that nobody awaits: it is started through its waiter and frees itself at its end.
struct TaskScope::Root {
  struct promise_type {
    Waiter waiter;

    static void* operator new(std::size_t bytes) { return FramePool::allocate(bytes); }
    static void operator delete(void* frame) noexcept { FramePool::release(frame); }
    Root get_return_object() noexcept { return {*this}; }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }
  };
  promise_type& promise;
};

TaskScope::Root TaskScope::run(Task<void> task, TaskScope* scope) {
  {
    // Its frame ends before the scope hears of it: a joiner may free what the task refers to.
    const Task<void> running = std::move(task);
    co_await running;
  }
  scope->finished();
}

void TaskScope::spawn(Task<void> task, Share share) {
  ++live_;
  Root root = run(std::move(task), this);
  Waiter& waiter = root.promise.waiter;
  waiter.coroutine = std::coroutine_handle<Root::promise_type>::from_promise(root.promise);
  waiter.context = {&cancel_, share};
  waiter.make_ready();
}

void TaskScope::start(Task<void> task) {
  ++live_;
  const Root root = run(std::move(task), this);
  Shard& shard = Shard::current();
  const TaskContext caller = shard.context();
  shard.set_context({&cancel_, caller.share});
  std::coroutine_handle<Root::promise_type>::from_promise(root.promise).resume();
  shard.set_context(caller);
}

}  // namespace ashlar
