#pragma once

/// A partition at one moment, for as long as its cut lives: what checkpoints and backups are copied from.
///
///   auto cut = CO_TRY(co_await PartitionCut::take(partition));   // of every partition, on its shard
///   CO_TRY(co_await cut->fix(at));                               // `at`: the greatest newest() of them all
///   … copy cut->state().tables from cut->blobs(), then cut->read_records(visitor) until there are no more
///
/// Tables hold what was flushed when it was taken, the log's records the rest. Sequences order writes across
/// partitions, so that the cuts of all of them at one sequence are one state of the whole.

#include <memory>

#include "ashlar/kv/lsm/partition.h"

namespace ashlar::lsm {

/// Owner: the partition's shard. Lifecycle: ends before the partition closes. It keeps tables and log from
/// being removed, and nothing from being written.
class PartitionCut {
 public:
  static Task<Result<std::unique_ptr<PartitionCut>>> take(LsmPartition& partition);

  /// Of the tables; they stay readable in blobs().
  const ManifestState& state() const noexcept { return state_; }
  blob::Store& blobs() const noexcept { return *partition_.blobs_; }
  /// Not below any sequence that the store had given out when it was taken.
  Sequence newest() const noexcept { return newest_; }

  /// What was written up to `at`, not below newest(), belongs to the cut; whatever is written from here on
  /// has a greater sequence. A transaction across partitions whose prepare record came after `at` is not in
  /// it, in none of the partitions, though its sequence may be below. Returns once all of it is durable.
  Task<Result<>> fix(Sequence at);
  /// After fix(): delivers the next megabyte or so of the records up to there that the tables do not hold, in
  /// order. False where there are no more.
  Task<Result<bool>> read_records(wal::RecordVisitor& visitor);

 private:
  explicit PartitionCut(LsmPartition& partition) noexcept : partition_(partition) {}

  LsmPartition& partition_;
  ManifestState state_;
  VersionRef version_;
  std::optional<wal::Log::Hold> hold_;
  Sequence newest_, at_;
  std::uint64_t next_index_ = 0;  // of the next record to be read
  std::uint64_t end_index_ = 0;   // of the first record behind the cut
};

}  // namespace ashlar::lsm
