#include "ashlar/kv/lsm/table_job.h"

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
    }
    co_return Result<>{};
  }
  bool ready(bool new_key) const noexcept {
    return current_ && !(new_key && current_->file_bytes() >= job_.table_bytes_max);
  }
  TableOutput& current() noexcept { return *current_; }
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

Task<Result<>> copy(JobMerge& merge, const TableJob& job, Outputs& outputs) {
  Retention retention(job.horizon);
  bool first = true;  // no version of the key was kept yet
  std::uint64_t entries = 0;
  CO_TRY(co_await merge.start());
  while (!merge.done()) {
    Entry entry = merge.entry();
    const auto verdict = retention.judge(entry, job.nothing_older);
    first |= retention.is_new_key();
    if (verdict != Retention::Verdict::drop) {
      if (verdict == Retention::Verdict::keep_as_erase) {
        entry.kind = Kind::erase;
        entry.expiry_ms = no_expiry;
        entry.value = {};
      }
      if (!outputs.ready(first)) CO_TRY(co_await outputs.prepare(first));
      CO_TRY(outputs.current().add(entry, std::exchange(first, false)));
      if (outputs.current().has_full()) CO_TRY(co_await outputs.current().drain());
    }
    if (++entries % entries_between_looks == 0) {
      if (job.progress != nullptr) *job.progress += entries_between_looks;
      if (Shard::current().should_yield()) co_await yield();
    }
    if (!merge.next()) CO_TRY(co_await merge.fetch());
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
