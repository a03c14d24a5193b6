#include "ashlar/kv/lsm/cursor.h"

#include <algorithm>

#include "ashlar/base/units.h"
#include "ashlar/runtime/shard/shard.h"

namespace ashlar::lsm {

namespace {

void assign(std::vector<std::byte>& to, Bytes from) {
  to.assign(from.begin(), from.end());
}

/// The first key after all that begin with `prefix`; empty where there is none.
std::vector<std::byte> end_of_prefix(Bytes prefix) {
  std::vector<std::byte> end(prefix.begin(), prefix.end());
  while (!end.empty() && end.back() == std::byte{0xff}) end.pop_back();
  if (!end.empty()) end.back() = static_cast<std::byte>(static_cast<unsigned>(end.back()) + 1);
  return end;
}

/// Read ahead of each of so many runs: the more there are, the slower is each walked.
std::uint64_t ahead_bytes(std::size_t runs) noexcept {
  return std::clamp<std::uint64_t>(2_MiB / std::max<std::size_t>(runs, 1), 256_KiB, 1_MiB);
}

/// Whether `a` ends before `b`, where nothing stands for the end of all keys.
bool ends_before(Bytes a, Bytes b) noexcept {
  return !a.empty() && (b.empty() || compare(a, b) < 0);
}

}  // namespace

LateCursor::LateCursor(kv::Partition& partition, const kv::ScanOptions& options)
    : partition_(partition), options_(options) {
  assign(first_, options.first);
  assign(last_, options.last);
  assign(prefix_, options.prefix);
  options_.first = first_;
  options_.last = last_;
  options_.prefix = prefix_;
}

void LateCursor::seek(Bytes key) {
  if (cursor_ != nullptr) {
    cursor_->seek(key);
  } else {
    assign(sought_.emplace(), key);
  }
}

Task<Result<bool>> LateCursor::fetch() {
  if (cursor_ == nullptr) {
    const kv::Snapshot* snapshot = options_.read.snapshot;
    const Sequence at = snapshot != nullptr ? snapshot->sequence() : sequence_max;
    CO_TRY(co_await partition_.locks().visible_in(first_, last_, at));
    cursor_ = partition_.scan(options_);
    if (sought_) cursor_->seek(*sought_);
  }
  const bool more = CO_TRY(co_await cursor_->next());
  if (more) item_ = cursor_->item();
  co_return more;
}

LsmCursor::LsmCursor(kv::Partition& partition, const KeyRuleTable& rules, VersionRef version,
                     const kv::ScanOptions& options, Sequence at, std::uint64_t now_ms)
    : partition_(partition),
      rules_(rules),
      version_(std::move(version)),
      direction_(options.direction),
      durability_(options.read.durability),
      deadline_(options.read.deadline),
      receipt_(options.read.receipt),
      at_(at),
      now_ms_(now_ms),
      merge_(options.direction, {.ahead_bytes = ahead_bytes(version_->runs.size()),
                                 .fill_cache = options.read.fill_cache,
                                 .entries = options.limit,
                                 .receipt = options.read.receipt}),
      operands_(direction_ == Direction::forward ? Operands::Walk::newest_first
                                                 : Operands::Walk::oldest_first) {
  assign(first_, options.first);
  assign(last_, options.last);
  if (!options.prefix.empty()) {
    if (compare(first_, options.prefix) < 0) assign(first_, options.prefix);
    if (auto end = end_of_prefix(options.prefix); ends_before(end, last_)) last_ = std::move(end);
  }
  assign(from_, direction_ == Direction::forward ? first_ : last_);
  for (Memtable* memtable : version_->memtables) merge_.add(*memtable);
  for (const Run& run : version_->runs) merge_.add(run.tables);
  const std::size_t sources = version_->memtables.size() + version_->runs.size();
  charge_ = Shard::current().memory().charge_regardless(Purpose::other,
                                                        sizeof *this + sources * 2 * sizeof(Source));
}

void LsmCursor::seek(Bytes key) {
  if (direction_ == Direction::forward) {
    assign(from_, compare(key, first_) > 0 ? key : Bytes(first_));
  } else {
    assign(from_, ends_before(key, last_) ? key : Bytes(last_));
  }
  started_ = keeping_ = gathering_ = false;
  stepped_ = true;
  passed_.clear();
}

bool LsmCursor::advance(Result<bool>& result) noexcept {
  const kv::Receipt::Cycles cycles(receipt_);
  step_ = walk();
  if (step_ == Step::need_blocks || step_ == Step::need_base || must_wait()) return false;
  result = outcome();
  return true;
}

Task<Result<bool>> LsmCursor::fetch() {
  // advance() stopped in the middle of a step: at blocks to be read, or at what is not durable yet.
  while (step_ == Step::need_blocks || step_ == Step::need_base) {
    if (deadline_ != never && Shard::current().now() >= deadline_) co_return fail(Errc::timed_out, "scan");
    {
      const kv::Receipt::Time waited(receipt_, &kv::Receipt::device_time);
      CO_TRY(step_ == Step::need_base ? co_await load_base() : co_await merge_.load());
    }
    const kv::Receipt::Cycles cycles(receipt_);
    if (step_ == Step::need_blocks) step_ = walk();
  }
  if (must_wait()) {
    const kv::Receipt::Time waited(receipt_, &kv::Receipt::queue_time);
    CO_TRY(co_await kv::Ticket(partition_, seen_, kv::Durability::durable, false).until(deadline_));
  }
  co_return outcome();
}

/// Also where an erase or a clear that may yet vanish made the walk pass over a key (D12).
bool LsmCursor::must_wait() const noexcept {
  return durability_ == kv::Durability::durable && seen_ > partition_.durable_sequence();
}

LsmCursor::Step LsmCursor::walk() {
  if (!started_) {
    started_ = true;
    merge_.start(from_, direction_ == Direction::forward ? last_ : first_);
  }
  return direction_ == Direction::forward ? walk_forward() : walk_backward();
}

LsmCursor::Step LsmCursor::walk_forward() {
  while (true) {
    if (merge_.state() == SourceState::need_block) {
      if (merge_.provide_cached() == SourceState::need_block) return Step::need_blocks;
      continue;
    }
    if (!stepped_) {  // leaves the item shown last
      stepped_ = true;
      merge_.next();
      continue;
    }
    const bool end = merge_.state() == SourceState::end || !within(merge_.entry().key);
    if (gathering_ && (end || !equal(merge_.entry().key, passed_))) return show_merged(std::nullopt);
    if (end) return Step::end;
    const Entry& entry = merge_.entry();
    if (gathering_ && !gather_older(entry)) {
      return hidden(entry) ? show_merged(std::nullopt) : show_merged_onto(entry);
    }
    if (entry.sequence > at_ || (merge_.head() == passed_head_ && equal(entry.key, passed_))) {
      merge_.next();
      continue;
    }
    assign(passed_, entry.key);
    passed_head_ = merge_.head();
    if (visible(entry)) {
      if (entry.kind == Kind::merge) {
        gather(entry);
        merge_.next();
        continue;
      }
      show(entry);
      stepped_ = false;
      return Step::item;
    }
    merge_.next();
  }
}

LsmCursor::Step LsmCursor::walk_backward() {
  while (true) {
    if (merge_.state() == SourceState::need_block) {
      if (merge_.provide_cached() == SourceState::need_block) return Step::need_blocks;
      continue;
    }
    const bool end = merge_.state() == SourceState::end || !within(merge_.entry().key);
    if (keeping_ && (end || merge_.head() != kept_head_ || !equal(merge_.entry().key, kept_key_))) {
      keeping_ = false;
      const Step step = show_kept();
      if (step != Step::end) return step;
      continue;
    }
    if (end) return Step::end;
    if (merge_.entry().sequence <= at_) keep(merge_.entry());
    merge_.next();
  }
}

/// Whether the walk has not left the range.
bool LsmCursor::within(Bytes key) const noexcept {
  if (direction_ == Direction::forward) return last_.empty() || compare(key, last_) < 0;
  return first_.empty() || compare(key, first_) >= 0;
}

/// Whether a version is no more than a tombstone to this reader.
bool LsmCursor::hidden(const Entry& entry) const noexcept {
  return entry.sequence < version_->erased_below(entry.key, at_) || is_absent(entry, now_ms_);
}

/// Judges the version that decides about its key.
bool LsmCursor::visible(const Entry& entry) noexcept {
  const Sequence erased = version_->erased_below(entry.key, at_);
  seen_ = std::max(seen_, entry.sequence < erased ? erased : entry.sequence);
  return entry.sequence >= erased && !is_absent(entry, now_ms_);
}

void LsmCursor::show(const Entry& entry) noexcept {
  item_ = {.key = entry.key, .value = entry.value, .expiry_ms = entry.expiry_ms, .sequence = entry.sequence};
  separated_ = entry.kind == Kind::separated;
}

/// Forward: the newest operand of a key.
void LsmCursor::gather(const Entry& operand) {
  gathering_ = true;
  operands_.clear();
  operands_.add(operand.value);
  kept_ = operand;  // its sequence and expiry
}

/// Forward: an older version of the key being gathered. False where it is the base.
bool LsmCursor::gather_older(const Entry& entry) {
  if (entry.kind != Kind::merge || hidden(entry)) return false;
  operands_.add(entry.value);
  return true;
}

LsmCursor::Step LsmCursor::show_merged(std::optional<Bytes> base) {
  gathering_ = false;
  const Bytes key = direction_ == Direction::forward ? passed_ : kept_key_;
  if (const Result<> merged = operands_.merge(rules_[key].merge_operator, key, base, merged_); !merged) {
    failure_ = std::unexpected(merged.error());
    return Step::failed;
  }
  item_ = {.key = key, .value = merged_, .expiry_ms = kept_.expiry_ms, .sequence = kept_.sequence};
  separated_ = false;
  return Step::item;
}

/// Where the base is a reference, its value must be read first.
LsmCursor::Step LsmCursor::show_merged_onto(const Entry& base) {
  if (base.kind != Kind::separated) return show_merged(base.value);
  assign(base_, base.value);
  return Step::need_base;
}

Task<Result<>> LsmCursor::load_base() {
  const ValueRef ref = ValueRef::trusted(base_);
  ValueFile* file = version_->find_values(ref.table);
  if (file == nullptr) co_return fail(Errc::corrupt, "value table that a table refers to", ref.place());
  LoadedValue base = file->find(ref);
  if (!base) {
    base = CO_TRY(co_await file->load(ref, false));
    if (receipt_ != nullptr) {
      ++receipt_->blocks_read;
      receipt_->bytes_read += ref.read_bytes();
    }
  }
  step_ = show_merged(base.bytes);
  co_return Result<>{};
}

/// Backward: the next newer version of a key that is at or below `at`.
void LsmCursor::keep(const Entry& entry) {
  if (!std::exchange(keeping_, true)) {
    kept_is_base_ = false;
    operands_.clear();
  }
  assign(kept_key_, entry.key);
  kept_head_ = merge_.head();
  kept_ = entry;
  if (entry.kind == Kind::merge && !hidden(entry)) return operands_.add(entry.value);
  operands_.clear();
  assign(kept_value_, entry.value);
  kept_kind_ = entry.kind;
  kept_is_base_ = !hidden(entry);
}

/// `end`: there is nothing to show.
LsmCursor::Step LsmCursor::show_kept() {
  kept_.key = kept_key_;
  kept_.value = kept_value_;
  if (!visible(kept_)) return Step::end;
  if (!operands_.empty()) {
    if (!kept_is_base_) return show_merged(std::nullopt);
    return show_merged_onto({.key = kept_key_, .sequence = {}, .kind = kept_kind_, .value = kept_value_});
  }
  show(kept_);
  return Step::item;
}

}  // namespace ashlar::lsm
