#pragma once

/// CLIENT PAUSE: for some time, commands wait before they run.

#include "ashlar/runtime/sync/condition.h"
#include "ashlar/runtime/sync/deadline.h"

namespace ashlar::resp {

/// Owner: one shard. Ends by itself, or by end(); a connection that is killed waits no longer.
class Pause {
 public:
  /// `writes_only`: others go on. A pause under way is never shortened, as in Redis.
  void begin(Duration duration, bool writes_only) noexcept {
    const Instant until = Shard::current().now() + duration;
    writes_only_ = writes_only && (writes_only_ || !active());
    if (until_ < until) until_ = until;
    ended_.notify_all();
  }
  void end() noexcept {
    until_ = {};
    ended_.notify_all();
  }
  /// Whether a command that writes, or one that does not, must wait.
  bool holds(bool writes) const noexcept {
    return until_ != Instant{} && active() && (writes || !writes_only_);
  }
  /// Returns when it need not wait any more. `cancelled` where the connection ends first.
  Task<Result<>> wait(bool writes) {
    while (holds(writes)) {
      const Result<> waited = co_await with_deadline(until_, changed());
      if (!waited && waited.error().code != Errc::timed_out) co_return waited;
    }
    co_return Result<>{};
  }

 private:
  bool active() const noexcept { return Shard::current().now() < until_; }
  Task<Result<>> changed() { co_return co_await ended_.wait(); }

  Instant until_{};
  bool writes_only_ = false;
  Condition ended_;
};

}  // namespace ashlar::resp
