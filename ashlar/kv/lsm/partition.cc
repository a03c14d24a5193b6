/// Foreground: reads and writes. A write, step by step:
///
///  1. admit: limits, and whether the partition is stopped or its disk full.
///  2. The clock gives the batch its sequence; the log orders the encoded batch.
///  3. Its entries go into the memtable: from here on readers that waived durability see them, and readers
///  that did not
///     wait for them.
///  4. The ticket settles when the log reports a sequence at or beyond it as durable.
///
/// Nothing suspends between 2 and 3, so the order of the log, of sequences and of the memtable is one.

#include "ashlar/kv/lsm/partition.h"

#include <algorithm>
#include <array>
#include <cassert>

#include "ashlar/kv/lsm/batch.h"
#include "ashlar/kv/lsm/range_reclaim.h"
#include "ashlar/kv/lsm/search_ahead.h"
#include "ashlar/kv/lsm/value_cursor.h"
#include "ashlar/runtime/ops/machine_clock.h"
#include "ashlar/runtime/shard/shard.h"
#include "ashlar/runtime/sync/deadline.h"
#include "ashlar/runtime/sync/scope.h"

namespace ashlar::lsm {

namespace {

constexpr std::uint64_t log_bytes_per_memtable_byte = 4;
/// What the log may have queued before writers wait for it: so many groups; while memory is roomy a share of
/// what the log may take, so that nobody notices when the device takes a break of a tenth of a second.
constexpr std::uint64_t log_groups_behind_max = 8, log_share_behind_max = 4;

}  // namespace

LsmPartition::LsmPartition(std::unique_ptr<blob::Store> blobs, const LsmOptions& options, ShardContext& shard)
    : options_(options), shard_(shard), blobs_(std::move(blobs)), versions_(shard.epochs(), work_) {}

LsmPartition::~LsmPartition() {
  assert(versions_.empty() && "close() it first");
}

std::uint64_t LsmPartition::now_ms() const noexcept {
  return Shard::current().backend().wall_ms();
}

/// What a reader may see at most: after a failed log write, nothing that was not durable by then.
Sequence LsmPartition::read_limit(const kv::ReadOptions& options) const noexcept {
  const Sequence limit = view_of(options);
  return stop_reason() ? std::min(limit, durable_sequence()) : limit;
}

bool LsmPartition::look_up(kv::Read& read) noexcept {
  const kv::Receipt::Cycles cycles(read.options.receipt);
  ++counters_.reads;
  const Version* version = versions_.load_if_any();
  if (version == nullptr) [[unlikely]] {
    read.result = fail(Errc::closed, "read");
    read.settled = true;
    return true;
  }
  const Sequence limit = read_limit(read.options);
  if (read.options.snapshot != nullptr) clock_.observe(read.options.snapshot->sequence());
  if (locks().hides(*read.key, view_of(read.options))) [[unlikely]]
    return false;
  PointSearch search(*version, read.key->bytes(), read.key->hash(), limit);
  const bool done = search.run() == PointSearch::State::done;
  if (read.options.receipt != nullptr && done) [[unlikely]]
    read.options.receipt->blocks_cached += search.take_blocks_seen();
  if (search.found() && search.entry().kind == Kind::merge) [[unlikely]]
    return false;  // its base may be on the device
  if (!done || !answer(read, search, version->erased_below(read.key->bytes(), limit))) return false;
  return !search.found() || search.entry().kind != Kind::separated || find_value(read, *version);
}

/// The read has found a reference, unless it is absent: true where memory has the value.
bool LsmPartition::find_value(kv::Read& read, const Version& version) const noexcept {
  if (!read.result || !*read.result) return true;
  kv::Value& value = **read.result;
  const ValueRef ref = ValueRef::trusted(value.bytes);
  const ValueFile* const file = version.find_values(ref.table);
  LoadedValue cached = file != nullptr ? file->find(ref) : LoadedValue();
  read.settled = static_cast<bool>(cached);
  if (!cached) return false;
  if (read.options.receipt != nullptr) ++read.options.receipt->blocks_cached;
  value.bytes = cached.bytes;
  value.pin = std::move(cached.pin);
  return true;
}

bool LsmPartition::look_up_all(std::span<kv::Read> reads) noexcept {
  constexpr std::size_t at_once = 16;  // few enough to stay in the first cache until they are looked up
  bool all = true;
  for (std::size_t first = 0; first < reads.size(); first += at_once) {
    const std::span<kv::Read> some = reads.subspan(first, std::min(at_once, reads.size() - first));
    std::array<const StoredKey*, at_once> keys;
    for (std::size_t i = 0; i < some.size(); ++i) keys[i] = some[i].key;
    if (some.size() > 1) expect({keys.data(), some.size()}, true);
    for (kv::Read& read : some) all = look_up(read) && all;
  }
  return all;
}

void LsmPartition::expect(std::span<const StoredKey* const> keys, bool values) const noexcept {
  if (const Version* version = versions_.load_if_any()) search_ahead(*version, keys, values);
}

/// The time at which a reader judges what has expired.
std::uint64_t LsmPartition::judged_at(const kv::ReadOptions& options) const noexcept {
  const std::uint64_t given = options.snapshot != nullptr ? options.snapshot->now_ms() : options.now_ms;
  return given != 0 ? given : now_ms();
}

/// Turns what a search found into the result; entries below `cleared` are absent. False where the reader must
/// wait until read.seen is durable.
bool LsmPartition::answer(kv::Read& read, const PointSearch& search, Sequence cleared) noexcept {
  read.settled = true;
  read.seen = {};
  read.result = std::optional<kv::Value>();
  if (!search.found()) return true;
  const Entry& entry = search.entry();
  const bool covered = entry.sequence < cleared;
  read.seen = covered ? cleared : entry.sequence;
  if (read.options.durability == kv::Durability::durable && read.seen > durable_sequence()) {
    read.settled = false;
    return false;
  }
  if (covered || entry.kind == Kind::erase) return true;
  if (entry.expiry_ms != no_expiry) {
    if (entry.expiry_ms <= judged_at(read.options)) return true;
  }
  read.result->emplace(kv::Value{.bytes = entry.value,
                                 .expiry_ms = entry.expiry_ms,
                                 .sequence = entry.sequence,
                                 .pin = kv::Pin(*search.holder())});
  return true;
}

bool LsmPartition::peek(const StoredKey& key, kv::Durability durability, kv::Peek& found) const noexcept {
  assert(epoch::Guard::held());
  if (stopped_.load(std::memory_order_acquire) || locks().may_hide(key.hash())) return false;
  const Version* version = versions_.load_if_any();
  if (version == nullptr) return false;  // closed, as its owner will say
  PointSearch search(*version, key.bytes(), key.hash(), sequence_max);
  if (search.run() != PointSearch::State::done) return false;
  found = {};
  if (!search.found()) return true;
  const Entry& entry = search.entry();
  if (entry.kind == Kind::merge || entry.kind == Kind::separated) return false;
  const Sequence cleared = version->erased_below(key.bytes(), sequence_max);
  const bool covered = entry.sequence < cleared;
  const Sequence seen = covered ? cleared : entry.sequence;
  if (durability == kv::Durability::durable && seen > durable_sequence()) return false;
  if (covered || entry.kind == Kind::erase) return true;
  if (entry.expiry_ms != no_expiry) {
    const Shard* shard = Shard::current_or_null();
    if (entry.expiry_ms <= (shard != nullptr ? now_ms() : machine_wall_ms())) return true;
  }
  found = {.present = true, .value = entry.value, .expiry_ms = entry.expiry_ms, .sequence = entry.sequence};
  return true;
}

std::unique_ptr<kv::Cursor> LsmPartition::scan(const kv::ScanOptions& options) {
  if (versions_.empty()) return std::make_unique<ClosedCursor>();
  if (options.read.snapshot != nullptr) clock_.observe(options.read.snapshot->sequence());
  if (locks().hides_in(options.first, options.last, view_of(options.read)))
    return std::make_unique<LateCursor>(*this, options);
  const kv::Snapshot* snapshot = options.read.snapshot;
  const Sequence at = snapshot != nullptr ? snapshot->sequence() : last_sequence();
  VersionRef version = versions_.acquire();
  const bool separated = !version->values.empty();
  auto cursor = std::make_unique<LsmCursor>(*this, rules_, std::move(version), options,
                                            std::min(at, read_limit(options.read)), judged_at(options.read));
  if (!separated) return cursor;
  return std::make_unique<ValueCursor>(std::move(cursor), options);
}

void LsmPartition::hurry(Sequence) noexcept {
  if (log_ != nullptr) log_->hurry(log_->last());
}

Result<> LsmPartition::admit(std::span<const kv::Write> writes) const noexcept {
  if (stop_reason()) return fail(Errc::stopped, "write");
  if (closing_) return fail(Errc::closed, "write");
  if (locks().blocks(writes)) return fail(Errc::busy, "write: a transaction has locked the key");
  if (frozen_.size() >= std::size_t{4} * options_.memtables_max) return fail(Errc::no_memory, "write");
  bool grows = false;
  for (const kv::Write& write : writes) {
    grows |= write.kind == Kind::put || write.kind == Kind::merge;
    if (write.kind == Kind::clear) continue;
    if (write.kind == Kind::erase_range) {
      if (!is_range(write.key->bytes(), write.value)) return fail(Errc::invalid, "range of keys");
      continue;
    }
    const std::size_t bytes = write.key->bytes().size();
    if (bytes < kv::key_prefix_bytes || bytes > kv::stored_key_bytes_max) return fail(Errc::too_large, "key");
    if (write.value.size() > kv::value_bytes_max) return fail(Errc::too_large, "value");
    if (!rules_[write.key->bytes()].exists) return fail(Errc::not_found, "column family");
  }
  if (batch_payload_bytes(writes) > kv::value_bytes_max + kv::stored_key_bytes_max)
    return fail(Errc::too_large, "value");
  if (grows && blobs_->full()) return fail(Errc::no_space, "write");
  if (grows && compaction_halted_ && level0_is_long()) return std::unexpected(*compaction_attempts_.error());
  if (grows && Shard::current().memory().cap().full()) return fail(Errc::no_memory, "memory cap");
  return {};
}

Result<kv::Ticket> LsmPartition::append(std::span<const kv::Write> writes, const kv::WriteOptions& options) {
  const kv::Receipt::Cycles cycles(options.receipt);
  if (writes.empty()) {
    if (options.on_commit != nullptr) options.on_commit->committed({});
    return kv::Ticket();
  }
  for (std::size_t i = writes.size(); i-- > 1;) {  // what stands before a clear is nothing
    if (writes[i].kind != Kind::clear) continue;
    writes = writes.subspan(i);
    break;
  }
  if (preparer_.needed(writes, rules_)) writes = TRY(preparer_.prepare(writes, rules_, now_ms()));
  if (const auto admitted = admit(writes); !admitted) {
    // What a memtable holds can be read again from a table, in less memory.
    if (admitted.error().code == Errc::no_memory) flush_early();
    return std::unexpected(admitted.error());
  }
  const Sequence sequence = next_sequence();
  const std::size_t bytes = batch_bytes(writes);
  const auto ordered = log_->append_in_place({.sequence = sequence.value}, bytes,
                                             [&](std::byte* to) { encode_batch(writes, to); });
  if (!ordered) {
    // Full disk, log used up: only a flush releases segments, and the memtable may never fill.
    if (ordered.error().code == Errc::no_space) flush_early();
    return std::unexpected(ordered.error());
  }
  appended(sequence, writes);
  insert(writes, sequence);
  counters_.writes += writes.size();
  counters_.write_bytes += bytes;
  if (memtable_->reclaim_due()) reclaim_overwritten();
  if (memtable_->bytes() >= options_.memtable_bytes || log_is_long()) rotate(log_->next_index(), sequence);
  if (erases_wanted()) work_.notify_all();
  update_stall();
  pace(sequence, bytes);
  if (options.receipt != nullptr) options.receipt->bytes_logged += bytes;
  if (options.on_commit != nullptr) call_back(*options.on_commit, sequence);
  return kv::Ticket(*this, sequence, options.durability);
}

/// Holds the write back where compaction or flush lag behind.
void LsmPartition::pace(Sequence sequence, std::uint64_t bytes) noexcept {
  if (pacer_.allowed_rate() == 0 && !pacer_.next_due()) return;
  if (!pacer_.wrote(sequence, bytes, Shard::current().now())) return;
  ++counters_.delayed_writes;
  hold_from(pacer_.held_from());
  pacing_.notify_all();
}

void LsmPartition::insert(std::span<const kv::Write> writes, Sequence sequence) {
  for (const kv::Write& write : writes) {
    ++counters_.writes_by_kind[static_cast<std::size_t>(write.kind)];
    erases_ |= write.kind == Kind::erase;
    if (write.kind == Kind::clear) {
      clear(sequence);
      continue;
    }
    if (write.kind == Kind::erase_range) {
      add_range(write.key->bytes(), write.value, sequence);
      continue;
    }
    memtable_->insert({.key = write.key->bytes(),
                       .sequence = sequence,
                       .kind = write.kind,
                       .expiry_ms = write.kind == Kind::erase ? no_expiry : write.expiry_ms,
                       .value = write.value},
                      write.key->hash(), write.buffer);
  }
}

/// Lets the memtable write over what nobody may ask for any more. Cursors, and reads that wait, hold the
/// version; values that were handed out hold the memtable; after a failed log write readers go back to what
/// was durable.
void LsmPartition::reclaim_overwritten() {
  if (memtable_->reclaiming()) shard_.epochs().reclaim();
  const bool viewed = memtable_->pins() > 1 || !versions_.unshared();
  memtable_->reclaim(viewed ? Sequence{} : std::min(durable_sequence(), snapshot_horizon().sequence),
                     shard_.epochs());
  if (memtable_->reclaiming()) shard_.epochs().reclaim();  // begins the grace period, which is over next time
}

/// Every entry with a smaller sequence is absent from here on; what tables hold of them goes with compaction.
void LsmPartition::clear(Sequence sequence) {
  auto next = versions_.load().successor();
  const Sequence oldest = horizon().cleared;
  std::erase_if(next->clears, [&](Sequence older) { return older < oldest; });
  next->clears.push_back(sequence);
  versions_.publish(std::move(next));
  work_.notify_all();
}

/// As clear(), for some keys.
void LsmPartition::add_range(Bytes first, Bytes end, Sequence sequence) {
  memtable_->add_range(
      {.first = std::string(as_text(first)), .end = std::string(as_text(end)), .sequence = sequence});
  newest_range_ = sequence;
  erases_ = true;
  const Version& current = versions_.load();
  auto next = current.successor();
  std::vector<ErasedRange> all;
  if (current.ranges != nullptr) all = current.ranges->ranges();
  all.push_back(memtable_->ranges().back());
  next->ranges = RangeSet::make(std::move(all));
  versions_.publish(std::move(next));
  work_.notify_all();
}

bool LsmPartition::hides(const kv::KeyRange& range) const noexcept {
  const auto& ranges = versions_.load().ranges;
  if (ranges == nullptr) return false;
  return std::ranges::any_of(ranges->ranges(), [&](const ErasedRange& erased) {
    return erased.sequence <= durable_sequence() && erased.covers(range);
  });
}

bool LsmPartition::holds(const kv::KeyRange& range) {
  return may_hold(versions_.load(), range);
}

/// Small durable writes take a block of log each: the log may be due long before the memtable is full.
bool LsmPartition::log_is_long() const noexcept {
  const std::uint64_t bytes_max = log_bytes_per_memtable_byte * options_.memtable_bytes;
  return frozen_.empty() && log_->segment_count() > 2 + bytes_max / options_.log.segment_bytes;
}

/// Before the memtable is full, for what its flush gives back; one at a time.
void LsmPartition::flush_early() {
  if (frozen_.empty() && has_something(*memtable_)) rotate(log_->next_index(), last_sequence());
}

/// Freezes the memtable. `last`: the newest sequence in it; `log_end`: index of the first log record behind
/// that.
void LsmPartition::rotate(std::uint64_t log_end, Sequence last) {
  erases_ = false;
  transactions_.freeze();
  const Version& current = versions_.load();
  frozen_.push_back(
      {.memtable = memtable_, .log_end = log_end, .last = last, .cleared = current.cleared_at(sequence_max)});
  auto next = current.successor();
  memtable_ = new Memtable(shard_.chunks(), options_.memtable_bytes);
  next->memtables.insert(next->memtables.begin(), memtable_);
  versions_.publish(std::move(next));
  work_.notify_all();
}

bool LsmPartition::log_is_behind() const noexcept {
  const std::uint64_t queued = log_->queued_bytes();
  if (queued <= log_groups_behind_max * options_.log.buffer_bytes) [[likely]]
    return false;
  return queued > options_.log.memory_bytes / log_share_behind_max ||
         !Shard::current().memory().cap().roomy();
}

/// Tickets are slowed while flush lags behind, and wait where the log does, or memtables are used up.
/// Whatever ends the lag calls this again.
void LsmPartition::update_stall() noexcept {
  // On a full disk the log has what it has: erases go on when a flush has given some back.
  const bool for_memory = frozen_.size() >= options_.memtables_max || (blobs_->full() && !frozen_.empty());
  const bool stall = for_memory || log_is_behind();
  if (stall && !stalled()) {
    ++counters_.stalls;
    stalled_since_ = Shard::current().now();
    stalled_for_memory_ = false;
  } else if (!stall && stalled()) {
    const Duration lasted = Shard::current().now() - stalled_since_;
    std::uint64_t& longest = stalled_for_memory_ ? counters_.longest_stall_ns : counters_.longest_log_wait_ns;
    longest = std::max(longest, static_cast<std::uint64_t>(lasted.count()));
  }
  stalled_for_memory_ |= for_memory;
  // Nobody waits for space that may never come: what grows is refused then, and what was written is durable.
  const bool no_space =
      flush_attempts_.failed_with(Errc::no_space) || compaction_attempts_.failed_with(Errc::no_space);
  set_stalled(stall && !no_space && !stop_reason());
  if (no_space || frozen_.empty()) {
    pacer_.set_pressure(WritePacer::Backlog::memtables, 0);
  } else {
    const auto full = static_cast<double>(memtable_->bytes()) / static_cast<double>(options_.memtable_bytes);
    const double half = options_.memtables_max / 2.0;
    pacer_.set_pressure(WritePacer::Backlog::memtables,
                        (static_cast<double>(frozen_.size()) + std::min(full, 1.0) - half) / half);
  }
}

kv::PartitionStats LsmPartition::stats() const noexcept {
  kv::PartitionStats stats = counters_;
  stats.flush_error = flush_attempts_.error();
  stats.compaction_error = compaction_attempts_.error();
  stats.longest_delay_ns = static_cast<std::uint64_t>(pacer_.longest_wait().count());
  if (versions_.empty()) return stats;
  const Version& version = versions_.load();
  for (const Memtable* memtable : version.memtables) {
    stats.memtable_bytes += memtable->bytes();
    stats.memtable_entries += memtable->entries();
  }
  for (const Run& run : version.runs) {
    stats.table_count += run.tables.size();
    for (const TableFile* table : run.tables) {
      stats.table_bytes += table->meta().file_bytes;
      stats.table_entries += table->meta().entries;
    }
  }
  for (const Run& run : version.runs) {
    kv::LevelStats& level = stats.levels[run.level];
    ++level.runs;
    level.tables += run.tables.size();
    level.bytes += run.bytes_with_values();
  }
  for (const LiveValues& one : version.values) {
    ++stats.value_table_count;
    stats.value_table_bytes += ValueFooter::file_bytes(one.file->meta().data_bytes);
    stats.live_value_bytes += one.live_bytes;
  }
  stats.compaction_debt_bytes = debt_bytes_;
  stats.compactions_running = running_.size();
  stats.compaction_stuck = stuck_;
  stats.log_bytes = log_->stats().segment_bytes;
  stats.log_write_bytes = log_->stats().write_bytes;
  return stats;
}

}  // namespace ashlar::lsm
