#pragma once

/// Walks a table in both directions without waiting: where it needs a block it says so and is given it.

#include <vector>

#include "ashlar/kv/lsm/table/table.h"

namespace ashlar::lsm {

/// A position in a table. Every move returns a state; after `need_block` the caller fetches wanted() as it
/// likes (cache, or a read it awaits) and calls provide(), until the state is `entry` or `end`:
///
///   for (auto state = it.seek(key, snapshot); state != State::end; state = it.next()) {
///     while (state == State::need_block) state = it.provide(CO_TRY(co_await fetch(it.wanted())));
///     …
///
/// A provided block stays in place until the next one is provided or the iterator is gone: the entry points
/// into it. To read ahead, ask the table for the handles after (or before) block(). One user at a time;
/// several iterators may share a table.
class TableIterator {
 public:
  enum class State : std::uint8_t { end, entry, need_block };

  /// `table` outlives the iterator.
  explicit TableIterator(const Table& table) noexcept : table_(&table) {}

  State seek_first() { return go(0, Target::first); }
  State seek_last() { return go(table_->block_count() - 1, Target::last); }
  /// To the first entry at or after (key, sequence).
  State seek(Bytes key, Sequence sequence = sequence_max) { return seek(key, sequence, Target::at_or_after); }
  /// To the last entry before (key, sequence).
  State seek_before(Bytes key, Sequence sequence = sequence_max) {
    return seek(key, sequence, Target::before);
  }
  /// From an entry to its neighbour.
  State next() { return ordinal_ + 1 < current_.count() ? show(ordinal_ + 1) : leave_forward(); }
  State prev() { return ordinal_ > 0 ? show(ordinal_ - 1) : leave_backward(); }

  State state() const noexcept { return state_; }
  /// In state `need_block`: which block, or partition, and where it is.
  std::uint32_t block() const noexcept { return block_; }
  bool needs_partition() const noexcept { return table_->is_partition(block_); }
  BlockHandle wanted() const noexcept { return table_->block(block_); }
  /// Goes on with the block, or the partition, that wanted() named. A partition is not looked at again.
  State provide(const Block& block);
  State provide(const TablePartition& partition) { return go(partition.find(seek_key_), target_); }

  /// In state `entry`. Valid until the iterator moves.
  const Entry& entry() const noexcept { return entry_; }

 private:
  enum class Target : std::uint8_t { first, last, at_or_after, before };

  State seek(Bytes key, Sequence sequence, Target target);
  State go(std::uint32_t block, Target target);
  State settle();
  State leave_forward();
  State leave_backward();
  State show(std::uint32_t ordinal) {
    ordinal_ = ordinal;
    entry_ = current_.entry(ordinal, key_buffer_);
    return state_ = State::entry;
  }

  const Table* table_;
  Block current_;
  std::uint32_t held_ = no_block;   // which block current_ is
  std::uint32_t block_ = no_block;  // where the position is, or will be
  std::uint32_t ordinal_ = 0;
  Target target_ = Target::first;
  State state_ = State::end;
  Sequence seek_sequence_;
  std::vector<std::byte> seek_key_;
  KeyBuffer key_buffer_;
  Entry entry_;

  static constexpr std::uint32_t no_block = ~std::uint32_t{0};
};

}  // namespace ashlar::lsm
