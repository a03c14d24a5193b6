// A checkpoint, step by step:
//
//   1. a cut of every partition, at one sequence: its tables and log stay
//   2. the new root store; there must be no root record
//   3. each partition, on its shard: its store, the tables (linked or copied), records of the log, manifest
//   4. the root record, under a new id: from here on the copy exists

#include "ashlar/kv/lsm/checkpoint.h"

#include <algorithm>
#include <cassert>

#include "ashlar/kv/lsm/blob_stream.h"
#include "ashlar/kv/lsm/manifest_log.h"
#include "ashlar/runtime/mesh/invoke.h"

namespace ashlar::lsm {

namespace {

constexpr std::uint32_t root_number = 0;
constexpr std::uint32_t log_number = 0;

Task<Result<>> put_tables(PartitionCut& cut, blob::Store& into, CheckpointReport& report) {
  const ShardId here = Shard::current().id();
  for (const std::uint64_t number : cut.state().numbers()) {
    if (CO_TRY(co_await cut.blobs().share_table(number, into))) {
      ++report.tables_shared;
    } else {
      CO_TRY(co_await copy_table(cut.blobs(), here, number, into, number));
    }
    ++report.tables;
    report.table_bytes += cut.state().file_bytes(number);
  }
  co_return Result<>{};
}

Task<Result<>> copy_records(PartitionCut& cut, PartitionCopy& copy) {
  while (CO_TRY(co_await cut.read_records(copy))) CO_TRY(co_await copy.make_room());
  co_return Result<>{};
}

Task<Result<>> fill(PartitionCut& cut, blob::Store& into, const LsmOptions& options,
                    CheckpointReport& report) {
  CO_TRY(co_await put_tables(cut, into, report));
  const auto copy = CO_TRY(co_await PartitionCopy::begin(into, options));
  const Result<> copied = co_await copy_records(cut, *copy);
  co_return co_await copy->finish(copied, cut.state());
}

/// On the partition's shard.
Task<Result<>> write_partition(const StoreCut* cut, std::uint32_t partition, blob::Home* home,
                               CheckpointReport* report) {
  CO_TRY(co_await home->prepare_partition(partition));
  const auto into = CO_TRY(co_await home->open_partition(partition));
  const auto listing = into->list();
  Result<> done = listing ? Result<>{} : std::unexpected(listing.error());
  if (done && !listing->tables.empty()) done = fail(Errc::exists, "checkpoint: tables where it is to be");
  if (done) done = co_await fill(cut->cut(partition), *into, cut->store().options(), *report);
  const Result<> closed = co_await into->close();
  co_return done ? closed : done;
}

Task<Result<>> write_all(const StoreCut& cut, blob::Home& into, CheckpointReport& report) {
  const auto root = CO_TRY(co_await into.open_root());
  auto stored = co_await root->read_root(root_number);
  Result<> done = stored ? Result<>{} : std::unexpected(stored.error());
  if (done && *stored) done = fail(Errc::exists, "checkpoint: a data set is there");
  for (std::uint32_t id = 0; done && id < cut.partitions(); ++id)
    done = co_await invoke(cut.home_of(id), [&] { return write_partition(&cut, id, &into, &report); });
  if (done) {
    kv::RootRecord record = cut.store().root();
    record.directory_id = Shard::current().backend().random();
    done = co_await root->write_root(root_number, record.encode());
  }
  const Result<> closed = co_await root->close();
  co_return done ? closed : done;
}

}  // namespace

StoreCut::~StoreCut() {
  assert(cuts_.empty() && "release() it first");
}

Task<Result<std::unique_ptr<StoreCut>>> StoreCut::take(LsmStore& store) {
  std::unique_ptr<StoreCut> cut(new StoreCut(store));
  const Result<> taken = co_await cut->take_all();
  if (!taken) {
    co_await cut->release();
    co_return std::unexpected(taken.error());
  }
  co_return cut;
}

Task<Result<>> StoreCut::take_all() {
  const std::uint32_t count = store_.partitions();
  cuts_.resize(count);
  for (std::uint32_t id = 0; id < count; ++id) {
    LsmPartition& partition = store_.partition(kv::PartitionId{static_cast<std::uint16_t>(id)});
    cuts_[id] = CO_TRY(co_await invoke(home_of(id), [&] { return PartitionCut::take(partition); }));
    at_ = std::max(at_, cuts_[id]->newest());
  }
  for (std::uint32_t id = 0; id < count; ++id)
    CO_TRY(co_await invoke(home_of(id), [&] { return cuts_[id]->fix(at_); }));
  co_return Result<>{};
}

Task<> StoreCut::release() {
  for (std::uint32_t id = 0; id < cuts_.size(); ++id)
    co_await invoke(home_of(id), [&] { cuts_[id].reset(); });
  cuts_.clear();
}

Task<Result<std::unique_ptr<PartitionCopy>>> PartitionCopy::begin(blob::Store& into,
                                                                  const LsmOptions& options) {
  const blob::Listing listing = CO_TRY(into.list());
  for (const blob::SegmentInfo& segment : listing.segments) {
    if (segment.name.log == log_number) CO_TRY(co_await into.remove_segment(segment.name));
  }
  std::unique_ptr<PartitionCopy> copy(new PartitionCopy(into));
  copy->log_ = CO_TRY(co_await wal::Log::open(into, log_number, options.log, 1, copy->owner_));
  co_return copy;
}

PartitionCopy::~PartitionCopy() = default;

Result<> PartitionCopy::append(const wal::RecordHeader& header, Bytes payload) {
  TRY(log_->append(header, payload));
  return {};
}

Result<> PartitionCopy::on_record(const wal::Record& record) {
  return append(record.header, record.payload);
}

Task<Result<>> PartitionCopy::make_room() {
  if (!log_->has_room()) CO_TRY(co_await log_->durable(log_->last()));
  co_return Result<>{};
}

Task<Result<>> PartitionCopy::finish(Result<> so_far, ManifestState state) {
  const Result<> closed = co_await log_->close();
  log_.reset();
  CO_TRY(so_far);
  CO_TRY(closed);
  state.log_index = 0;  // the copy's log begins anew, and holds nothing but what is needed
  co_return co_await ManifestLog::replace(into_, std::move(state));
}

Task<Result<CheckpointReport>> write_checkpoint(LsmStore& store, blob::Home& into) {
  const auto cut = CO_TRY(co_await StoreCut::take(store));
  CheckpointReport report{.at = cut->at()};
  const Result<> done = co_await write_all(*cut, into, report);
  co_await cut->release();
  co_await into.close();
  if (!done) co_return std::unexpected(done.error());
  co_return report;
}

}  // namespace ashlar::lsm
