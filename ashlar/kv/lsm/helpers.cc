#include "ashlar/kv/lsm/helpers.h"

#include <algorithm>
#include <numeric>

#include "ashlar/runtime/mesh/invoke.h"

namespace ashlar::lsm {

namespace {

constexpr double idle_share = 0.5;          // a shard that is busy for less of its time has some for others
constexpr unsigned parts_side_by_side = 2;  // on a shard set aside
constexpr Duration measured_over = std::chrono::milliseconds(100);

}  // namespace

Helpers::Helpers(unsigned serving, unsigned set_aside, unsigned idle)
    : serving_(serving),
      set_aside_(set_aside),
      idle_(set_aside == 0 ? std::min(idle, serving) : 0),
      records_(std::make_unique<Record[]>(serving + set_aside)) {}

unsigned Helpers::least_of_set_aside() const noexcept {
  unsigned best = serving_;
  const auto parts = [&](unsigned shard) { return records_[shard].parts.load(std::memory_order_relaxed); };
  for (unsigned shard = serving_ + 1; shard < serving_ + set_aside_; ++shard) {
    if (parts(shard) < parts(best)) best = shard;
  }
  return best;
}

HelpTurn Helpers::take_set_aside() noexcept {
  const unsigned shard = least_of_set_aside();
  records_[shard].parts.fetch_add(1, std::memory_order_relaxed);
  return {ShardId(shard), records_[shard].parts};
}

std::optional<HelpTurn> Helpers::take_free_set_aside() noexcept {
  if (records_[least_of_set_aside()].parts.load(std::memory_order_relaxed) >= parts_side_by_side)
    return std::nullopt;
  return take_set_aside();
}

Task<bool> Helpers::goes_on(const HelpTurn& turn) {
  if (turn.shard().value >= serving_) co_return true;
  co_return co_await invoke(turn.shard(), [&] { return records_[turn.shard().value].is_idle(); });
}

Task<std::optional<HelpTurn>> Helpers::take_idle() {
  const unsigned self = Shard::current().id().value;
  for (unsigned step = 1; step <= idle_; ++step) {
    const unsigned shard = (self + step) % idle_;
    Record& record = records_[shard];
    unsigned none = 0;
    if (shard == self || !record.parts.compare_exchange_strong(none, 1, std::memory_order_relaxed)) continue;
    HelpTurn turn(ShardId(shard), record.parts);
    if (co_await invoke(turn.shard(), [&] { return record.is_idle(); })) co_return std::move(turn);
  }
  co_return std::nullopt;
}

/// As busy as it was since it was asked the last time; that may be long ago for the first part of a job.
bool Helpers::Record::is_idle() noexcept {
  const Shard& shard = Shard::current();
  const auto& shares = shard.stats().busy_ns;
  const std::uint64_t busy_now = std::accumulate(shares.begin(), shares.end(), std::uint64_t{0}) -
                                 shares[static_cast<unsigned>(Share::background)];
  const Duration passed = shard.now() - since;
  if (passed >= measured_over) {
    busy = static_cast<double>(busy_now - busy_ns) / static_cast<double>(passed.count());
    since += passed;
    busy_ns = busy_now;
  }
  return busy < idle_share;
}

}  // namespace ashlar::lsm
