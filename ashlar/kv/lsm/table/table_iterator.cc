#include "ashlar/kv/lsm/table/table_iterator.h"

namespace ashlar::lsm {

TableIterator::State TableIterator::seek(Bytes key, Sequence sequence, Target target) {
  const bool partitioned = table_->partitioned();
  const std::uint32_t found = partitioned ? table_->find_partition(key) : table_->find(key);
  if (found == table_->ordinal_count()) {  // every entry is before it
    return target == Target::before ? seek_last() : state_ = State::end;
  }
  seek_key_.assign(key.begin(), key.end());
  seek_sequence_ = sequence;
  return go(found, target);
}

TableIterator::State TableIterator::go(std::uint32_t block, Target target) {
  block_ = block;
  target_ = target;
  return block == held_ ? settle() : state_ = State::need_block;
}

TableIterator::State TableIterator::provide(const Block& block) {
  current_ = block;
  held_ = block_;
  key_buffer_.reset();
  return settle();
}

/// Finds the target in the block that is there, or goes on to a neighbour.
TableIterator::State TableIterator::settle() {
  switch (target_) {
    case Target::first: return show(0);
    case Target::last: return show(current_.count() - 1);
    case Target::at_or_after: {
      const std::uint32_t ordinal = current_.lower_bound(seek_key_, seek_sequence_);
      if (ordinal < current_.count()) return show(ordinal);
      if (block_ + 1 == table_->block_count()) return state_ = State::end;
      return go(block_ + 1, Target::at_or_after);  // older versions of the key may fill several blocks
    }
    case Target::before: {
      const std::uint32_t ordinal = current_.lower_bound(seek_key_, seek_sequence_);
      const bool in_next = ordinal == current_.count() && current_.continues();
      if (in_next && block_ + 1 != table_->block_count()) return go(block_ + 1, Target::before);
      if (ordinal > 0) return show(ordinal - 1);
      return block_ == 0 ? state_ = State::end : go(block_ - 1, Target::last);
    }
  }
  __builtin_unreachable();
}

TableIterator::State TableIterator::leave_forward() {
  return block_ + 1 == table_->block_count() ? state_ = State::end : go(block_ + 1, Target::first);
}

TableIterator::State TableIterator::leave_backward() {
  return block_ == 0 ? state_ = State::end : go(block_ - 1, Target::last);
}

}  // namespace ashlar::lsm
