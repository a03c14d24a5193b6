#include "ashlar/kv/lsm/source.h"

#include <algorithm>

namespace ashlar::lsm {

namespace {

constexpr std::uint64_t blocks_ahead_min = 4, blocks_ahead_max = 128;
constexpr std::uint64_t blocks_ahead_first = 16;  // where the walk says how many entries it wants

}  // namespace

SourceState RunIterator::start(Bytes key, Bytes bound) {
  const bool forward = direction_ == Direction::forward;
  if (tables_.empty()) return state_ = SourceState::end;
  reads_.reset();
  last_ = last_wanted(bound);
  if (key.empty()) return enter(forward ? 0 : tables_.size() - 1);
  if (forward) {
    const auto first = std::ranges::partition_point(
        tables_, [&](const TableFile* table) { return compare(table->largest_key(), key) < 0; });
    if (first == tables_.end()) return state_ = SourceState::end;
    return move_to(static_cast<std::size_t>(first - tables_.begin()), key);
  }
  const auto beyond = std::ranges::partition_point(
      tables_, [&](const TableFile* table) { return compare(table->smallest_key(), key) < 0; });
  if (beyond == tables_.begin()) return state_ = SourceState::end;
  return move_to(static_cast<std::size_t>(beyond - tables_.begin()) - 1, key);
}

/// The last block, in the direction of the walk, that may hold a key within the bound.
RunPosition RunIterator::last_wanted(Bytes bound) const noexcept {
  const bool forward = direction_ == Direction::forward;
  if (bound.empty()) {
    if (!forward) return {};
    const auto table = static_cast<std::uint32_t>(tables_.size() - 1);
    return {table, tables_[table]->table().block_count() - 1};
  }
  const auto holder = std::ranges::partition_point(
      tables_, [&](const TableFile* table) { return compare(table->largest_key(), bound) < 0; });
  const auto table = static_cast<std::uint32_t>(holder - tables_.begin());
  if (holder == tables_.end()) {  // all keys are below it
    return forward ? RunPosition{table - 1, tables_[table - 1]->table().block_count() - 1}
                   : RunPosition{table, 0};
  }
  if (forward && table > 0 && compare((*holder)->smallest_key(), bound) >= 0) {
    return {table - 1, tables_[table - 1]->table().block_count() - 1};
  }
  const auto [from, to] = (*holder)->table().blocks_near(bound);
  return {table, forward ? to : from};
}

/// A seek in one table; where it is the one that is being walked, with the block that is there.
SourceState RunIterator::move_to(std::size_t position, Bytes key) {
  if (!iterator_ || position != position_) {
    position_ = position;
    iterator_.emplace(table().table());
  }
  return settle(direction_ == Direction::forward ? iterator_->seek(key) : iterator_->seek_before(key));
}

SourceState RunIterator::enter(std::size_t position) {
  position_ = position;
  iterator_.emplace(table().table());
  return settle(direction_ == Direction::forward ? iterator_->seek_first() : iterator_->seek_last());
}

/// At the end of a table the next one begins; where no more is wanted, the run ends.
SourceState RunIterator::settle(SourceState state) {
  const bool forward = direction_ == Direction::forward;
  if (state == SourceState::end) {
    if (forward && position_ + 1 < tables_.size()) return enter(position_ + 1);
    if (!forward && position_ > 0) return enter(position_ - 1);
  }
  const bool at_block = state == SourceState::need_block && !iterator_->needs_partition();
  if (at_block && (forward ? at() > last_ : at() < last_)) state = SourceState::end;
  return state_ = state;
}

SourceState RunIterator::provide(LoadedBlock block) {
  if (block.partition != nullptr) return settle(iterator_->provide(*block.partition));
  const kv::Pin before = std::exchange(pin_, std::move(block.pin));
  return settle(iterator_->provide(*block.block));
}

ReadAhead& RunIterator::reads() {
  if (reads_ != nullptr) return *reads_;
  const TableFile& here = table();
  const std::uint64_t blocks = here.table().block_count();
  const std::uint64_t block_bytes = here.meta().file_bytes / blocks + 1;
  const std::uint64_t most =
      std::clamp(policy_.ahead_bytes / block_bytes, blocks_ahead_min, blocks_ahead_max);
  ReadWindow window{.most = static_cast<std::uint32_t>(most)};
  if (policy_.entries != 0) {
    const std::uint64_t of_a_block = here.table().properties().entries / blocks + 1;
    const std::uint64_t wanted = policy_.entries / of_a_block;
    window.first = static_cast<std::uint32_t>(std::min({wanted, most, blocks_ahead_first}));
    window.all = static_cast<std::uint32_t>(std::min<std::uint64_t>(wanted + wanted / 8 + 2, window.all));
  }
  reads_ = std::make_unique<ReadAhead>(tables_, direction_, last_, window, policy_.fill_cache);
  return *reads_;
}

SourceState RunIterator::provide_cached() {
  while (state_ == SourceState::need_block) {
    if (CachedBlock* cached = table().cached().find(block())) {
      LoadedBlock block(*cached, iterator_->needs_partition());
      if (reads_ != nullptr && block.block != nullptr) reads_->hit(at());
      provide(std::move(block));
      if (policy_.receipt != nullptr) ++policy_.receipt->blocks_cached;
      continue;
    }
    if (reads_ == nullptr || iterator_->needs_partition()) break;
    auto block = reads_->take(at());
    if (!block) break;
    if (policy_.receipt != nullptr) ++policy_.receipt->blocks_cached;
    provide(*std::move(block));
  }
  return state_;
}

void RunIterator::begin_reads(bool all) {
  if (!iterator_->needs_partition()) reads().missed(at(), all);
}

Task<Result<>> RunIterator::load() {
  if (policy_.receipt != nullptr) {
    ++policy_.receipt->blocks_read;
    policy_.receipt->bytes_read += table().table().block(block()).bytes;
  }
  if (iterator_->needs_partition()) {
    provide(CO_TRY(co_await table().load(block())));
  } else {
    provide(CO_TRY(co_await reads().load(at())));
  }
  co_return Result<>{};
}

SourceState Source::start(Bytes key, Bytes bound) {
  if (auto* run = std::get_if<RunIterator>(&iterator_)) return take_run(run->start(key, bound));
  auto& at = std::get<Memory>(iterator_).at;
  if (direction_ == Direction::forward) {
    key.empty() ? at.seek_first() : at.seek(key, sequence_max);
  } else {
    key.empty() ? at.seek_last() : at.seek_before(key);
  }
  return take_memory();
}

SourceState Source::step_memory() {
  auto& at = std::get<Memory>(iterator_).at;
  direction_ == Direction::forward ? at.next() : at.previous();
  return take_memory();
}

SourceState Source::take_memory() noexcept {
  auto& memory = std::get<Memory>(iterator_);
  if (!memory.at.valid()) return state_ = SourceState::end;
  memory.entry = memory.at.entry();
  entry_ = &memory.entry;
  return state_ = SourceState::entry;
}

}  // namespace ashlar::lsm
