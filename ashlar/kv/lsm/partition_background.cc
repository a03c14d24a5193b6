/// Background work of a partition. Flush, step by step:
///
///  1. Wait until everything in the oldest frozen memtable is durable in the log: a table must not outlive a
///  log that
///     failed. While the disk is full, take all frozen memtables: erases take what they erase out of the
///     table.
///  2. Write it as a table of level 0; sync file and directory.
///  3. Append to the manifest: the table, and how much of the log it makes superfluous. This is the commit
///  point.
///  4. Publish a version with the table and without the memtable; let the log recycle its segments.
///
/// Compaction does 2 to 4 with tables as its input, and removes those once no reader holds them.
///
/// An attempt that fails for want of space or for an error of the device has changed nothing: it is repeated
/// with new tables. A manifest append that fails stops the partition: whether it committed is unknown until
/// it is opened again.

#include <algorithm>

#include "ashlar/base/log.h"
#include "ashlar/kv/lsm/partition.h"
#include "ashlar/kv/lsm/table_job.h"
#include "ashlar/runtime/sync/sleep.h"

namespace ashlar::lsm {

namespace {

constexpr Duration retry_after = std::chrono::milliseconds(250);
constexpr unsigned failures_max = 20;                 // in a row, while writers wait
constexpr std::uint32_t compaction_reads_ahead = 16;  // blocks of each run
constexpr Duration reclaim_after = std::chrono::milliseconds(2);

}  // namespace

void LsmPartition::start_background() {
  background_.spawn(flush_loop(), Share::flush);
  background_.spawn(compaction_loop(), Share::background);
  background_.spawn(housekeeping_loop(), Share::background);
}

/// Everything that a live reader may still look at. A clear counts once it is durable.
Horizon LsmPartition::horizon() {
  Horizon horizon{.oldest = last_sequence(), .oldest_now_ms = now_ms(), .cleared = {}};
  if (const kv::Snapshot* oldest = oldest_snapshot()) {
    horizon.oldest = std::min(horizon.oldest, oldest->sequence());
    horizon.oldest_now_ms = std::min(horizon.oldest_now_ms, oldest->now_ms());
  }
  horizon.cleared = versions_.load().cleared_at(std::min(horizon.oldest, durable_sequence()));
  return horizon;
}

Task<> LsmPartition::flush_loop() {
  while (!closing_ && !stop_reason()) {
    if (frozen_.empty() && erases_wanted()) rotate(log_->next_index(), last_sequence());
    if (frozen_.empty()) {
      (void)co_await work_.wait();
      continue;
    }
    const std::size_t count = blobs_->full() ? frozen_.size() : 1;
    if (const auto flushed = co_await flush_oldest(count); !flushed) {
      if (!co_await back_off(flushed.error(), "flush")) break;
      // What was erased since then makes the next attempt smaller.
      if (erases_wanted() && frozen_.size() < options_.memtables_max)
        rotate(log_->next_index(), last_sequence());
      continue;
    }
    background_error_.reset();
    failures_ = 0;
    ++counters_.flushes;
    if (!closing_) update_stall();
    work_.notify_all();
    progressed_.notify_all();
  }
}

/// Flushes the `count` oldest frozen memtables into one table.
Task<Result<>> LsmPartition::flush_oldest(std::size_t count) {
  const Frozen newest = frozen_[count - 1];
  CO_TRY(co_await kv::Ticket(*this, newest.last, kv::Durability::durable, false));
  const VersionRef version = versions_.acquire();
  Merge merge(Direction::forward);
  std::vector<Memtable*> memtables;
  for (std::size_t i = 0; i < count; ++i) memtables.push_back(frozen_[i].memtable);
  for (Memtable* memtable : memtables) merge.add(*memtable);
  const TableJob job{.blobs = *blobs_,
                     .options = options_.table,
                     .level = 0,
                     .table_bytes_max = ~std::uint64_t{0},
                     .horizon = horizon(),
                     .nothing_older = [&](Bytes) { return false; },
                     .next_number = [this] { return next_number_++; }};
  auto tables = CO_TRY(co_await write_tables(merge, job));
  Edit edit;
  edit.flushed = newest.last;
  edit.log_index = newest.log_end;
  edit.cleared = std::max(newest.cleared, job.horizon.cleared);
  CO_TRY(co_await commit(std::move(edit), std::move(tables), {}, memtables));
  frozen_.erase(frozen_.begin(), frozen_.begin() + static_cast<std::ptrdiff_t>(count));
  log_hold_->advance(newest.log_end);
  co_return Result<>{};
}

/// Commits, and publishes the version that goes with it.
Task<Result<>> LsmPartition::commit(Edit edit, std::vector<TableMeta> added,
                                    const std::vector<TableFile*>& removed,
                                    const std::vector<Memtable*>& flushed) {
  const MutexLock lock = co_await commit_mutex_.lock();
  std::vector<TableFile*> opened;
  Result<> result;
  for (const TableMeta& meta : added) {
    auto table = co_await TableFile::open(*blobs_, meta, shard_.cache(), *this);
    if (!table) {
      result = std::unexpected(table.error());
      break;
    }
    opened.push_back(*table);
    opened.back()->pin();
  }
  if (result) {
    edit.next_number = next_number_;
    edit.cleared = std::max(manifest_->state().cleared, edit.cleared.value_or(Sequence{}));
    edit.last_sequence = std::max(manifest_->state().last_sequence, durable_sequence());
    edit.added = added;
    for (const TableFile* table : removed) edit.removed.push_back(table->meta().number);
    result = co_await manifest_->append(std::move(edit));
    if (!result) on_stopped(result.error());
  }
  if (result) {
    auto next = versions_.load().successor();
    for (Memtable* memtable : flushed) std::erase(next->memtables, memtable);
    for (TableFile* table : removed) {
      std::erase(next->levels[table->meta().level], table);
      table->set_obsolete();
    }
    for (TableFile* table : opened) insert_in_order(next->levels[table->meta().level], *table);
    versions_.publish(std::move(next));
  } else if (!stop_reason()) {  // not committed, and nothing will refer to them
    for (TableFile* table : opened) table->set_obsolete();
    for (std::size_t i = opened.size(); i < added.size(); ++i) remove_later(added[i].number);
  }
  for (TableFile* table : opened) table->unpin();
  co_return result;
}

/// After a failed attempt. False where the partition stopped or closes.
Task<Result<>> LsmPartition::back_off(const Error& why, const char* what) {
  if (stop_reason() || closing_) co_return fail(Errc::stopped, what);
  if (!background_error_ || background_error_->code != why.code) log::warn("{}: {}; trying again", what, why);
  background_error_ = why;
  progressed_.notify_all();
  update_stall();
  // A full disk may pass. Where the device fails again and again, writers must not wait for it for ever.
  if (stalled() && why.code != Errc::no_space && ++failures_ == failures_max) {
    on_stopped(why);
    co_return fail(Errc::stopped, what);
  }
  co_return co_await sleep_for(retry_after);
}

Task<> LsmPartition::compaction_loop() {
  while (!closing_ && !stop_reason()) {
    auto job = pick_compaction(versions_.load(), options_, horizon(), blobs_->full());
    compacting_ = job.has_value();
    if (!job) {
      progressed_.notify_all();
      (void)co_await work_.wait();
      continue;
    }
    if (const auto done = co_await compact(std::move(*job)); !done) {
      if (!co_await back_off(done.error(), "compaction")) break;
      continue;
    }
    background_error_.reset();
    failures_ = 0;
    ++counters_.compactions;
    if (!closing_) update_stall();
  }
  compacting_ = false;
}

Task<Result<>> LsmPartition::compact(Compaction job) {
  const VersionRef version = versions_.acquire();
  Merge merge(Direction::forward, compaction_reads_ahead, compaction_reads_ahead);
  for (auto& run : job.runs) merge.add(run);
  const Horizon now = horizon();
  const TableJob tables{.blobs = *blobs_,
                        .options = options_.table,
                        .level = job.output_level,
                        .table_bytes_max = options_.table_bytes,
                        .horizon = now,
                        .nothing_older =
                            [&](Bytes key) {
                              for (unsigned level = job.output_level + 1; level < level_count; ++level) {
                                if (version->covering(level, key) != nullptr) return false;
                              }
                              return true;
                            },
                        .next_number = [this] { return next_number_++; }};
  std::vector<TableMeta> written;
  if (!job.drop) written = CO_TRY(co_await write_tables(merge, tables));
  for (const TableMeta& table : written) counters_.compaction_bytes += table.file_bytes;
  Edit edit;
  edit.cleared = now.cleared;
  co_return co_await commit(std::move(edit), std::move(written), job.inputs(), {});
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
  if (!memtable_->empty()) rotate(log_->next_index(), last_sequence());
  while (!frozen_.empty()) {
    if (stop_reason() || closing_) co_return fail(Errc::stopped, "flush");
    if (background_error_) co_return std::unexpected(*background_error_);
    CO_TRY(co_await progressed_.wait());
  }
  co_return Result<>{};
}

Task<Result<>> LsmPartition::settle_compaction() {
  work_.notify_all();
  while (compacting_ || pick_compaction(versions_.load(), options_, horizon(), blobs_->full())) {
    if (stop_reason() || closing_) co_return fail(Errc::stopped, "compaction");
    if (background_error_) co_return std::unexpected(*background_error_);
    CO_TRY(co_await progressed_.wait());
  }
  co_return Result<>{};
}

}  // namespace ashlar::lsm
