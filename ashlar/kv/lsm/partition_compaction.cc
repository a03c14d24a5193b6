/// Compaction of a partition, job by job:
///
///  1. The most urgent job that may run beside those under way is chosen, and waits for its turn among those
///     of the shard's other partitions; then what is due is chosen once more.
///  2. Its tables are merged into new ones, by this shard or by others too (job_parts.h); those are synced,
///     and their directory.
///  3. One record of the manifest adds them and removes the others: the commit point. Tables that meet
///     nothing where they go take this step only.
///  4. A version with them is published. Files of the others go once no reader holds them.
///
/// Where compaction meets a table that is damaged, it stops but for what a clear lets it drop; reads of other
/// data go on. Any other failure has changed nothing: the job is chosen again after a pause.

#include <algorithm>

#include "ashlar/base/log.h"
#include "ashlar/kv/lsm/job_parts.h"
#include "ashlar/kv/lsm/partition.h"
#include "ashlar/kv/lsm/range_reclaim.h"
#include "ashlar/kv/lsm/reclaim.h"
#include "ashlar/kv/lsm/table_choice.h"
#include "ashlar/kv/lsm/value_collection.h"
#include "ashlar/runtime/sync/deadline.h"
#include "ashlar/runtime/sync/sleep.h"

namespace ashlar::lsm {

namespace {

constexpr Duration look_after_snapshot = std::chrono::seconds(1);
constexpr Duration stuck_after = std::chrono::minutes(1);  // without an entry merged
constexpr std::uint64_t look_after_ms_min = 100;           // for entries that expire one by one
constexpr std::uint64_t look_after_ms_max = 600'000;       // a wall clock may step
// Bytes that compaction lags behind, in smallest levels: from where on writers are slowed, and where the
// most.
constexpr std::uint64_t debt_levels_slow = 16, debt_levels_max = 64;

Task<Result<>> changed(Condition& condition) {
  co_return co_await condition.wait();
}

double share_beyond(double value, double from, double to) noexcept {
  return (value - from) / (to - from);
}

}  // namespace

/// How far compaction lags behind, whenever the tables change.
void LsmPartition::measure_tables() noexcept {
  const Version& version = versions_.load();
  slices_ = slice_keys(version, shape_, slices_);
  level0_depth_ = level0_depth(version, slices_);
  const double level0 = level0_depth_;
  const double level0_max = options_.level0_tables_max;
  const double level = static_cast<double>(options_.level1_bytes);
  debt_bytes_ = LevelSizes(version, shape_).debt_bytes();
  pacer_.set_pressure(WritePacer::Backlog::tables,
                      std::max(share_beyond(level0, level0_max / 2, level0_max),
                               share_beyond(static_cast<double>(debt_bytes_), debt_levels_slow * level,
                                            debt_levels_max * level)));
}

/// The next job, and whether only snapshots keep one from being due.
std::optional<Compaction> LsmPartition::due_compaction() {
  if (compaction_held_ != 0) return std::nullopt;
  // On a full disk one at a time: what the reserve has is for the flush, too.
  if (blobs_->full() && !running_.empty()) return std::nullopt;
  const auto pick = [&](const Horizon& now) {
    auto job = pick_compaction(versions_.load(), shape_, now, blobs_->full(), running_, slices_);
    if (job && ((compaction_halted_ && !job->drop) || !has_room(*job))) job.reset();
    return job;
  };
  const Horizon now = horizon();
  auto job = pick(now);
  snapshot_in_the_way_ = !job && now.oldest < last_sequence() &&
                         pick(horizon({.sequence = last_sequence(), .now_ms = now_ms()}));
  return job;
}

/// On a full disk a job leaves the next flush its room: without that the log gets no segment back, and erases
/// stop. What a job writes is guessed: each tombstone takes one entry away, and itself.
bool LsmPartition::has_room(const Compaction& job) const noexcept {
  if (!blobs_->full() || job.drop || job.move) return true;
  const auto space = blobs_->space();
  if (!space) return true;
  std::uint64_t entries = 0, gone = 0, needed = 0;
  for (const TableFile* table : job.inputs()) {
    entries += table->meta().entries;
    gone += 2 * table->meta().tombstones;
  }
  if (gone < entries) needed = job.bytes() / entries * (entries - gone);
  for (const TableFile* table : job.inputs()) needed += bytes_of(*table, job.moved_values);
  // Nothing of a value table comes back before all that is alive in it has been moved.
  for (const LiveValues& values : versions_.load().values) {
    if (std::ranges::binary_search(job.moved_values, values.file->number())) needed += values.live_bytes;
  }
  for (const Memtable* memtable : versions_.load().memtables) needed += memtable->bytes();
  return needed <= space->free_bytes;
}

/// When compaction must look again though nothing happened: entries expire.
Instant LsmPartition::next_look() noexcept {
  const std::uint64_t due_ms = next_expiry_compaction_ms(versions_.load(), horizon(), shape_.reclaim_one_in);
  // Nobody tells when a snapshot of the whole store ends.
  const Instant snapshot_over = snapshot_in_the_way_ ? Shard::current().now() + look_after_snapshot : never;
  if (due_ms == no_expiry || compaction_halted_) return snapshot_over;
  const std::uint64_t now = now_ms();
  const std::uint64_t wait_ms =
      std::clamp(due_ms - std::min(due_ms, now), look_after_ms_min, look_after_ms_max);
  return std::min(snapshot_over, Shard::current().now() + std::chrono::milliseconds(wait_ms));
}

/// One of several; the first also looks at the clock.
Task<> LsmPartition::compaction_loop(bool first) {
  while (!closing_ && !stop_reason()) {
    auto job = due_compaction();
    if (!job) {
      progressed_.notify_all();
      (void)co_await with_deadline(first ? next_look() : never, changed(work_));
      continue;
    }
    auto slot = co_await shard_.jobs().acquire({.urgency = job->urgency, .score = job->score});
    if (!slot) break;
    job = due_compaction();
    if (!job) continue;
    std::vector<std::uint64_t> inputs;
    for (const TableFile* table : job->inputs()) inputs.push_back(table->meta().number);
    if (const auto done = co_await run(*job); !done) {
      const Error& why = done.error();
      *slot = JobSlot();  // others need not wait for the pause
      if (why.code == Errc::corrupt && std::ranges::find(inputs, why.object) != inputs.end()) {
        halt_compaction(why);
      } else if (!co_await back_off(compaction_attempts_, why, "compaction")) {
        break;
      }
      continue;
    }
    compaction_halted_ = false;
    succeeded(compaction_attempts_, "compaction");
    ++counters_.compactions;
    if (!closing_) update_stall();
    work_.notify_all();
  }
}

/// Runs a job as one of those under way.
Task<Result<>> LsmPartition::run(Compaction& job) {
  const VersionRef version = versions_.acquire_frozen();  // keeps the tables
  const Instant began = Shard::current().now();
  if (std::exchange(job.new_run, false)) job.output_run = next_number_++;
  const std::vector<TableFile*> inputs = job.inputs();
  std::uint64_t level0_bytes = 0;
  for (TableFile* table : inputs) {
    table->set_busy(true);
    if (table->meta().level == 0) level0_bytes += table->meta().file_bytes;
  }
  running_.push_back(&job);
  if (running_.size() == 1) work_.notify_all();  // it is watched
  Result<> done = job.move ? co_await move_tables(job) : co_await compact(job, *version);
  std::erase(running_, &job);
  if (running_.empty()) progressed_.notify_all();
  for (TableFile* table : inputs) table->set_busy(false);
  if (done && job.urgency == Urgency::level0) {
    pacer_.drain(WritePacer::Backlog::tables).measured(level0_bytes, Shard::current().now() - began);
  }
  co_return done;
}

Task<Result<>> LsmPartition::compact(const Compaction& job, const Version& version) {
  const std::vector<TableFile*> inputs = job.inputs();
  const Horizon now = horizon();
  JobOutput written;
  VersionValues values(version, job.moved_values);
  auto ranges = ranges_to_keep(version, inputs, now);
  if (!job.drop || !ranges.empty()) {
    std::vector<const Run*> older;
    for (const Run& run : version.runs) {
      const bool input = std::ranges::find(inputs, run.tables.front()) != inputs.end();
      if (job.above(run) && !input) older.push_back(&run);
    }
    const KeyRuleTable rules = rules_;  // other shards may look
    const SliceKeys cuts = slices_;
    const TableJob tables{.home = job_home(),
                          .options = table_options_for(options_, version, job.output_level),
                          .partition = manifest_->state().partition,
                          .level = job.output_level,
                          .run = job.output_run,
                          .table_bytes_max = options_.table_bytes,
                          .cuts = cuts,
                          .horizon = now,
                          .rules = rules,
                          .ranges = std::move(ranges),
                          .nothing_older =
                              [&](Bytes key) {
                                return std::ranges::none_of(
                                    older, [&](const Run* run) { return run->covering(key) != nullptr; });
                              },
                          .next_number = [this] { return next_number_++; },
                          .progress = &entries_merged_,
                          .separate_bytes = options_.separate_bytes,
                          .value_table_bytes = options_.table_bytes,
                          .values = &values};
    DividedOutput output = CO_TRY(co_await write_divided(job, tables, shard_.state().helpers));
    written = std::move(output.written);
    counters_.compaction_parts += output.parts;
    counters_.helped_parts += output.helped;
    count(job, written);
  }
  Edit edit;
  edit.cleared = now.cleared;
  co_return co_await commit(std::move(edit), written, inputs, {});
}

void LsmPartition::count(const Compaction& job, const JobOutput& written) noexcept {
  for (const auto& run : job.runs) {
    for (const TableFile* table : run) {
      counters_.compaction_read_bytes += table->meta().file_bytes;
      counters_.levels[table->meta().level].read_bytes += table->meta().file_bytes;
    }
  }
  for (const TableMeta& table : written.tables)
    counters_.levels[table.level].written_bytes += table.file_bytes;
  counters_.compaction_bytes += written.bytes();
  for (const ValueTableMeta& table : written.values) counters_.moved_value_bytes += table.data_bytes;
}

/// Tables that go to another run as they are: a manifest record, and not a byte of theirs.
Task<Result<>> LsmPartition::move_tables(const Compaction& job) {
  const MutexLock lock = co_await commit_mutex_.lock();
  const std::vector<TableFile*> tables = job.inputs();
  Edit edit;
  for (const TableFile* table : tables) {
    edit.removed.push_back(table->meta().number);
    edit.added.push_back(table->meta());
    edit.added.back().level = job.output_level;
    edit.added.back().run = job.output_run;
  }
  CO_TRY(co_await append_edit(std::move(edit)));
  auto next = versions_.load().successor();
  for (TableFile* table : tables) {
    next->erase(*table);
    table->set_place(job.output_level, job.output_run);
    (void)next->insert(*table);  // what it refers to was there
  }
  versions_.publish(std::move(next));
  measure_tables();
  counters_.moves += tables.size();
  co_return Result<>{};
}

/// Says where jobs that run get nowhere: a device that does not answer is found here first.
Task<> LsmPartition::watch_loop() {
  while (!closing_) {
    if (running_.empty()) {
      stuck_ = false;
      if (!co_await work_.wait()) break;
      continue;
    }
    const std::uint64_t merged = entries_merged_.load(), compactions = counters_.compactions;
    if (!co_await sleep_for(stuck_after)) break;
    const bool still =
        !running_.empty() && merged == entries_merged_.load() && compactions == counters_.compactions;
    if (still && !stuck_) {
      log::warn("partition {}: compaction has merged nothing for {} s", manifest_->state().partition,
                std::chrono::duration_cast<std::chrono::seconds>(stuck_after).count());
    }
    stuck_ = still;
  }
}

/// To read the table again would not mend it.
void LsmPartition::halt_compaction(const Error& why) {
  compaction_halted_ = true;
  ++counters_.failed_jobs;
  if (compaction_attempts_.failed(why, false)) {
    log::error(
        "partition {}: {}; no compaction until a clear takes the table away or the directory is mended",
        manifest_->state().partition, why);
  }
  progressed_.notify_all();
  update_stall();
}

/// Returns when none is under way; none begins until it is released.
Task<Result<>> LsmPartition::hold_compaction() {
  ++compaction_held_;
  while (!running_.empty() && !stop_reason() && !closing_) {
    if (const auto waited = co_await progressed_.wait(); !waited) {
      release_compaction();
      co_return std::unexpected(waited.error());
    }
  }
  if (!stop_reason() && !closing_) co_return Result<>{};
  release_compaction();
  co_return fail(Errc::stopped, "compaction");
}

void LsmPartition::release_compaction() noexcept {
  --compaction_held_;
  work_.notify_all();
}

Task<Result<>> LsmPartition::merge_all(std::vector<std::uint64_t> moved_values) {
  Compaction job{.runs = {}, .output_level = bottom_level, .moved_values = std::move(moved_values)};
  for (const Run& run : versions_.load().runs) job.runs.push_back(run.tables);
  if (job.runs.empty()) co_return Result<>{};
  CO_TRY(co_await run(job));
  ++counters_.compactions;
  co_return Result<>{};
}

Task<Result<>> LsmPartition::compact_all() {
  const MutexLock alone = co_await arranging_.lock();
  CO_TRY(co_await flush());
  CO_TRY(co_await hold_compaction());
  Result<> done = co_await merge_all({});
  // What of values is dead is known now.
  std::vector<std::uint64_t> with_garbage;
  for (const LiveValues& one : versions_.load().values) {
    if (!one.file->damaged() && one.garbage_bytes() != 0) with_garbage.push_back(one.file->number());
  }
  if (done && !with_garbage.empty()) done = co_await merge_all(std::move(with_garbage));
  release_compaction();
  co_return done;
}

Task<Result<>> LsmPartition::settle_compaction() {
  work_.notify_all();
  while (!running_.empty() || compaction_halted_ || due_compaction()) {
    if (stop_reason() || closing_) co_return fail(Errc::stopped, "compaction");
    if (compaction_attempts_.error()) co_return std::unexpected(*compaction_attempts_.error());
    CO_TRY(co_await progressed_.wait());
  }
  co_return Result<>{};
}

}  // namespace ashlar::lsm
