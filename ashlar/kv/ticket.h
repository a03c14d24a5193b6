#pragma once

/// Tickets: a write is ordered at once and durable later; the ticket is what one waits on.

#include <coroutine>

#include "ashlar/base/intrusive_list.h"
#include "ashlar/base/result.h"
#include "ashlar/kv/durability.h"
#include "ashlar/kv/key.h"
#include "ashlar/runtime/sync/timer.h"
#include "ashlar/runtime/task/waiter.h"

namespace ashlar::kv {

class Partition;

/// A write's place in its partition's order. Awaiting it returns when the write is acknowledged at its
/// durability, and not while the engine asks writers to slow down. Tickets of a partition settle in order:
/// awaiting the last of a pipeline covers the ones before it, where none of them asked for more. A copyable
/// value; may be dropped.
class Ticket {
 public:
  Ticket() = default;  ///< settled
  Ticket(Partition& partition, Sequence sequence, Durability durability, bool paced = true) noexcept
      : partition_(&partition), sequence_(sequence), durability_(durability), paced_(paced) {}

  Sequence sequence() const noexcept { return sequence_; }
  Durability durability() const noexcept { return durability_; }
  bool settled() const noexcept;

  class Awaiter;
  Awaiter operator co_await() const noexcept;
  /// The same, but `timed_out` where the deadline passes first. The write is ordered all the same, and may
  /// become durable.
  Awaiter until(Instant deadline) const noexcept;

 private:
  friend class Partition;
  Partition* partition_ = nullptr;
  Sequence sequence_;
  Durability durability_ = Durability::durable;
  bool paced_ = true;  ///< also waits while writers are asked to slow down; reads do not
};

/// Waits for a ticket. Errc::stopped, with the log's error as native code, where the write can no longer
/// become durable.
class Ticket::Awaiter : public ListHook<>, private Timer {
 public:
  explicit Awaiter(const Ticket& ticket, Instant deadline = never) noexcept : ticket_(ticket) {
    when = deadline;
  }
  bool await_ready() const noexcept { return ticket_.settled(); }
  void await_suspend(std::coroutine_handle<> suspended) noexcept;
  Result<> await_resume() const noexcept;

 private:
  friend class Partition;
  void settle() noexcept;  // takes it off the list, its task made ready

  Ticket ticket_;
  Waiter waiter_;
  bool timed_out_ = false;
};

}  // namespace ashlar::kv
