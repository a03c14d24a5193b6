#include "ashlar/kv/lsm/table_job.h"

#include <algorithm>

#include "ashlar/runtime/sync/sleep.h"

namespace ashlar::lsm {

namespace {

constexpr std::uint64_t entries_between_looks = 64;  // at the clock: some 20 µs of work

/// The tables of one job, one after the other.
class Outputs {
 public:
  Outputs(const TableJob& job, std::vector<TableMeta>& finished) noexcept : job_(job), finished_(finished) {}

  /// Before each entry: begins the first table, and the next one where this one is full.
  Task<Result<>> prepare(bool new_key) {
    if (current_ && new_key && current_->file_bytes() >= job_.table_bytes_max) CO_TRY(co_await finish());
    if (!current_) {
      current_ = CO_TRY(co_await TableOutput::create(job_.blobs, job_.options, job_.partition, job_.level,
                                                     job_.next_number(), job_.in_flight));
      current_->set_erased_to(job_.horizon.ranges_at);
      if (finished_.empty()) current_->set_ranges(job_.ranges);
    }
    co_return Result<>{};
  }
  bool ready(bool new_key) const noexcept {
    return current_ && !(new_key && current_->file_bytes() >= job_.table_bytes_max);
  }
  TableOutput& current() noexcept { return *current_; }
  bool none() const noexcept { return !current_ && finished_.empty(); }
  Task<Result<>> finish() {
    if (!current_) co_return Result<>{};
    finished_.push_back(CO_TRY(co_await current_->finish()));
    finished_.back().run = job_.run.value_or(finished_.back().number);
    current_.reset();
    co_return Result<>{};
  }
  Task<> discard() {
    if (current_) co_await current_->discard();
    current_.reset();
  }

 private:
  const TableJob& job_;
  std::vector<TableMeta>& finished_;
  std::unique_ptr<TableOutput> current_;
};

/// Writes what the retention keeps.
Task<Result<>> write(std::span<const Entry> kept, std::vector<std::byte>& last_key, Outputs& outputs) {
  for (const Entry& entry : kept) {
    const bool new_key = !equal(entry.key, last_key);
    if (new_key) last_key.assign(entry.key.begin(), entry.key.end());
    if (!outputs.ready(new_key)) CO_TRY(co_await outputs.prepare(new_key));
    CO_TRY(outputs.current().add(entry, new_key));
    if (outputs.current().has_full()) CO_TRY(co_await outputs.current().drain());
  }
  co_return Result<>{};
}

Task<Result<>> copy(JobMerge& merge, const TableJob& job, Outputs& outputs) {
  Retention retention(job.horizon, job.rules, job.nothing_older);
  std::vector<std::byte> last_key;
  std::uint64_t entries = 0;
  CO_TRY(co_await merge.start());
  while (!merge.done()) {
    retention.take(merge.entry());
    if (!retention.kept().empty()) CO_TRY(co_await write(retention.kept(), last_key, outputs));
    if (++entries % entries_between_looks == 0) {
      if (job.progress != nullptr) *job.progress += entries_between_looks;
      if (Shard::current().should_yield()) co_await yield();
    }
    if (!merge.next()) CO_TRY(co_await merge.fetch());
  }
  retention.finish();
  CO_TRY(co_await write(retention.kept(), last_key, outputs));
  if (!job.ranges.empty() && outputs.none()) {
    CO_TRY(co_await outputs.prepare(true));
    const std::vector<std::byte> key = ranges_key(outputs.current().number());
    const auto newest = std::ranges::max(job.ranges, {}, &ErasedRange::sequence).sequence;
    CO_TRY(outputs.current().add({.key = key, .sequence = newest, .kind = Kind::erase, .value = {}}, true));
  }
  co_return co_await outputs.finish();
}

}  // namespace

Task<Result<std::vector<TableMeta>>> write_tables(JobMerge& merge, const TableJob& job) {
  std::vector<TableMeta> finished;
  Outputs outputs(job, finished);
  const Result<> copied = co_await copy(merge, job, outputs);
  co_await merge.close();
  if (!copied) {
    co_await outputs.discard();
    for (const TableMeta& table : finished) (void)co_await job.blobs.remove_table(table.number);
    co_return std::unexpected(copied.error());
  }
  co_return std::move(finished);
}

}  // namespace ashlar::lsm
