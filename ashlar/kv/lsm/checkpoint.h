#pragma once

/// A checkpoint: a second data set with what a store holds at one moment, while it goes on. Tables are shared
/// where both are directories of one file system (hard links), and copied elsewhere; records of the log that
/// the tables do not hold yet are copied. docs/formats/directory.md, "A copy".

#include <memory>
#include <vector>

#include "ashlar/kv/lsm/cut.h"
#include "ashlar/kv/lsm/store.h"

namespace ashlar::lsm {

/// The cuts of all partitions at one sequence. Owner: the shard that takes it; each cut is its partition's
/// shard's. Lifecycle: take(), then release() before the store closes.
class StoreCut {
 public:
  static Task<Result<std::unique_ptr<StoreCut>>> take(LsmStore& store);
  Task<> release();
  ~StoreCut();

  LsmStore& store() const noexcept { return store_; }
  Sequence at() const noexcept { return at_; }
  std::uint32_t partitions() const noexcept { return static_cast<std::uint32_t>(cuts_.size()); }
  /// To be used on home_of(partition) only.
  PartitionCut& cut(std::uint32_t partition) const noexcept { return *cuts_[partition]; }
  ShardId home_of(std::uint32_t partition) const noexcept {
    return store_.home_of(kv::PartitionId{static_cast<std::uint16_t>(partition)});
  }

 private:
  explicit StoreCut(LsmStore& store) noexcept : store_(store) {}
  Task<Result<>> take_all();

  LsmStore& store_;
  Sequence at_;
  std::vector<std::unique_ptr<PartitionCut>> cuts_;
};

/// Fills a partition that is no data set's yet: its tables come first, then records and manifest.
class PartitionCopy final : public wal::RecordVisitor {
 public:
  /// On the shard of `into`. Removes what an earlier attempt left of the log.
  static Task<Result<std::unique_ptr<PartitionCopy>>> begin(blob::Store& into, const LsmOptions& options);
  /// Into the new log, in order.
  Result<> on_record(const wal::Record& record) override;
  Result<> append(const wal::RecordHeader& header, Bytes payload);
  /// Waits while much of what was appended is not written.
  Task<Result<>> make_room();
  /// Ends the log in any case. Where `so_far` is ok: everything is durable, and the partition opens. `state`:
  /// of the tables that were put into `into`.
  Task<Result<>> finish(Result<> so_far, ManifestState state);
  ~PartitionCopy();

 private:
  class Owner final : public wal::LogOwner {
   public:
    Result<> on_record(const wal::Record&) override { return {}; }
    void on_durable(const wal::Progress&) noexcept override {}
    void on_stopped(const Error&) noexcept override {}
  };

  explicit PartitionCopy(blob::Store& into) noexcept : into_(into) {}

  blob::Store& into_;
  Owner owner_;
  std::unique_ptr<wal::Log> log_;
};

struct CheckpointReport {
  Sequence at;
  std::uint64_t tables = 0, table_bytes = 0;
  std::uint64_t tables_shared = 0;  ///< of them; the others were copied
};

/// Makes the checkpoint at `into`, a home where there is nothing yet (`exists`), which it opens and closes.
/// Runs on the shard that opened the store. Once ok it survives power loss; before, it does not open, and a
/// directory that was left half made is to be removed.
Task<Result<CheckpointReport>> write_checkpoint(LsmStore& store, blob::Home& into);

}  // namespace ashlar::lsm
