#include "ashlar/embed/db.h"

#include <algorithm>

#include "ashlar/embed/engine.h"
#include "ashlar/embed/scan.h"
#include "ashlar/embed/snapshot_state.h"
#include "ashlar/embed/transaction_state.h"
#include "ashlar/runtime/sync/deadline.h"

namespace ashlar {

namespace {

Task<Result<>> sync_partition(lsm::LsmPartition* partition, Instant deadline) {
  co_return co_await partition->sync().until(deadline);
}
Task<Result<>> flush_partition(lsm::LsmPartition* partition, Instant deadline) {
  return with_deadline(deadline, partition->flush());
}
Task<Result<>> settle(lsm::LsmPartition* partition) {
  CO_TRY(co_await partition->flush());
  co_return co_await partition->settle_compaction();
}
Task<Result<>> compact_partition(lsm::LsmPartition* partition, Instant deadline) {
  return with_deadline(deadline, settle(partition));
}

/// On each partition's shard, one after the other.
template <class Body>
Result<> for_each_partition(embed::Engine& engine, Body body) {
  for (std::uint16_t i = 0; i < engine.partitioner().partitions(); ++i) {
    const kv::PartitionId id{i};
    TRY(engine.run(engine.home_of(id), [&] { return body(&engine.open_store().partition(id)); }));
  }
  return {};
}

Result<> for_each_partition(embed::Engine& engine, Task<Result<>> (*body)(lsm::LsmPartition*, Instant),
                            Deadline deadline) {
  const Instant until = embed::instant_of(deadline);
  return for_each_partition(engine, [&](lsm::LsmPartition* partition) { return body(partition, until); });
}

Task<Result<>> add_stats(lsm::LsmPartition* partition, DbStats* sum) {
  const kv::PartitionStats figures = partition->stats();
  sum->memtable_bytes += figures.memtable_bytes;
  sum->memtable_entries += figures.memtable_entries;
  sum->table_count += figures.table_count;
  sum->table_bytes += figures.table_bytes;
  sum->table_entries += figures.table_entries;
  sum->log_bytes += figures.log_bytes;
  sum->writes += figures.writes;
  sum->write_bytes += figures.write_bytes;
  sum->reads_asked += figures.reads;
  sum->reads_from_device += figures.reads_from_device;
  sum->flushes += figures.flushes;
  sum->compactions += figures.compactions;
  sum->compaction_bytes += figures.compaction_bytes;
  sum->stalls += figures.stalls;
  sum->log_write_bytes += figures.log_write_bytes;
  sum->flush_bytes += figures.flush_bytes;
  sum->compaction_read_bytes += figures.compaction_read_bytes;
  sum->compaction_parts += figures.compaction_parts;
  sum->helped_parts += figures.helped_parts;
  sum->compaction_debt_bytes += figures.compaction_debt_bytes;
  sum->delayed_writes += figures.delayed_writes;
  const std::chrono::nanoseconds delay(figures.longest_delay_ns), stall(figures.longest_stall_ns),
      log_wait(figures.longest_log_wait_ns);
  sum->longest_delay = std::max(sum->longest_delay, delay);
  sum->longest_stall = std::max(sum->longest_stall, stall);
  sum->longest_log_wait = std::max(sum->longest_log_wait, log_wait);
  sum->failed_jobs += figures.failed_jobs;
  if (figures.flush_error) sum->background_error = figures.flush_error;
  if (figures.compaction_error) sum->background_error = figures.compaction_error;
  const MemoryCap& cap = Shard::current().memory().cap();
  sum->memory_bytes = cap.lent_bytes();
  sum->memory_cap_bytes = cap.cap_bytes();
  co_return Result<>();
}

}  // namespace

Db::Db(std::shared_ptr<embed::Engine> engine) noexcept : engine_(std::move(engine)), newest_(engine_, {}) {}
Db::Db(Db&&) noexcept = default;
Db::~Db() {
  if (engine_ != nullptr) (void)engine_->close();
}
Db& Db::operator=(Db&& other) noexcept {
  std::swap(engine_, other.engine_);
  std::swap(newest_, other.newest_);
  return *this;
}

Result<Db> Db::open(const std::string& where, const DbOptions& options, std::string* message) {
  return Db(TRY(embed::Engine::open(where, options, message)));
}

Result<> Db::close() {
  return engine_->close();
}

bool Db::ordered() const noexcept {
  return engine_->ordered();
}

Result<Iterator> Db::iterate(const IterateOptions& options) const {
  auto scan = std::make_unique<embed::Scan>(engine_, options);
  TRY(scan->start());
  return Iterator(std::move(scan));
}

Result<Snapshot> Db::snapshot() const {
  return embed::SnapshotState::take(engine_);
}

Result<Transaction> Db::begin(const TransactionOptions& options) {
  return Transaction(TRY(embed::TransactionState::begin(engine_, options)));
}

Result<> Db::sync(Deadline deadline) {
  return for_each_partition(*engine_, sync_partition, deadline);
}

Result<> Db::flush(Deadline deadline) {
  return for_each_partition(*engine_, flush_partition, deadline);
}

Result<> Db::compact(Deadline deadline) {
  return for_each_partition(*engine_, compact_partition, deadline);
}

Result<CheckpointReport> Db::checkpoint(const std::string& where) {
  const auto made = TRY(engine_->run(embed::Engine::store_shard, [&] { return engine_->checkpoint(where); }));
  return CheckpointReport{
      .tables = made.tables, .table_bytes = made.table_bytes, .tables_shared = made.tables_shared};
}

std::chrono::nanoseconds Db::poll() noexcept {
  DrivenShard* const mine = engine_->driven_here();
  return mine != nullptr && Shard::current_or_null() == nullptr ? mine->poll()
                                                                : std::chrono::nanoseconds::max();
}

bool Db::run_once(std::chrono::nanoseconds timeout) noexcept {
  DrivenShard* const mine = engine_->driven_here();
  return mine != nullptr && Shard::current_or_null() == nullptr && mine->run_once(timeout);
}

Result<int> Db::descriptor() {
  DrivenShard* const mine = engine_->driven_here();
  if (mine == nullptr) return fail(Errc::invalid, "descriptor: this thread drives no shard of the database");
  return mine->descriptor();
}

Result<DbStats> Db::stats() const {
  DbStats sum;
  sum.partitions = engine_->partitioner().partitions();
  TRY(for_each_partition(*engine_, [&](lsm::LsmPartition* partition) { return add_stats(partition, &sum); }));
  return sum;
}

}  // namespace ashlar
