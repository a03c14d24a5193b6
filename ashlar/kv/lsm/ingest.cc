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

bool overlaps(const Run& run, const TableMeta& table) noexcept {
  return std::ranges::any_of(run.tables, [&](const TableFile* there) {
    return there->meta().largest_key >= table.smallest_key && there->meta().smallest_key <= table.largest_key;
  });
}

}  // namespace

Result<std::unique_ptr<PartitionIngest>> PartitionIngest::begin(LsmPartition& partition) {
  if (partition.stop_reason()) return fail(Errc::stopped, "ingest");
  std::unique_ptr<PartitionIngest> ingest(new PartitionIngest(partition));
  ingest->placeholder_ = partition.next_sequence();
  ingest->report_.tables_by_level.resize(level_count);
  return ingest;
}

PartitionIngest::~PartitionIngest() {
  assert(output_ == nullptr && "commit() or abandon() it first");
}

Task<Result<>> PartitionIngest::add(Bytes key, Bytes value, std::uint64_t expiry_ms) {
  const ErrorPlace place{.object = report_.entries + 1};
  if (key.size() < kv::key_prefix_bytes || !partition_.rules_[key].exists)
    co_return fail(Errc::invalid, "ingest: key of no column family", place);
  if (key.size() > kv::stored_key_bytes_max || value.size() > kv::value_bytes_max)
    co_return fail(Errc::too_large, "ingest", place);
  if (compare(last_key_, key) >= 0) co_return fail(Errc::conflict, "ingest: keys do not ascend", place);
  const std::uint64_t ttl_ms = partition_.rules_[key].ttl_ms;
  if (expiry_ms == kv::no_expiry && ttl_ms != 0) expiry_ms = partition_.now_ms() + ttl_ms;
  if (output_ == nullptr || output_->file_bytes() >= partition_.options_.table_bytes)
    CO_TRY(co_await prepare());
  CO_TRY(output_->add(
      {.key = key, .sequence = placeholder_, .kind = Kind::put, .expiry_ms = expiry_ms, .value = value},
      true));
  if (output_->has_full()) CO_TRY(co_await output_->drain());
  last_key_.assign(key.begin(), key.end());
  ++report_.entries;
  if (Shard::current().should_yield()) co_await yield();
  co_return Result<>{};
}

/// The next table.
Task<Result<>> PartitionIngest::prepare() {
  CO_TRY(co_await finish_table());
  const TableOptions options =
      table_options_for(partition_.options_, partition_.versions_.load(), bottom_level);
  output_ = CO_TRY(co_await TableOutput::create(
      *partition_.blobs_, options, partition_.manifest_->state().partition, bottom_level,
      partition_.next_number_++, &partition_.shard_.background_bytes()));
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

Task<> PartitionIngest::abandon() {
  if (output_ != nullptr) co_await output_->discard();
  output_.reset();
  for (const TableMeta& table : std::exchange(tables_, {})) partition_.remove_later(table.number);
}

Task<Result<IngestReport>> PartitionIngest::commit() {
  Result<> done = co_await finish_table();
  if (done && tables_.empty()) co_return std::move(report_);
  if (done) done = co_await partition_.hold_compaction();
  if (done) {
    done = co_await commit_held();
    partition_.flush_to_ = sequence_max;
    partition_.release_compaction();
  }
  if (!done) {
    // Where the partition has stopped, the edit may be durable.
    if (!partition_.stop_reason()) co_await abandon();
    co_return std::unexpected(done.error());
  }
  co_return std::move(report_);
}

Task<Result<>> PartitionIngest::commit_held() {
  while (partition_.transactions_.undecided_floor() != sequence_max) {
    if (partition_.stop_reason() || partition_.closing_) co_return fail(Errc::stopped, "ingest");
    CO_TRY(co_await sleep_for(look_again_after));
  }
  const kv::Ticket ordered = CO_TRY(take_sequence());
  CO_TRY(co_await flush_before());
  CO_TRY(co_await ordered);

  std::uint64_t level0_run = 0;
  for (TableMeta& table : tables_) {
    table.ingested = true;
    table.smallest_sequence = table.largest_sequence = report_.at;
    place(table, level0_run);
  }
  if (level0_run != 0) partition_.next_number_ = level0_run + 1;
  // From here on they are the partition's, to keep or to remove.
  const JobOutput added{.tables = std::exchange(tables_, {}), .values = {}};
  CO_TRY(co_await partition_.commit({}, added, {}, {}));
  for (const TableMeta& table : added.tables) {
    ++report_.tables_by_level[table.level];
    partition_.counters_.levels[table.level].written_bytes += table.file_bytes;
  }
  partition_.revealed(partition_.last_sequence());
  co_return Result<>{};
}

/// Everything written before is in frozen memtables, and everything after it in later ones.
Result<kv::Ticket> PartitionIngest::take_sequence() {
  LsmPartition& p = partition_;
  if (LsmPartition::has_something(*p.memtable_)) p.rotate(p.log_->next_index(), p.last_sequence());
  p.flush_to_ = p.last_sequence();
  const Sequence sequence = p.next_sequence();
  const auto record = p.log_->append_in_place({.sequence = sequence.value}, 0, [](std::byte*) {});
  if (!record) return std::unexpected(record.error());
  p.appended(sequence, {});
  report_.at = sequence;
  return kv::Ticket(p, sequence, kv::Durability::durable, false);
}

Task<Result<>> PartitionIngest::flush_before() {
  LsmPartition& p = partition_;
  while (!p.frozen_.empty() && p.frozen_.front().last <= p.flush_to_) {
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
