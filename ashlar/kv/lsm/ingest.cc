// A partition takes in sorted entries, step by step:
//
//   1. tables are written as entries come, under numbers that no edit names; their entries have one sequence,
//      which only holds the place
//   2. no compaction is under way, and none begins; no transaction across partitions is being decided
//   3. at once: the memtable is frozen; the entries get their sequence, whose record in the log makes it one
//      that readers wait for; memtables that are frozen from here on are not flushed
//   4. what was frozen before is flushed, and the sequence is durable: everything older is in tables now
//   5. each table is placed: on the level above the first that has any of its keys, or in the last one
//   6. one edit adds all of them: the commit point. It says their sequence
//
// What is written after 3 is in memtables, and newer.

#include "ashlar/kv/lsm/ingest.h"

#include <algorithm>
#include <cassert>

#include "ashlar/kv/lsm/table_choice.h"
#include "ashlar/runtime/sync/sleep.h"

namespace ashlar::lsm {

namespace {

constexpr Duration look_again_after = std::chrono::milliseconds(1);
constexpr int looks_held = 100;  // while no compaction begins

bool overlaps(const Run& run, const TableMeta& table) noexcept {
  return std::ranges::any_of(run.tables, [&](const TableFile* there) {
    return there->meta().largest_key >= table.smallest_key && there->meta().smallest_key <= table.largest_key;
  });
}

}  // namespace

Result<std::unique_ptr<PartitionIngest>> PartitionIngest::begin(LsmPartition& partition) {
  if (partition.stop_reason()) return fail(Errc::stopped, "ingest");
  std::unique_ptr<PartitionIngest> ingest(new PartitionIngest(partition));
  ingest->report_.tables_by_level.resize(level_count);
  return ingest;
}

PartitionIngest::~PartitionIngest() {
  assert(output_ == nullptr && values_ == nullptr && "commit() or abandon() it first");
}

Task<Result<>> PartitionIngest::add(Bytes key, Bytes value, std::uint64_t expiry_ms) {
  const ErrorPlace place{.object = report_.entries + 1};
  if (key.size() < kv::key_prefix_bytes || !partition_.rules_[key].exists)
    co_return fail(Errc::invalid, "ingest: key of no column family", place);
  if (key.size() > kv::stored_key_bytes_max || value.size() > kv::value_bytes_max)
    co_return fail(Errc::too_large, "ingest", place);
  if (compare(last_key_, key) >= 0) co_return fail(Errc::conflict, "ingest: keys do not ascend", place);
  if (partition_.blobs_->full()) co_return fail(Errc::no_space, "ingest", place);
  const std::uint64_t ttl_ms = partition_.rules_[key].ttl_ms;
  if (expiry_ms == kv::no_expiry && ttl_ms != 0) expiry_ms = partition_.now_ms() + ttl_ms;
  if (output_ == nullptr || output_->file_bytes() >= partition_.options_.table_bytes)
    CO_TRY(co_await prepare());
  Entry entry{
      .key = key, .sequence = placeholder_, .kind = Kind::put, .expiry_ms = expiry_ms, .value = value};
  std::byte reference[value_ref_bytes_max];
  const std::uint64_t large = partition_.options_.separate_bytes;
  if (large != 0 && value.size() >= large) {
    const ValueRef ref = CO_TRY(co_await put_value(value));
    entry.kind = Kind::separated;
    entry.value = {reference, ref.encode(reference)};
  }
  CO_TRY(output_->add(entry, true));
  if (output_->has_full()) CO_TRY(co_await output_->drain());
  if (types_.empty() || types_.back() != key[0]) types_.push_back(key[0]);
  last_key_.assign(key.begin(), key.end());
  ++report_.entries;
  if (Shard::current().should_yield()) co_await yield();
  co_return Result<>{};
}

/// Before the first table: what a place holder is above is in tables. Else a repair that has only those would
/// take records of the log for flushed.
Task<Result<>> PartitionIngest::choose_placeholder() {
  LsmPartition& p = partition_;
  if (LsmPartition::has_something(*p.memtable_)) p.rotate(p.log_->next_index(), p.last_sequence());
  const Sequence before = p.last_sequence();
  placeholder_ = p.next_sequence();
  co_return co_await flush_up_to(before);
}

/// The next table.
Task<Result<>> PartitionIngest::prepare() {
  if (placeholder_ == Sequence{}) CO_TRY(co_await choose_placeholder());
  CO_TRY(co_await finish_table());
  const TableOptions options =
      table_options_for(partition_.options_, partition_.versions_.load(), bottom_level);
  output_ = CO_TRY(co_await TableOutput::create(partition_.job_home(), options,
                                                partition_.manifest_->state().partition, bottom_level,
                                                partition_.next_number_++));
  co_return Result<>{};
}

Task<Result<>> PartitionIngest::finish_table() {
  if (output_ == nullptr) co_return Result<>{};
  auto finished = co_await output_->finish();
  if (!finished) co_return std::unexpected(finished.error());
  output_.reset();
  ++report_.tables;
  report_.table_bytes += finished->file_bytes;
  tables_.push_back(*std::move(finished));
  co_return Result<>{};
}

/// As flushes and compactions do: docs/formats/value-table.md.
Task<Result<ValueRef>> PartitionIngest::put_value(Bytes value) {
  LsmPartition& p = partition_;
  if (values_ != nullptr && values_->data_bytes() >= p.options_.table_bytes) CO_TRY(co_await finish_values());
  if (values_ == nullptr) {
    const TableOptions options = table_options_for(p.options_, p.versions_.load(), bottom_level);
    values_ = CO_TRY(co_await ValueOutput::create(p.job_home(), options, p.manifest_->state().partition,
                                                  p.next_number_++));
  }
  const ValueRef ref = CO_TRY(values_->add(value));
  if (values_->has_full()) CO_TRY(co_await values_->drain());
  co_return ref;
}

Task<Result<>> PartitionIngest::finish_values() {
  if (values_ == nullptr) co_return Result<>{};
  value_tables_.push_back(CO_TRY(co_await values_->finish()));
  values_.reset();
  ++report_.value_tables;
  report_.value_table_bytes += ValueFooter::file_bytes(value_tables_.back().data_bytes);
  co_return Result<>{};
}

Task<> PartitionIngest::abandon() {
  if (output_ != nullptr) co_await output_->discard();
  if (values_ != nullptr) co_await values_->discard();
  output_.reset();
  values_.reset();
  for (const ValueTableMeta& table : std::exchange(value_tables_, {})) partition_.remove_later(table.number);
  for (const TableMeta& table : std::exchange(tables_, {})) partition_.remove_later(table.number);
}

Task<Result<IngestReport>> PartitionIngest::commit() {
  Result<> done = co_await finish_values();
  if (done) done = co_await finish_table();
  if (done && tables_.empty()) co_return std::move(report_);
  if (done && partition_.blobs_->full()) done = fail(Errc::no_space, "ingest");  // the reserve is for erases
  const MutexLock alone = co_await partition_.arranging_.lock();
  if (done) done = co_await hold_when_decided();
  if (done) {
    done = co_await commit_held();
    partition_.flush_to_ = sequence_max;
    partition_.release_compaction();
  }
  if (!done) {
    co_await abandon();  // of what was handed over, which may be durable, the partition knows
    co_return std::unexpected(done.error());
  }
  co_return std::move(report_);
}

/// Waits until no compaction is under way, and no transaction between its reserved sequence, which is below
/// the one to be taken, and its outcome. Compactions are not held for long where there is always one.
Task<Result<>> PartitionIngest::hold_when_decided() {
  const auto undecided = [&] { return partition_.locks().committing(); };
  for (;;) {
    while (undecided()) CO_TRY(co_await look_again());
    CO_TRY(co_await partition_.hold_compaction());
    Result<> waited;
    for (int looks = 0; waited && undecided() && looks < looks_held; ++looks) waited = co_await look_again();
    if (waited && !undecided()) co_return Result<>{};
    partition_.release_compaction();
    CO_TRY(waited);
  }
}

Task<Result<>> PartitionIngest::look_again() {
  if (partition_.stop_reason() || partition_.closing_) co_return fail(Errc::stopped, "ingest");
  co_return co_await sleep_for(look_again_after);
}

Task<Result<>> PartitionIngest::commit_held() {
  CO_TRY(co_await partition_.flush());  // what is left to flush below is small
  const kv::Ticket ordered = CO_TRY(take_sequence());
  const kv::LockTable::SnapshotHold hold(partition_.locks(), report_.at);
  CO_TRY(co_await flush_up_to(partition_.flush_to_));
  CO_TRY(co_await ordered);

  std::uint64_t level0_run = 0;
  for (TableMeta& table : tables_) {
    table.ingested = true;
    table.smallest_sequence = table.largest_sequence = report_.at;
    place(table, level0_run);
  }
  if (level0_run != 0) partition_.next_number_ = level0_run + 1;
  // From here on they are the partition's, to keep or to remove.
  const JobOutput added{.tables = std::exchange(tables_, {}), .values = std::exchange(value_tables_, {})};
  CO_TRY(co_await partition_.commit({}, added, {}, {}));
  for (const TableMeta& table : added.tables) {
    ++report_.tables_by_level[table.level];
    partition_.counters_.levels[table.level].written_bytes += table.file_bytes;
  }
  reveal();
  co_return Result<>{};
}

/// Whoever began before now, without a snapshot, may have read without the entries, also at a sequence above
/// theirs. A record makes the sequence from which on everyone sees them the newest of the partition.
void PartitionIngest::reveal() {
  LsmPartition& p = partition_;
  p.clock_.observe(p.shard_.state().clock.now());
  const Sequence at = p.next_sequence();
  if (p.log_->append_in_place({.sequence = at.value}, 0, [](std::byte*) {})) p.appended(at, {});
  p.revealed(report_.at, p.last_sequence());
}

/// Everything written before is in frozen memtables, and everything after it in later ones.
Result<kv::Ticket> PartitionIngest::take_sequence() {
  LsmPartition& p = partition_;
  for (const std::byte type : types_) {  // a family that is dropped from here on erases what is older
    if (!p.rules_[Bytes(&type, 1)].exists) return fail(Errc::not_found, "ingest: column family");
  }
  if (LsmPartition::has_something(*p.memtable_)) p.rotate(p.log_->next_index(), p.last_sequence());
  p.flush_to_ = p.last_sequence();
  const Sequence sequence = p.next_sequence();
  const auto record = p.log_->append_in_place({.sequence = sequence.value}, 0, [](std::byte*) {});
  if (!record) return std::unexpected(record.error());
  p.appended(sequence, {});
  report_.at = sequence;
  return kv::Ticket(p, sequence, kv::Durability::durable, false);
}

/// Returns when memtables that were frozen up to there are in tables.
Task<Result<>> PartitionIngest::flush_up_to(Sequence last) {
  LsmPartition& p = partition_;
  while (!p.frozen_.empty() && p.frozen_.front().last <= last) {
    if (p.stop_reason() || p.closing_) co_return fail(Errc::stopped, "ingest");
    if (p.flush_attempts_.error()) co_return std::unexpected(*p.flush_attempts_.error());
    CO_TRY(co_await p.progressed_.wait());
  }
  co_return Result<>{};
}

/// As deep as it may go: below it nothing is newer, and above it nothing is older. On level 0 all of them are
/// one new run; further down they join the newest run of the level, which has none of their keys.
void PartitionIngest::place(TableMeta& table, std::uint64_t& level0_run) const {
  const Version& version = partition_.versions_.load();
  const auto met = std::ranges::find_if(version.runs, [&](const Run& run) { return overlaps(run, table); });
  table.level = met == version.runs.end() ? bottom_level : met->level == 0 ? 0 : met->level - 1;
  if (table.level == 0) {
    if (level0_run == 0) level0_run = partition_.next_number_;
    table.run = level0_run;
    return;
  }
  const auto runs = version.level(table.level);
  table.run = runs.empty() ? default_run(table.level, table.number) : runs.front().number;
}

}  // namespace ashlar::lsm
