#include "ashlar/embed/db.h"

#include "ashlar/embed/engine.h"
#include "ashlar/embed/prepared_batch.h"
#include "ashlar/embed/scan.h"
#include "ashlar/embed/snapshot_state.h"
#include "ashlar/kv/transaction.h"

namespace ashlar {

namespace {

std::optional<Bytes> bytes_of(const std::optional<std::string_view>& text) noexcept {
  return text ? std::optional(as_bytes(*text)) : std::nullopt;
}

Result<> write_and_wait(embed::Engine& engine, kv::PartitionId partition, std::span<const kv::Write> writes,
                        Durability durability) {
  embed::WriteCall call;
  call.partition = partition;
  call.writes = writes;
  call.durability = durability;
  TRY(engine.submit_and_wait(engine.home_of(partition), call));
  return call.result;
}

Result<> write_one(embed::Engine& engine, std::string_view user_key, kv::Write write, Durability durability) {
  const kv::StoredKey key = TRY(engine.stored(user_key));
  write.key = &key;
  return write_and_wait(engine, engine.partitioner().partition_of(key), {&write, 1}, durability);
}

Task<Result<>> sync_partition(lsm::LsmPartition* partition) {
  co_return co_await partition->sync();
}
Task<Result<>> flush_partition(lsm::LsmPartition* partition) {
  return partition->flush();
}
Task<Result<>> compact_partition(lsm::LsmPartition* partition) {
  CO_TRY(co_await partition->flush());
  co_return co_await partition->settle_compaction();
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

Result<> Db::put(std::string_view key, std::string_view value, const WriteOptions& options) {
  return put_until(key, value, no_expiry, options);
}

Result<> Db::put_until(std::string_view key, std::string_view value, std::uint64_t expiry_ms,
                       const WriteOptions& options) {
  return write_one(*engine_, key, {.value = as_bytes(value), .expiry_ms = expiry_ms}, options.durability);
}

Result<> Db::erase(std::string_view key, const WriteOptions& options) {
  return write_one(*engine_, key, {.value = {}, .kind = kv::Kind::erase}, options.durability);
}

Result<> Db::write(const WriteBatch& batch, const WriteOptions& options) {
  embed::PreparedBatch prepared;
  TRY(prepared.read(*engine_, batch));
  return write_and_wait(*engine_, prepared.partition(), prepared.writes(), options.durability);
}

Result<bool> Db::compare_and_swap(std::string_view user_key, std::optional<std::string_view> expected,
                                  std::optional<std::string_view> desired, const WriteOptions& options) {
  const kv::StoredKey key = TRY(engine_->stored(user_key));
  const kv::PartitionId id = engine_->partitioner().partition_of(key);
  return engine_->run(engine_->home_of(id), [&] {
    return kv::compare_and_swap(engine_->open_store().partition(id), key, bytes_of(expected),
                                bytes_of(desired), options.durability);
  });
}

Result<Iterator> Db::iterate(const IterateOptions& options) const {
  auto scan = std::make_unique<embed::Scan>(engine_, options);
  TRY(scan->start());
  return Iterator(std::move(scan));
}

Result<Snapshot> Db::snapshot() const {
  return embed::SnapshotState::take(engine_);
}

Result<> Db::sync() {
  return for_each_partition(*engine_, sync_partition);
}

Result<> Db::flush() {
  return for_each_partition(*engine_, flush_partition);
}

Result<> Db::compact() {
  return for_each_partition(*engine_, compact_partition);
}

Result<DbStats> Db::stats() const {
  DbStats sum;
  sum.partitions = engine_->partitioner().partitions();
  TRY(for_each_partition(*engine_, [&](lsm::LsmPartition* partition) { return add_stats(partition, &sum); }));
  return sum;
}

}  // namespace ashlar
