#include "ashlar/kv/lsm/merge.h"

#include <bit>
#include <utility>

#include "ashlar/base/endian.h"

namespace ashlar::lsm {

namespace {

inline KeyHead head_of(Bytes key) noexcept {
  KeyHead head;
  if (key.size() >= 16) [[likely]] {
    head = {load_le<std::uint64_t>(key.data()), load_le<std::uint64_t>(key.data() + 8)};
  } else {
    std::byte padded[16] = {};
    std::memcpy(padded, key.data(), key.size());
    head = {load_le<std::uint64_t>(padded), load_le<std::uint64_t>(padded + 8)};
  }
  return {std::byteswap(head.high), std::byteswap(head.low)};
}

}  // namespace

SourceState Merge::start(Bytes key, Bytes bound) {
  const auto count = static_cast<std::uint32_t>(sources_.size());
  heads_.resize(count);
  losers_.resize(count);
  missing_.clear();
  missing_.reserve(count);
  built_ = false;
  for (std::uint32_t i = 0; i < count; ++i) {
    if (sources_[i].start(key, bound) == SourceState::need_block) missing_.push_back(i);
    note_head(i);
  }
  return resume();
}

SourceState Merge::next() {
  const std::uint32_t front = winner_;
  const SourceState stepped = sources_[front].step();
  if (stepped == SourceState::need_block) [[unlikely]] {
    missing_.push_back(front);
    return state_ = SourceState::need_block;
  }
  note_head(front);
  if (!before(front, runner_up_)) replay();
  return state_ = sources_[winner_].state();
}

SourceState Merge::provide_cached() {
  std::size_t left = 0;
  for (const std::uint32_t i : missing_) {
    sources_[i].run().provide_cached();
    if (sources_[i].provided() == SourceState::need_block) {
      missing_[left++] = i;
    } else {
      note_head(i);
    }
  }
  missing_.resize(left);
  return resume();
}

Task<Result<>> Merge::load() {
  for (const std::uint32_t i : missing_) sources_[i].run().begin_reads(missing_.size() > 1);
  for (const std::uint32_t i : missing_) {
    CO_TRY(co_await sources_[i].run().load());
    sources_[i].provided();
  }
  provide_cached();
  co_return Result<>{};
}

/// Goes on where every source has an entry or has ended.
SourceState Merge::resume() {
  if (!missing_.empty()) return state_ = SourceState::need_block;
  if (sources_.empty()) return state_ = SourceState::end;
  built_ ? replay() : build();
  return state_ = sources_[winner_].state();
}

void Merge::note_head(std::uint32_t source) noexcept {
  const Source& from = sources_[source];
  if (from.state() != SourceState::entry) {
    heads_[source] = {~std::uint64_t{0}, ~std::uint64_t{0}};
    return;
  }
  const KeyHead head = head_of(from.entry().key);
  const std::uint64_t flip = direction_ == Direction::forward ? 0 : ~std::uint64_t{0};
  heads_[source] = {head.high ^ flip, head.low ^ flip};
}

/// Those that ended come last. Of equal versions (a key written twice in one batch, in one memtable) the
/// order does not matter here: they come from one source.
bool Merge::before_in_full(std::uint32_t a, std::uint32_t b) const noexcept {
  if (sources_[a].state() == SourceState::end) return false;
  if (sources_[b].state() == SourceState::end) return true;
  const int order = compare_versions(sources_[a].entry(), sources_[b].entry());
  return direction_ == Direction::forward ? order < 0 : order > 0;
}

void Merge::build() noexcept {
  const auto count = static_cast<std::uint32_t>(sources_.size());
  std::vector<std::uint32_t> winners(2 * std::size_t{count});
  for (std::uint32_t i = 0; i < count; ++i) winners[count + i] = i;
  for (std::uint32_t node = count - 1; node > 0; --node) {
    std::uint32_t best = winners[2 * node], other = winners[2 * node + 1];
    if (before(other, best)) std::swap(best, other);
    winners[node] = best;
    losers_[node] = other;
  }
  winner_ = winners[1];
  built_ = true;
  replay();
}

/// Plays the last winner's new entry against the losers on its path, and finds the best of those that the new
/// winner has beaten.
void Merge::replay() noexcept {
  const auto count = static_cast<std::uint32_t>(sources_.size());
  std::uint32_t best = winner_;
  for (std::uint32_t node = (count + winner_) / 2; node > 0; node /= 2) {
    if (before(losers_[node], best)) std::swap(losers_[node], best);
  }
  winner_ = runner_up_ = best;
  for (std::uint32_t node = (count + best) / 2; node > 0; node /= 2) {
    if (runner_up_ == best || before(losers_[node], runner_up_)) runner_up_ = losers_[node];
  }
}

}  // namespace ashlar::lsm
