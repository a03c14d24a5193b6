#pragma once

/// Sources of entries in order: a memtable, or a run of disjoint tables. One direction for a source's whole
/// life.

#include <span>
#include <variant>
#include <vector>

#include "ashlar/kv/lsm/memtable.h"
#include "ashlar/kv/lsm/table/table_iterator.h"
#include "ashlar/kv/lsm/table_file.h"
#include "ashlar/kv/read.h"

namespace ashlar::lsm {

using kv::Direction;
using SourceState = TableIterator::State;

/// Walks tables that are disjoint and in order. Owner shard; the tables outlive it.
class RunIterator {
 public:
  RunIterator(std::vector<TableFile*> tables, Direction direction) noexcept
      : tables_(std::move(tables)), direction_(direction) {}

  /// Forward: to the first entry at or after (key, sequence). Backward: to the last entry with a key below
  /// `key`; an empty key stands for either end.
  SourceState start(Bytes key);
  SourceState step();

  SourceState state() const noexcept { return state_; }
  const Entry& entry() const noexcept { return iterator_->entry(); }
  /// In state need_block.
  TableFile& table() const noexcept { return *tables_[position_]; }
  std::uint32_t block() const noexcept { return iterator_->block(); }
  /// Goes on with that block, which `pin` keeps in place.
  SourceState provide(const Block& block, kv::Pin pin);

 private:
  SourceState enter(std::size_t position);
  SourceState settle(SourceState state);

  std::vector<TableFile*> tables_;
  Direction direction_;
  std::size_t position_ = 0;
  std::optional<TableIterator> iterator_;
  kv::Pin pin_;
  SourceState state_ = SourceState::end;
};

/// One of the two.
class Source {
 public:
  Source(Memtable& memtable, Direction direction) noexcept
      : iterator_(Memory{Memtable::Iterator(memtable), {}}), direction_(direction) {}
  Source(std::vector<TableFile*> tables, Direction direction) noexcept
      : iterator_(RunIterator(std::move(tables), direction)), direction_(direction) {}

  SourceState start(Bytes key);
  SourceState step();
  SourceState state() const noexcept { return state_; }
  const Entry& entry() const noexcept { return *entry_; }
  /// The run, in state need_block.
  RunIterator& run() noexcept { return std::get<RunIterator>(iterator_); }
  /// After the run was given its block.
  void provided() noexcept { take_run(run().state()); }

 private:
  struct Memory {
    Memtable::Iterator at;
    Entry entry;
  };
  SourceState take_memory() noexcept;
  SourceState take_run(SourceState state) noexcept;

  std::variant<Memory, RunIterator> iterator_;
  Direction direction_;
  SourceState state_ = SourceState::end;
  const Entry* entry_ = nullptr;
};

/// All sources merged: every version of every key, in order of the direction (forward: newest version of a
/// key first; backward: exactly the reverse). Where sources miss blocks it says so; the caller gives them all
/// and goes on.
class Merge {
 public:
  /// Where a block is missing, `ahead` blocks of its run are read at once, and twice as many each next time,
  /// up to `ahead_max`.
  explicit Merge(Direction direction, std::uint32_t ahead = 1, std::uint32_t ahead_max = 8) noexcept
      : direction_(direction), ahead_(ahead), ahead_max_(ahead_max) {}

  void add(Memtable& memtable) { sources_.emplace_back(memtable, direction_); }
  void add(std::vector<TableFile*> tables) { sources_.emplace_back(std::move(tables), direction_); }

  /// Once, after every add().
  SourceState start(Bytes key);
  SourceState next();
  SourceState state() const noexcept { return state_; }
  /// In state entry: the front of the merge, valid until the next call of next().
  const Entry& entry() const noexcept { return heap_.front()->entry(); }
  /// In state need_block: goes on as far as the cache has the blocks.
  SourceState provide_cached();
  /// In state need_block: reads every block that is wanted, all at once, and goes on.
  Task<Result<>> load();

 private:
  bool before(const Source& a, const Source& b) const noexcept;
  SourceState resume();
  void place(Source& source);
  static Task<Result<>> load_blocks(Source* source, Direction direction, std::uint32_t ahead);
  void sift_down(std::size_t at) noexcept;
  SourceState settle() noexcept;

  Direction direction_;
  std::uint32_t ahead_, ahead_max_;
  std::vector<Source> sources_;
  std::vector<Source*> heap_;     // those at an entry, the front first
  std::vector<Source*> missing_;  // those that need a block
  SourceState state_ = SourceState::end;
};

}  // namespace ashlar::lsm
