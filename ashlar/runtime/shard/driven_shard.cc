#include "ashlar/runtime/shard/driven_shard.h"

#include <algorithm>
#include <cassert>

namespace ashlar {

namespace {

/// The program has other things to do as well.
constexpr Duration poll_time = std::chrono::milliseconds(1);

}  // namespace

/// False where time was up before there was nothing to do.
bool DrivenShard::turn() noexcept {
  const Instant end = shard_.now() + poll_time;
  while (shard_.poll_once()) {
    if (shard_.turn_time() >= end) return false;
  }
  return true;
}

Duration DrivenShard::poll() noexcept {
  assert(here() && Shard::current_or_null() == nullptr && "poll(): from a task, or from another thread");
  const Inside inside(*this);
  shard_.awake();
  if (!turn()) return Duration::zero();
  const Instant until = shard_.rest();
  return until == never ? Duration::max() : std::max(until - shard_.now(), Duration::zero());
}

bool DrivenShard::run_once(Duration timeout) noexcept {
  assert(here() && Shard::current_or_null() == nullptr && "run_once(): from a task, or from another thread");
  const Inside inside(*this);
  shard_.awake();
  const std::uint64_t before = shard_.stats().resumptions + shard_.stats().messages;
  const auto done = [&] { return shard_.stats().resumptions + shard_.stats().messages != before; };
  if (turn() && !done()) {
    const Instant now = shard_.now();
    shard_.sleep(timeout < never - now ? now + timeout : never);
    (void)turn();
  }
  return done();
}

void DrivenShard::run_until(const std::atomic<bool>& done) noexcept {
  assert(here() && Shard::current_or_null() == nullptr && "run_until(): from a task, or from another thread");
  const Inside inside(*this);
  shard_.awake();
  shard_.run(done);
}

Result<int> DrivenShard::descriptor() {
  const Inside inside(*this);
  return shard_.backend().descriptor();
}

}  // namespace ashlar
