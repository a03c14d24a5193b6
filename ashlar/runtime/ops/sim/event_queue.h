#pragma once

/// Virtual time: what will happen, in the order of time and then of arrangement.

#include <cstdint>
#include <functional>
#include <queue>
#include <vector>

#include "ashlar/runtime/ops/clock.h"

namespace ashlar::sim {

/// Events run inside run_due() and may arrange others; they must not resume coroutines.
class EventQueue {
 public:
  /// Time now. Each look costs a little, so that loops bounded by time end.
  Instant now() const noexcept { return now_ += look_cost; }
  /// Time now, without passing.
  Instant time() const noexcept { return now_; }
  void advance_to(Instant when) noexcept { now_ = when > now_ ? when : now_; }
  void advance(Duration duration) noexcept { now_ += duration; }

  void at(Instant when, std::function<void()> run) { events_.push({when, ++arranged_, std::move(run)}); }
  void after(Duration delay, std::function<void()> run) { at(now_ + delay, std::move(run)); }

  Instant next() const noexcept { return events_.empty() ? never : events_.top().when; }
  bool due() const noexcept { return next() <= now_; }
  void run_due() {
    while (due()) {
      const std::function<void()> run = std::move(events_.top().run);
      events_.pop();
      run();
    }
  }

 private:
  static constexpr Duration look_cost = Duration(20);

  struct Event {
    Instant when;
    std::uint64_t order;
    mutable std::function<void()> run;  // taken out of the queue's constant top
    bool operator<(const Event& other) const noexcept {
      return when != other.when ? when > other.when : order > other.order;
    }
  };

  mutable Instant now_{Duration(1)};
  std::uint64_t arranged_ = 0;
  std::priority_queue<Event> events_;
};

}  // namespace ashlar::sim
