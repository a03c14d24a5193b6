#include "ashlar/kv/lsm/read_ahead.h"

#include <algorithm>

#include "ashlar/runtime/sync/scope.h"

namespace ashlar::lsm {

namespace {

constexpr std::uint32_t kept_blocks_max = 64;  // of one walk
constexpr std::uint32_t hits_that_halve = 8;

}  // namespace

/// One read. Belongs to the walk, and to itself once the walk has gone.
struct ReadAhead::Fetch {
  Fetch(TableFile& file, RunPosition at, bool keep_it) noexcept
      : table(file), position(at), keep(keep_it), pin(file) {}

  TableFile& table;
  RunPosition position;
  bool keep;
  bool done = false, abandoned = false;
  Result<LoadedBlock> outcome;
  Condition finished;
  kv::Pin pin;
};

Task<> ReadAhead::run(Fetch* fetch) {
  if (!fetch->abandoned) fetch->outcome = co_await fetch->table.load(fetch->position.block, fetch->keep);
  fetch->done = true;
  if (fetch->abandoned) {
    delete fetch;
  } else {
    fetch->finished.notify_all();
  }
}

void ReadAhead::start(RunPosition at) {
  TableFile& table = *tables_[at.table];
  auto* fetch = new Fetch(table, at, policy_.fill_cache && misses_ < kept_blocks_max);
  fetches_.push_back(fetch);
  table.reads().spawn(run(fetch));
}

/// Forgets what the walk has passed.
void ReadAhead::drop_until(RunPosition at, bool all) noexcept {
  while (!fetches_.empty() && (all || fetches_.front()->position != at)) {
    Fetch* fetch = fetches_.front();
    if (!all && before(at, fetch->position)) return;
    fetches_.pop_front();
    if (fetch->done) {
      delete fetch;
    } else {
      fetch->abandoned = true;
    }
  }
}

bool ReadAhead::next(RunPosition& at) const noexcept {
  if (direction_ == Direction::forward) {
    if (++at.block == tables_[at.table]->table().block_count()) at = {at.table + 1, 0};
    return at.table < tables_.size() && at <= last_;
  }
  if (at.block != 0) {
    --at.block;
  } else {
    if (at.table == 0) return false;
    --at.table;
    at.block = tables_[at.table]->table().block_count() - 1;
  }
  return at >= last_;
}

void ReadAhead::top_up(RunPosition at) {
  if (!fetches_.empty()) at = fetches_.back()->position;
  // Blocks that are cached do not count, but are not looked through without end either.
  for (std::uint32_t looks = 0; looks < 2 * window_ && fetches_.size() < window_ && next(at); ++looks) {
    if (!tables_[at.table]->cached().holds(at.block)) start(at);
  }
}

void ReadAhead::hit(RunPosition at) {
  drop_until(at);
  if (++hits_in_a_row_ == hits_that_halve) {
    hits_in_a_row_ = 0;
    window_ /= 2;
  }
  if (window_ != 0) top_up(at);
}

void ReadAhead::missed(RunPosition at, bool read_it) {
  if (missed_at_ == at) return;  // asked again for the same one
  if (missed_at_) window_ = std::min(std::max(2 * window_, 1u), policy_.most);
  missed_at_ = at;
  hits_in_a_row_ = 0;
  ++misses_;
  drop_until(at);
  if (read_it && fetches_.empty()) start(at);
  top_up(at);
}

ReadAhead::Fetch* ReadAhead::front(RunPosition at) noexcept {
  drop_until(at);
  return !fetches_.empty() && fetches_.front()->position == at ? fetches_.front() : nullptr;
}

std::optional<LoadedBlock> ReadAhead::take(RunPosition at) {
  Fetch* fetch = front(at);
  if (fetch == nullptr || !fetch->done || !fetch->outcome) return std::nullopt;
  std::optional<LoadedBlock> block(*std::move(fetch->outcome));
  fetches_.pop_front();
  delete fetch;
  missed(at, false);
  return block;
}

Task<Result<LoadedBlock>> ReadAhead::load(RunPosition at) {
  if (Fetch* fetch = front(at)) {
    while (!fetch->done) CO_TRY(co_await fetch->finished.wait());
    Result<LoadedBlock> outcome = std::move(fetch->outcome);
    fetches_.pop_front();
    delete fetch;
    co_return outcome;
  }
  co_return co_await tables_[at.table]->load(at.block, policy_.fill_cache && misses_ < kept_blocks_max);
}

}  // namespace ashlar::lsm
