/// Background work of a partition. Flush, step by step:
///
///  1. Wait until everything in the oldest frozen memtable is durable in the log: a table must not outlive a
///  log that
///     failed. While the disk is full, take all frozen memtables: erases take what they erase out of the
///     table.
///  2. Write it as a run of level 0, one table or one for each slice (slices.h); sync files and directory.
///  3. Append to the manifest: the tables, and how much of the log it makes superfluous. This is the commit
///  point.
///  4. Publish a version with them and without the memtable; let the log recycle its segments.
///
/// An attempt that fails for want of space or for an error of the device has changed nothing: it is repeated
/// with new tables, after ever longer pauses. A manifest append that fails stops the
/// partition: whether it committed is unknown until it is opened again.

#include <algorithm>
#include <utility>

#include "ashlar/base/log.h"
#include "ashlar/kv/lsm/partition.h"
#include "ashlar/kv/lsm/range_reclaim.h"
#include "ashlar/kv/lsm/table_choice.h"
#include "ashlar/kv/lsm/table_job.h"
#include "ashlar/runtime/sync/deadline.h"
#include "ashlar/runtime/sync/sleep.h"

namespace ashlar::lsm {

namespace {

constexpr unsigned failures_max = 8;  // in a row, while writers wait: some 40 s
constexpr Duration reclaim_after = std::chrono::milliseconds(2);

}  // namespace

void LsmPartition::start_background() {
  background_.spawn(flush_loop(), Share::flush);
  background_.spawn(compaction_loop(true), Share::background);
  for (std::uint32_t i = 1; i < options_.compactions; ++i) {
    background_.spawn(compaction_loop(false), Share::background);
  }
  background_.spawn(pace_loop());
  background_.spawn(watch_loop(), Share::background);
  background_.spawn(housekeeping_loop(), Share::background);
}

/// Everything that a live reader may still look at. A clear counts once it is durable.
Horizon LsmPartition::horizon(kv::Partition::SnapshotHorizon seen) const noexcept {
  const Sequence settled = std::min(seen.sequence, durable_sequence());
  return {.oldest = seen.sequence,
          .oldest_now_ms = seen.now_ms,
          .cleared = versions_.load().cleared_at(settled),
          .ranges = versions_.load().ranges,
          .ranges_at = settled};
}

void LsmPartition::snapshot_released() noexcept {
  if (std::exchange(snapshot_in_the_way_, false)) work_.notify_all();
}

Task<> LsmPartition::flush_loop() {
  while (!closing_ && !stop_reason()) {
    if (frozen_.empty() && erases_wanted()) rotate(log_->next_index(), last_sequence());
    const std::size_t flushable = static_cast<std::size_t>(
        std::ranges::count_if(frozen_, [&](const Frozen& frozen) { return frozen.last <= flush_to_; }));
    if (flushable == 0) {
      (void)co_await work_.wait();
      continue;
    }
    const std::size_t count = blobs_->full() ? flushable : 1;
    if (const auto flushed = co_await flush_oldest(count); !flushed) {
      if (!co_await back_off(flush_attempts_, flushed.error(), "flush")) break;
      // What was erased since then makes the next attempt smaller.
      if (erases_wanted() && frozen_.size() < options_.memtables_max)
        rotate(log_->next_index(), last_sequence());
      continue;
    }
    succeeded(flush_attempts_, "flush");
    ++counters_.flushes;
    if (!closing_) update_stall();
    work_.notify_all();
    progressed_.notify_all();
  }
}

/// Flushes the `count` oldest frozen memtables into one run.
Task<Result<>> LsmPartition::flush_oldest(std::size_t count) {
  const Frozen newest = frozen_[count - 1];
  CO_TRY(co_await kv::Ticket(*this, newest.last, kv::Durability::durable, false));
  CO_TRY(co_await carry_outcomes());
  const Instant began = Shard::current().now();
  const VersionRef version = versions_.acquire_frozen();
  const JobHome home(*blobs_);
  JobMerge merge(home);
  std::uint64_t bytes = 0;
  std::vector<Memtable*> memtables;
  for (std::size_t i = 0; i < count; ++i) memtables.push_back(frozen_[i].memtable);
  std::vector<ErasedRange> ranges;
  for (Memtable* memtable : memtables) {
    merge.add(*memtable);
    bytes += memtable->bytes();
    ranges.insert(ranges.end(), memtable->ranges().begin(), memtable->ranges().end());
  }
  const SliceKeys cuts = level0_is_sliced(*version, shape_, options_.memtable_bytes) ? slices_ : SliceKeys();
  const TableJob job{.home = home,
                     .options = table_options_for(options_, *version, 0),
                     .partition = manifest_->state().partition,
                     .level = 0,
                     .run = cuts.empty() ? std::nullopt : std::optional(next_number_++),
                     .table_bytes_max = ~std::uint64_t{0},
                     .cuts = cuts,
                     .horizon = horizon(),
                     .rules = rules_,
                     .ranges = std::move(ranges),
                     .nothing_older = [&](Bytes) { return false; },
                     .next_number = [this] { return next_number_++; },
                     .separate_bytes = options_.separate_bytes,
                     .value_table_bytes = options_.table_bytes};
  const JobOutput written = CO_TRY(co_await write_tables(merge, job));
  counters_.flush_bytes += written.bytes();
  for (const TableMeta& table : written.tables) counters_.levels[0].written_bytes += table.file_bytes;
  const std::uint64_t log_needed = transactions_.log_needed(newest.log_end);
  Edit edit;
  edit.flushed = newest.last;
  edit.log_index = log_needed;
  edit.cleared = std::max(newest.cleared, job.horizon.cleared);
  CO_TRY(co_await commit(std::move(edit), written, {}, memtables));
  frozen_.erase(frozen_.begin(), frozen_.begin() + static_cast<std::ptrdiff_t>(count));
  log_hold_->advance(log_needed);
  in_tables_ = newest.log_end;
  pacer_.drain(WritePacer::Backlog::memtables).measured(bytes, Shard::current().now() - began);
  co_return Result<>{};
}

/// Opens and pins what a job has written.
Task<Result<>> LsmPartition::open_added(const JobOutput& added, std::vector<TableFile*>& tables,
                                        std::vector<ValueFile*>& values) {
  const std::uint64_t partition = manifest_->state().partition;
  for (const ValueTableMeta& meta : added.values) {
    values.push_back(CO_TRY(co_await ValueFile::open(*blobs_, partition, meta, shard_.cache(), *this)));
    values.back()->pin();
  }
  for (const TableMeta& meta : added.tables) {
    tables.push_back(CO_TRY(co_await TableFile::open(*blobs_, partition, meta, shard_.cache(), *this)));
    tables.back()->pin();
  }
  co_return Result<>{};
}

namespace {

/// A version's tables after a job: value tables to which nothing refers then are taken out, and returned.
Result<std::vector<ValueFile*>> exchange(Version& version, const std::vector<TableFile*>& removed,
                                         const std::vector<TableFile*>& tables,
                                         const std::vector<ValueFile*>& values) {
  for (const TableFile* table : removed) version.erase(*table);
  for (ValueFile* file : values) version.insert(*file);
  for (TableFile* table : tables) TRY(version.insert(*table));
  return version.erase_dead_values();
}

}  // namespace

/// Commits, and publishes the version that goes with it.
Task<Result<>> LsmPartition::commit(Edit edit, const JobOutput& added, const std::vector<TableFile*>& removed,
                                    const std::vector<Memtable*>& flushed) {
  const MutexLock lock = co_await commit_mutex_.lock();
  std::vector<TableFile*> tables;
  std::vector<ValueFile*> values;
  Result<> result = co_await open_added(added, tables, values);
  if (result) {
    auto dead = exchange(*versions_.load().successor(), removed, tables, values);
    if (!dead) result = std::unexpected(dead.error());
    if (dead) {
      for (const ValueFile* file : *dead) edit.removed_values.push_back(file->number());
    }
  }
  if (result) {
    edit.added = added.tables;
    edit.added_values = added.values;
    for (const TableFile* table : removed) edit.removed.push_back(table->meta().number);
    result = co_await append_edit(std::move(edit));
  }
  if (result) {
    auto next = versions_.load().successor();
    for (Memtable* memtable : flushed) std::erase(next->memtables, memtable);
    const auto dead = exchange(*next, removed, tables, values);
    for (ValueFile* file : *dead) file->set_obsolete();
    for (TableFile* table : removed) table->set_obsolete();
    if (next->ranges != nullptr) next->gather_ranges();
    versions_.publish(std::move(next));
    measure_tables();
  } else if (!stop_reason()) {  // not committed, and nothing will refer to them
    for (TableFile* table : tables) table->set_obsolete();
    for (ValueFile* file : values) file->set_obsolete();
    for (std::size_t i = tables.size(); i < added.tables.size(); ++i) remove_later(added.tables[i].number);
    for (std::size_t i = values.size(); i < added.values.size(); ++i) remove_later(added.values[i].number);
  }
  for (TableFile* table : tables) table->unpin();
  for (ValueFile* file : values) file->unpin();
  co_return result;
}

/// Under the commit mutex. Where it fails, the partition stops.
Task<Result<>> LsmPartition::append_edit(Edit edit) {
  edit.next_number = next_number_;
  edit.cleared = std::max(manifest_->state().cleared, edit.cleared.value_or(Sequence{}));
  edit.last_sequence = std::max(manifest_->state().last_sequence, durable_sequence());
  const Result<> appended = co_await manifest_->append(std::move(edit));
  if (!appended) on_stopped(appended.error());
  co_return appended;
}

/// After a failed attempt. An error where the partition stopped or closes.
Task<Result<>> LsmPartition::back_off(Attempts& attempts, const Error& why, const char* what) {
  if (stop_reason() || closing_) co_return fail(Errc::stopped, what);
  ++counters_.failed_jobs;
  if (attempts.failed(why, stalled() || pacer_.pressure() >= 1))
    log::warn("partition {}: {}: {}; trying again", manifest_->state().partition, what, why);
  progressed_.notify_all();
  update_stall();
  // A full disk may pass. Where the device fails again and again, writers must not wait for it for ever.
  if (why.code != Errc::no_space && attempts.failures_while_waited_for() == failures_max) {
    on_stopped(why);
    co_return fail(Errc::stopped, what);
  }
  co_return co_await sleep_for(attempts.pause());
}

void LsmPartition::succeeded(Attempts& attempts, const char* what) {
  if (attempts.succeeded()) log::info("partition {}: {} works again", manifest_->state().partition, what);
}

/// Lets writers go on that were held back.
Task<> LsmPartition::pace_loop() {
  while (!closing_) {
    if (const auto due = pacer_.next_due(); !due) {
      if (!co_await pacing_.wait()) break;
    } else if (*due > Shard::current().now()) {
      if (!co_await sleep_until(*due)) break;
    }
    pacer_.release(Shard::current().now());
    hold_from(pacer_.held_from());
  }
}

void LsmPartition::remove_later(std::uint64_t number) noexcept {
  removals_.push_back(number);
  work_.notify_all();
}

/// Ends grace periods soon, so that a flushed memtable's memory is free for the next, and removes files.
Task<> LsmPartition::housekeeping_loop() {
  while (!closing_) {
    for (const std::uint64_t number : std::exchange(removals_, {})) {
      (void)co_await blobs_->remove_table(number);  // what stays is removed at the next open
    }
    if (shard_.epochs().pending() != 0) {
      shard_.epochs().reclaim();
      if (!co_await sleep_for(reclaim_after)) break;
    } else if (removals_.empty()) {
      (void)co_await work_.wait();
    }
  }
}

Task<Result<>> LsmPartition::flush() {
  if (has_something(*memtable_)) rotate(log_->next_index(), last_sequence());
  while (!frozen_.empty()) {
    if (stop_reason() || closing_) co_return fail(Errc::stopped, "flush");
    if (flush_attempts_.error()) co_return std::unexpected(*flush_attempts_.error());
    CO_TRY(co_await progressed_.wait());
  }
  co_return Result<>{};
}

}  // namespace ashlar::lsm
