#pragma once

/// Sources of entries in order: a memtable, or a run of disjoint tables. One direction for a source's whole
/// life.

#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "ashlar/kv/lsm/memtable.h"
#include "ashlar/kv/lsm/read_ahead.h"
#include "ashlar/kv/lsm/table/table_iterator.h"
#include "ashlar/kv/lsm/table_file.h"
#include "ashlar/kv/read.h"

namespace ashlar::lsm {

using SourceState = TableIterator::State;

/// Walks tables that are disjoint and in order. Owner shard; the tables outlive it. Does not move once it was
/// started.
class RunIterator {
 public:
  RunIterator(std::vector<TableFile*> tables, Direction direction, ReadPolicy policy = {}) noexcept
      : tables_(std::move(tables)), direction_(direction), policy_(policy) {}

  /// Forward: to the first entry at or after `key`. Backward: to the last entry with a key below `key`; an
  /// empty key stands for either end. May be called again. What lies beyond `bound` need not be walked:
  /// forward, keys from it on, backward, keys below it; empty: none. Entries beyond it may still come.
  SourceState start(Bytes key, Bytes bound = {});
  SourceState step() {
    const SourceState state = direction_ == Direction::forward ? iterator_->next() : iterator_->prev();
    return state == SourceState::entry ? state_ = state : settle(state);
  }

  SourceState state() const noexcept { return state_; }
  const Entry& entry() const noexcept { return iterator_->entry(); }
  /// In state need_block.
  TableFile& table() const noexcept { return *tables_[position_]; }
  std::uint32_t block() const noexcept { return iterator_->block(); }
  /// Goes on with that block, which its pin keeps in place.
  SourceState provide(LoadedBlock block);

  /// In state need_block: goes on as far as memory has the blocks.
  SourceState provide_cached();
  /// In state need_block: begins to read ahead; `all`: also the block itself.
  void begin_reads(bool all);
  /// In state need_block: reads the block, and goes on with it.
  Task<Result<>> load();

 private:
  RunPosition at() const noexcept { return {static_cast<std::uint32_t>(position_), iterator_->block()}; }
  SourceState move_to(std::size_t position, Bytes key);
  SourceState enter(std::size_t position);
  SourceState settle(SourceState state);
  RunPosition last_wanted(Bytes bound) const noexcept;
  ReadAhead& reads();

  std::vector<TableFile*> tables_;
  Direction direction_;
  ReadPolicy policy_;
  std::size_t position_ = 0;
  std::optional<TableIterator> iterator_;
  kv::Pin pin_;
  RunPosition last_;
  std::unique_ptr<ReadAhead> reads_;  // from the first miss on
  SourceState state_ = SourceState::end;
};

/// One of the two.
class Source {
 public:
  Source(Memtable& memtable, Direction direction) noexcept
      : iterator_(Memory{Memtable::Iterator(memtable), {}}), direction_(direction) {}
  Source(std::vector<TableFile*> tables, Direction direction, ReadPolicy policy) noexcept
      : iterator_(RunIterator(std::move(tables), direction, policy)), direction_(direction) {}

  /// As RunIterator::start().
  SourceState start(Bytes key, Bytes bound);
  SourceState step() {
    if (auto* run = std::get_if<RunIterator>(&iterator_)) return take_run(run->step());
    return step_memory();
  }
  SourceState state() const noexcept { return state_; }
  const Entry& entry() const noexcept { return *entry_; }
  /// The run, in state need_block.
  RunIterator& run() noexcept { return std::get<RunIterator>(iterator_); }
  /// After the run was given its block.
  SourceState provided() noexcept { return take_run(run().state()); }

 private:
  struct Memory {
    Memtable::Iterator at;
    Entry entry;
  };
  SourceState step_memory();
  SourceState take_memory() noexcept;
  SourceState take_run(SourceState state) noexcept {
    if (state == SourceState::entry) entry_ = &std::get_if<RunIterator>(&iterator_)->entry();
    return state_ = state;
  }

  std::variant<Memory, RunIterator> iterator_;
  Direction direction_;
  SourceState state_ = SourceState::end;
  const Entry* entry_ = nullptr;
};

}  // namespace ashlar::lsm
