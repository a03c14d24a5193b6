#pragma once

/// What every suspended task is: a handle, the share it runs in and the scope that may cancel it.

#include <coroutine>
#include <cstdint>

namespace ashlar {

class CancelScope;

/// Whose time a task uses. Each share has a weight; a shard gives its time to ready shares in proportion, and
/// a share that was idle is served first, so that a compaction's slice does not add to a request's latency.
enum class Share : std::uint8_t {
  foreground,  ///< requests: weight 1000
  flush,       ///< memtable flushes, log housekeeping: weight 200
  background,  ///< compaction, scrubbing, backup: weight 100
};
constexpr unsigned share_count = 3;

/// What a task inherits from the one that spawned it, and keeps across every suspension.
struct TaskContext {
  CancelScope* cancel = nullptr;  ///< innermost scope; null where nothing can cancel
  Share share = Share::foreground;
};

/// A suspended coroutine, as it stands in a queue. Lives in the awaiter, hence in the coroutine's own frame:
/// queueing allocates nothing. A waiter is in one queue at a time.
struct Waiter {
  std::coroutine_handle<> coroutine;
  TaskContext context;
  Waiter* next = nullptr;

  /// Takes over the coroutine that suspends now, with the running task's context.
  void arm(std::coroutine_handle<> suspended) noexcept;
  /// Puts it behind the ready tasks of its share. Only on the shard it was armed on.
  void make_ready() noexcept;
};

/// First in, first out; intrusive.
class WaiterQueue {
 public:
  bool empty() const noexcept { return first_ == nullptr; }
  Waiter* front() const noexcept { return first_; }
  void push(Waiter& waiter) noexcept {
    waiter.next = nullptr;
    *(first_ == nullptr ? &first_ : &last_->next) = &waiter;
    last_ = &waiter;
  }
  Waiter* pop() noexcept {
    Waiter* waiter = first_;
    if (waiter != nullptr) first_ = waiter->next;
    return waiter;
  }

 private:
  Waiter* first_ = nullptr;
  Waiter* last_ = nullptr;
};

}  // namespace ashlar
