#include "ashlar/kv/lsm/read_ahead.h"

#include <algorithm>
#include <array>

#include "ashlar/runtime/sync/scope.h"

namespace ashlar::lsm {

namespace {

constexpr std::uint32_t hits_that_halve = 8;

}  // namespace

/// A block that is read. Belongs to the walk, and to itself once the walk has gone.
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

/// Neighbours, in the order of the walk.
struct ReadAhead::Together {
  std::array<Fetch*, blob::table_parts_max> fetches;
  std::size_t count = 0;

  Fetch& first() const noexcept { return *fetches[0]; }
  Fetch& last() const noexcept { return *fetches[count - 1]; }
};

Task<> ReadAhead::run(Together together) {
  std::array<Result<LoadedBlock>, blob::table_parts_max> outcomes;
  const auto blocks = std::span(outcomes).first(together.count);
  const bool forward = together.first().position <= together.last().position;
  const auto fetches = std::span(together.fetches).first(together.count);
  if (!std::ranges::all_of(fetches, &Fetch::abandoned)) {
    const Fetch& lowest = forward ? together.first() : together.last();
    co_await lowest.table.load_together(lowest.position.block, blocks, lowest.keep);
  }
  for (std::size_t i = 0; i < fetches.size(); ++i) {
    Fetch* fetch = fetches[i];
    fetch->done = true;
    if (fetch->abandoned) {
      delete fetch;
      continue;
    }
    fetch->outcome = std::move(blocks[forward ? i : blocks.size() - 1 - i]);
    fetch->finished.notify_all();
  }
}

/// Begins to read the block, with `together` where it is the neighbour of its last.
void ReadAhead::add(RunPosition at, Together& together) {
  if (together.count != 0) {
    const RunPosition last = together.last().position;
    const bool neighbour =
        last.table == at.table &&
        (direction_ == Direction::forward ? last.block + 1 == at.block : at.block + 1 == last.block);
    if (!neighbour || together.count == together.fetches.size()) start(together);
  }
  auto* fetch = new Fetch(*tables_[at.table], at, keeps());
  fetches_.push_back(fetch);
  together.fetches[together.count++] = fetch;
}

void ReadAhead::start(Together& together) {
  if (together.count != 0) together.first().table.reads().start(run(together));
  together.count = 0;
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

void ReadAhead::top_up(RunPosition at, Together& together) {
  if (fetches_.size() > window_ / 2) return;
  if (!fetches_.empty()) at = fetches_.back()->position;
  // Blocks that are cached do not count, but are not looked through without end either.
  for (std::uint32_t looks = 0; looks < 2 * window_ && fetches_.size() < window_; ++looks) {
    if (begun_ >= blocks_max_ || !next(at)) break;
    if (!tables_[at.table]->cached().holds(at.block)) add(at, together);
  }
}

void ReadAhead::hit(RunPosition at) {
  drop_until(at);
  if (++hits_in_a_row_ == hits_that_halve) {
    hits_in_a_row_ = 0;
    window_ /= 2;
  }
  if (window_ == 0) return;
  Together together;
  top_up(at, together);
  start(together);
  Shard::current().hand_over();
}

void ReadAhead::missed(RunPosition at, bool read_it) {
  if (missed_at_ == at) return;  // asked again for the same one
  if (missed_at_ && ++misses_at_window_ >= window_) {
    window_ = std::min(std::max(2 * window_, 1u), window_max_);
    misses_at_window_ = 0;
  }
  missed_at_ = at;
  if (begun_ > blocks_max_) blocks_max_ = 2 * begun_;  // much of what it walks is hidden
  hits_in_a_row_ = 0;
  drop_until(at);
  Together together;
  if (read_it && fetches_.empty()) add(at, together);
  top_up(at, together);
  start(together);
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
  Shard::current().hand_over();  // the walk does not wait now
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
  co_return co_await tables_[at.table]->load(at.block, keeps());
}

}  // namespace ashlar::lsm
