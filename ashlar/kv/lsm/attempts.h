#pragma once

/// How one kind of background job fares: what failed is repeated, after ever longer pauses.

#include <algorithm>
#include <optional>

#include "ashlar/base/result.h"
#include "ashlar/runtime/ops/clock.h"

namespace ashlar::lsm {

/// Owner shard. Jobs of different kinds have one each: the success of one says nothing about the other.
class Attempts {
 public:
  /// Of the last attempt; nothing after a success.
  const std::optional<Error>& error() const noexcept { return error_; }
  bool failed_with(Errc code) const noexcept { return error_ && error_->code == code; }
  unsigned failures_while_waited_for() const noexcept { return waited_for_; }

  /// True where that is news.
  bool succeeded() noexcept {
    const bool news = error_.has_value();
    *this = {};
    return news;
  }
  /// True where that is news: another kind of error than the last one, or the first. `waited_for`: writers
  /// wait for this job.
  bool failed(const Error& why, bool waited_for) noexcept {
    const bool news = !failed_with(why.code);
    error_ = why;
    pause_ = pause_ == Duration{} ? pause_min : std::min(2 * pause_, pause_max(why.code));
    waited_for_ = waited_for ? waited_for_ + 1 : 0;
    return news;
  }
  /// Until the next attempt.
  Duration pause() const noexcept { return pause_; }

 private:
  static constexpr Duration pause_min = std::chrono::milliseconds(250);
  /// Space may come back at any moment, and writes wait for it.
  static constexpr Duration pause_max(Errc code) noexcept {
    return code == Errc::no_space ? std::chrono::seconds(1) : std::chrono::seconds(16);
  }

  std::optional<Error> error_;
  Duration pause_{};
  unsigned waited_for_ = 0;
};

}  // namespace ashlar::lsm
