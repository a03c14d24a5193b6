#include "ashlar/kv/lsm/source.h"

#include <algorithm>

#include "ashlar/runtime/sync/when.h"

namespace ashlar::lsm {

SourceState RunIterator::start(Bytes key) {
  const bool forward = direction_ == Direction::forward;
  if (tables_.empty()) return state_ = SourceState::end;
  if (key.empty()) return enter(forward ? 0 : tables_.size() - 1);
  if (forward) {
    const auto first = std::ranges::partition_point(
        tables_, [&](const TableFile* table) { return compare(table->largest_key(), key) < 0; });
    if (first == tables_.end()) return state_ = SourceState::end;
    position_ = static_cast<std::size_t>(first - tables_.begin());
    iterator_.emplace(table().table());
    return settle(iterator_->seek(key));
  }
  const auto beyond = std::ranges::partition_point(
      tables_, [&](const TableFile* table) { return compare(table->smallest_key(), key) < 0; });
  if (beyond == tables_.begin()) return state_ = SourceState::end;
  position_ = static_cast<std::size_t>(beyond - tables_.begin()) - 1;
  iterator_.emplace(table().table());
  return settle(iterator_->seek_before(key));
}

SourceState RunIterator::enter(std::size_t position) {
  position_ = position;
  iterator_.emplace(table().table());
  pin_.reset();
  return settle(direction_ == Direction::forward ? iterator_->seek_first() : iterator_->seek_last());
}

/// At the end of a table the next one begins.
SourceState RunIterator::settle(SourceState state) {
  if (state == SourceState::end) {
    if (direction_ == Direction::forward && position_ + 1 < tables_.size()) return enter(position_ + 1);
    if (direction_ == Direction::backward && position_ > 0) return enter(position_ - 1);
  }
  return state_ = state;
}

SourceState RunIterator::step() {
  return settle(direction_ == Direction::forward ? iterator_->next() : iterator_->prev());
}

SourceState RunIterator::provide(const Block& block, kv::Pin pin) {
  const kv::Pin before = std::exchange(pin_, std::move(pin));
  return settle(iterator_->provide(block));
}

SourceState Source::start(Bytes key) {
  if (auto* run = std::get_if<RunIterator>(&iterator_)) return take_run(run->start(key));
  auto& at = std::get<Memory>(iterator_).at;
  if (direction_ == Direction::forward) {
    key.empty() ? at.seek_first() : at.seek(key, sequence_max);
  } else {
    key.empty() ? at.seek_last() : at.seek_before(key);
  }
  return take_memory();
}

SourceState Source::step() {
  if (auto* run = std::get_if<RunIterator>(&iterator_)) return take_run(run->step());
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

SourceState Source::take_run(SourceState state) noexcept {
  if (state == SourceState::entry) entry_ = &std::get<RunIterator>(iterator_).entry();
  return state_ = state;
}

SourceState Merge::start(Bytes key) {
  heap_.reserve(sources_.size());
  missing_.reserve(sources_.size());
  for (Source& source : sources_) {
    source.start(key);
    place(source);
  }
  return settle();
}

SourceState Merge::next() {
  Source& front = *heap_.front();
  if (front.step() == SourceState::entry) {
    sift_down(0);
    return state_;
  }
  heap_.front() = heap_.back();
  heap_.pop_back();
  sift_down(0);
  place(front);
  return settle();
}

SourceState Merge::provide_cached() {
  for (Source* source : missing_) {
    RunIterator& run = source->run();
    while (run.state() == SourceState::need_block) {
      CachedBlock* cached = run.table().cached().find(run.block());
      if (cached == nullptr) break;
      run.provide(cached->block(), kv::Pin(*cached));
    }
  }
  return resume();
}

Task<Result<>> Merge::load() {
  std::vector<Task<Result<>>> loads;
  for (Source* source : missing_) loads.push_back(load_blocks(source, direction_, ahead_));
  ahead_ = std::min(2 * ahead_, ahead_max_);
  for (const auto& loaded : co_await when_all(std::move(loads))) CO_TRY(loaded);
  resume();
  co_return Result<>{};
}

/// The block that is wanted, and those after it into the cache. An error of theirs is met again when they are
/// wanted.
Task<Result<>> Merge::load_blocks(Source* source, Direction direction, std::uint32_t ahead) {
  RunIterator& run = source->run();
  TableFile& table = run.table();
  const std::uint32_t first = run.block();
  std::vector<Task<Result<LoadedBlock>>> loads;
  for (std::uint32_t i = 0; i < ahead; ++i) {
    if (direction == Direction::backward ? i > first : first + i >= table.table().block_count()) break;
    const std::uint32_t ordinal = direction == Direction::backward ? first - i : first + i;
    if (i == 0 || !table.cached().holds(ordinal)) loads.push_back(table.load(ordinal));
  }
  auto loaded = co_await when_all(std::move(loads));
  LoadedBlock wanted = CO_TRY(std::move(loaded.front()));
  run.provide(*wanted.block, std::move(wanted.pin));
  co_return Result<>{};
}

SourceState Merge::resume() {
  std::vector<Source*> given;
  given.swap(missing_);
  missing_.reserve(sources_.size());
  for (Source* source : given) {
    source->provided();
    place(*source);
  }
  return settle();
}

/// Puts a source where its state belongs.
void Merge::place(Source& source) {
  if (source.state() == SourceState::need_block) missing_.push_back(&source);
  if (source.state() != SourceState::entry) return;
  heap_.push_back(&source);
  for (std::size_t at = heap_.size() - 1; at > 0;) {
    const std::size_t parent = (at - 1) / 2;
    if (!before(*heap_[at], *heap_[parent])) break;
    std::swap(heap_[at], heap_[parent]);
    at = parent;
  }
}

SourceState Merge::settle() noexcept {
  if (!missing_.empty()) return state_ = SourceState::need_block;
  return state_ = heap_.empty() ? SourceState::end : SourceState::entry;
}

/// Of equal versions (a key written twice in one batch, in one memtable) the order does not matter here: they
/// come from one source.
bool Merge::before(const Source& a, const Source& b) const noexcept {
  const int order = compare_versions(a.entry(), b.entry());
  return direction_ == Direction::forward ? order < 0 : order > 0;
}

void Merge::sift_down(std::size_t at) noexcept {
  while (true) {
    std::size_t least = at;
    for (const std::size_t child : {2 * at + 1, 2 * at + 2}) {
      if (child < heap_.size() && before(*heap_[child], *heap_[least])) least = child;
    }
    if (least == at) return;
    std::swap(heap_[at], heap_[least]);
    at = least;
  }
}

}  // namespace ashlar::lsm
