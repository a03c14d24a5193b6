#pragma once

/// What mutex, semaphore, condition and channel wait with: a place in a first-in, first-out queue.

#include <coroutine>

#include "ashlar/base/intrusive_list.h"
#include "ashlar/base/result.h"
#include "ashlar/runtime/shard/shard.h"
#include "ashlar/runtime/task/cancel.h"

namespace ashlar {

/// A queued wait that its scope can cut short. Lives in the awaiter, hence in the waiting task's frame.
/// Owner: one shard. Invariant: while suspended it is linked in its queue and registered with its scope, or
/// made ready and neither; what was granted is therefore never lost to a cancellation that comes later.
class QueuedWait : public ListHook<>, private Waiter, private Cancellable {
 public:
  /// Ends the wait: leaves its queue, and its task goes on in a later slice.
  void wake() noexcept {
    unlink();
    CancelScope::withdraw(*this);
    make_ready();
  }

 protected:
  QueuedWait() = default;
  ~QueuedWait() = default;

  /// For await_ready(): whether the task's scope is cancelled, so that the wait must not begin.
  bool cancelled_before() noexcept {
    const CancelScope* scope = Shard::current().context().cancel;
    return cancelled_ = scope != nullptr && scope->cancelled();
  }
  bool cancelled() const noexcept { return cancelled_; }

  void enqueue(IntrusiveList<QueuedWait>& queue, std::coroutine_handle<> suspended) noexcept {
    arm(suspended);
    queue.push_back(*this);
    if (Waiter::context.cancel != nullptr) Waiter::context.cancel->add(*this);
  }
  /// Called where a cancelled wait has left its queue: those behind it may be able to go on.
  virtual void on_left_queue() noexcept {}

 private:
  void on_cancel() noexcept final {
    unlink();
    cancelled_ = true;
    make_ready();
    on_left_queue();
  }

  bool cancelled_ = false;
};

using WaitQueue = IntrusiveList<QueuedWait>;

}  // namespace ashlar
