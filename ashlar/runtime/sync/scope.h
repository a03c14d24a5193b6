#pragma once

/// TaskScope: tasks that cannot outlive it.
///
///   TaskScope scope;
///   scope.spawn(serve(connection));
///   …
///   scope.cancel();              // wakes every cancellable wait below
///   co_await scope.join();       // must be awaited before the scope goes
///

#include <cassert>
#include <coroutine>
#include <cstddef>

#include "ashlar/runtime/shard/shard.h"
#include "ashlar/runtime/task/cancel.h"
#include "ashlar/runtime/task/task.h"

namespace ashlar {

/// Owner: one shard. Lifecycle: spawn any number of tasks, then join; destroying it with live tasks is a bug.
class TaskScope {
 public:
  /// Under the running task's cancel scope, if there is one.
  TaskScope() noexcept : TaskScope(Shard::current().context().cancel) {}
  explicit TaskScope(CancelScope* parent) noexcept : cancel_(parent) {}
  ~TaskScope() { assert(live_ == 0 && "a task outlived its scope: join() it"); }
  TaskScope(const TaskScope&) = delete;
  TaskScope& operator=(const TaskScope&) = delete;

  /// Makes the task ready in the given share; it starts in a later slice of this shard.
  void spawn(Task<void> task, Share share = Shard::current().context().share);
  /// Runs the task at once, in the caller's slice and share, to where it first waits: for one that begins
  /// with I/O, while the caller goes on computing (Shard::hand_over()).
  void start(Task<void> task);

  /// Wakes every cancellable wait of its tasks; later waits of theirs return at once. Idempotent.
  void cancel() noexcept { cancel_.cancel(); }
  bool cancelled() const noexcept { return cancel_.cancelled(); }
  CancelScope& cancel_scope() noexcept { return cancel_; }
  std::size_t live() const noexcept { return live_; }

  /// Completes when no task is live. One joiner at a time.
  class Join : private Waiter {
   public:
    explicit Join(TaskScope& scope) noexcept : scope_(scope) {}
    bool await_ready() const noexcept { return scope_.live_ == 0; }
    void await_suspend(std::coroutine_handle<> suspended) noexcept {
      assert(scope_.joiner_ == nullptr);
      arm(suspended);
      scope_.joiner_ = this;
    }
    void await_resume() const noexcept {}

   private:
    friend class TaskScope;
    TaskScope& scope_;
  };
  [[nodiscard]] Join join() noexcept { return Join(*this); }

 private:
  struct Root;  // the coroutine that runs a spawned task
  static Root run(Task<void> task, TaskScope* scope);
  void finished() noexcept {
    if (--live_ == 0 && joiner_ != nullptr) {
      Waiter* joiner = joiner_;
      joiner_ = nullptr;
      joiner->make_ready();
    }
  }

  CancelScope cancel_;
  Waiter* joiner_ = nullptr;
  std::size_t live_ = 0;
};

}  // namespace ashlar
