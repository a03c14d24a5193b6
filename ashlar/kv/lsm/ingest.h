#pragma once

/// Bulk loading: sorted entries become tables at once, past log and memtable, at the deepest place where
/// nothing newer or older of their keys is above. docs/formats/manifest.md, "Ingestion".
///
///   auto ingest = CO_TRY(PartitionIngest::begin(partition));
///   for (…) CO_TRY(co_await ingest->add(key, value));     // ascending
///   CO_TRY(co_await ingest->commit());                    // or abandon()

#include <memory>
#include <vector>

#include "ashlar/kv/lsm/partition.h"
#include "ashlar/kv/lsm/table_output.h"
#include "ashlar/kv/lsm/value_output.h"

namespace ashlar::lsm {

struct IngestReport {
  std::uint64_t entries = 0;
  std::uint64_t tables = 0, table_bytes = 0;
  std::uint64_t value_tables = 0, value_table_bytes = 0;
  std::vector<std::uint64_t> tables_by_level;  ///< level_count of them
  Sequence at;                                 ///< the sequence of all its entries
};

/// Owner: the partition's shard, one task; other tasks may read and write the partition meanwhile. Lifecycle:
/// begin(), add()…, then commit() or abandon() is awaited, before the partition closes. Invariant: until
/// commit() has written its manifest record, nothing of it is seen, and a crash leaves nothing of it.
class PartitionIngest {
 public:
  static Result<std::unique_ptr<PartitionIngest>> begin(LsmPartition& partition);
  ~PartitionIngest();

  /// A put. The stored form of a key of this partition, strictly above the one before: else `conflict`, with
  /// the entry's number from 1 as object; `too_large`; `invalid` for a key of a type that is not there. What
  /// has no expiry gets its column family's. Errors of writing tables. After an error abandon() is left.
  Task<Result<>> add(Bytes key, Bytes value, std::uint64_t expiry_ms = kv::no_expiry);

  /// Of the entries added so far; empty: there is none. Stored form, valid until the next add().
  Bytes last_key() const noexcept { return last_key_; }

  /// All of it becomes visible at once, as if written at this moment: it hides older versions, and what is
  /// written from here on hides it. Once ok it survives power loss; on an error nothing of it is there,
  /// unless the partition has stopped. Waits for compactions that are under way, for transactions that are
  /// being decided, and for a flush of what was written before.
  ///
  /// Row locks are not looked at. Reads with a snapshot that was taken while the record is being written wait
  /// for it, and see the entries; transactions that read before find a conflict.
  Task<Result<IngestReport>> commit();
  Task<> abandon();

 private:
  explicit PartitionIngest(LsmPartition& partition) noexcept : partition_(partition) {}

  Task<Result<>> prepare();
  Task<Result<>> finish_table();
  Task<Result<ValueRef>> put_value(Bytes value);
  Task<Result<>> finish_values();
  Task<Result<>> hold_when_decided();
  Task<Result<>> look_again();
  Task<Result<>> commit_held();
  Result<kv::Ticket> take_sequence();
  Task<Result<>> choose_placeholder();
  Task<Result<>> flush_up_to(Sequence last);
  void reveal();
  void place(TableMeta& table, std::uint64_t& level0_run) const;

  LsmPartition& partition_;
  Sequence placeholder_;  // in the files; zero: not chosen yet
  std::unique_ptr<TableOutput> output_;
  std::vector<TableMeta> tables_;
  std::unique_ptr<ValueOutput> values_;
  std::vector<ValueTableMeta> value_tables_;
  std::vector<std::byte> last_key_;
  std::vector<std::byte> types_;  // of all keys
  IngestReport report_;
};

}  // namespace ashlar::lsm
