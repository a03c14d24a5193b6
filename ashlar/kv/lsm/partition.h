#pragma once

/// The log-structured engine of one partition.
///
/// Write: sequence → log → memtable; acknowledged when the log says it is durable. Full memtables are frozen
/// and flushed to tables of level 0, which compaction merges into deeper levels. Read: memtables, then
/// tables, newest first.
///
/// Background tasks: flush (share flush), compaction (share background; so many as may run at once), one that
/// lets writers go on that were held back, housekeeping (memory that epochs held back, files that nothing
/// references).

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ashlar/blob/store.h"
#include "ashlar/kv/key_range.h"
#include "ashlar/kv/lsm/attempts.h"
#include "ashlar/kv/lsm/batch_preparer.h"
#include "ashlar/kv/lsm/compaction.h"
#include "ashlar/kv/lsm/manifest_log.h"
#include "ashlar/kv/lsm/options.h"
#include "ashlar/kv/lsm/point_search.h"
#include "ashlar/kv/lsm/retention.h"
#include "ashlar/kv/lsm/shard_context.h"
#include "ashlar/kv/lsm/table_job.h"
#include "ashlar/kv/lsm/transaction_log.h"
#include "ashlar/kv/lsm/version.h"
#include "ashlar/kv/lsm/write_pacer.h"
#include "ashlar/kv/partition.h"
#include "ashlar/log/log.h"
#include "ashlar/runtime/sync/condition.h"
#include "ashlar/runtime/sync/mutex.h"
#include "ashlar/runtime/sync/scope.h"

namespace ashlar::lsm {

/// Thread safety and lifecycle as kv::Partition says; close() before it is destroyed. Invariants: what is in
/// a table is durable in the log or in the manifest; the manifest names exactly the tables of the current
/// version, but for the moment between a commit and the publication that follows it.
class LsmPartition final : public kv::Partition, private wal::LogOwner, private TableOwner {
 public:
  /// Makes a new, empty partition in an empty store, which it closes. May be repeated where it was
  /// interrupted.
  static Task<Result<>> create(std::unique_ptr<blob::Store> blobs, std::uint64_t id);
  /// Recovers: manifest, tables, log. `shard` and `options` outlive the partition. `corrupt` with object and
  /// offset.
  static Task<Result<std::unique_ptr<LsmPartition>>> open(std::unique_ptr<blob::Store> blobs,
                                                          const LsmOptions& options, ShardContext& shard,
                                                          std::uint64_t id, const KeyRuleTable& rules = {});
  ~LsmPartition() override;
  /// Ends background work and makes everything appended durable. No cursor, pin, snapshot or task may be
  /// left.
  Task<Result<>> close();

  void expect(std::span<const StoredKey* const> keys, bool values) const noexcept override;
  std::unique_ptr<kv::Cursor> scan(const kv::ScanOptions& options) override;
  using kv::Partition::append;
  Result<kv::Ticket> append(std::span<const kv::Write> writes, const kv::WriteOptions& options) override;
  Sequence reserve(Sequence seen) noexcept override;
  Result<kv::Ticket> prepare(const kv::Prepare& part) override;
  Result<kv::Ticket> decide(const kv::Prepare& part, kv::Outcome outcome) override;
  bool peek(const StoredKey& key, kv::Durability durability, kv::Peek& found) const noexcept override;
  std::uint64_t now_ms() const noexcept override;
  kv::PartitionStats stats() const noexcept override;

  /// What recovery found of transactions across partitions, and the answer of the store's join to each in
  /// doubt: their keys are locked until then. Another outcome than an abort may fail as append() does.
  std::vector<TransactionVote> votes();
  Result<> decide_in_doubt(const kv::TransactionId& id, kv::Outcome outcome);
  /// What holds for keys of this type from here on.
  void set_rules(std::uint8_t type, const KeyRules& rules) noexcept { rules_.set(type, rules); }
  const KeyRules& rules_of(const StoredKey& key) const noexcept { return rules_[key.bytes()]; }

  /// Whether an erased range that is durable covers the whole of this one.
  bool hides(const kv::KeyRange& range) const noexcept;
  /// Whether a memtable or table may hold entries in a range that is hidden: its space is not all reclaimed.
  bool holds(const kv::KeyRange& range);

  /// Freezes the memtable and returns when everything written so far is in tables.
  Task<Result<>> flush();
  /// Returns when no compaction is due.
  Task<Result<>> settle_compaction();
  /// Flushes, and merges every table into one run of the last level: what nobody can see any more is gone
  /// then. Needs the space of all tables once more, meanwhile.
  Task<Result<>> compact_all();

 private:
  friend class PartitionCut;
  friend class PartitionIngest;

  /// A memtable that is full, with what its flush makes superfluous.
  struct Frozen {
    Memtable* memtable;
    std::uint64_t log_end;  // index of the first record behind it
    Sequence last;          // newest sequence when it was frozen
    Sequence cleared;       // newest clear until then
  };
  struct OutcomeRecord {
    std::uint64_t index = 0;  // in the log
    Sequence sequence;
    std::size_t bytes = 0;
  };

  LsmPartition(std::unique_ptr<blob::Store> blobs, const LsmOptions& options, ShardContext& shard);

  // partition_open.cc
  Task<Result<>> recover(std::uint64_t id);
  Task<Result<>> open_tables(Version& version);
  Task<Result<>> open_values(Version& version);
  Result<> on_record(const wal::Record& record) override;
  Result<> on_batch(const wal::Record& record);
  void on_durable(const wal::Progress& progress) noexcept override;
  void on_stopped(const Error& why) noexcept override;

  // partition_transactions.cc
  Sequence next_sequence() noexcept;
  Result<OutcomeRecord> append_outcome(const kv::TransactionId& id,
                                       std::span<const kv::PartitionId> participants, kv::Outcome outcome);
  void publish_floor() noexcept;
  Task<Result<>> carry_outcomes();
  Result<> on_prepare(const wal::Record& record);
  Result<> on_outcome(const wal::Record& record);
  Result<> lock_in_doubt();

  /// What a reader would see if everything were decided and durable.
  static Sequence view_of(const kv::ReadOptions& options) noexcept {
    return options.snapshot != nullptr ? options.snapshot->sequence() : sequence_max;
  }

  // partition_read.cc
  Task<> look_up_on_device(kv::Read& read) override;
  Task<> look_up_on_device(std::span<kv::Read> reads) override;
  Task<> merge_operands(kv::Read& read, const VersionRef& version, PointSearch& search, Sequence cleared);
  Task<> fetch_value(kv::Read& read, const VersionRef& version);
  Task<Result<LoadedValue>> load_value(const VersionRef& version, Bytes reference,
                                       const kv::ReadOptions& options);
  Task<Result<LoadedValue>> load_value_without_reader(VersionRef version, ValueFile& file, ValueRef ref,
                                                      bool keep);
  bool find_value(kv::Read& read, const Version& version) const noexcept;
  Task<kv::Pin> search_on_device(kv::Read& read, const VersionRef& version, PointSearch& search);
  Task<Result<LoadedBlock>> load(const VersionRef& version, TableFile& table, std::uint32_t block,
                                 const kv::ReadOptions& options);
  Task<Result<LoadedBlock>> load_without_reader(VersionRef version, TableFile& table, std::uint32_t block,
                                                bool keep);

  // partition.cc
  bool look_up(kv::Read& read) noexcept override;
  bool look_up_all(std::span<kv::Read> reads) noexcept override;
  void hurry(Sequence sequence) noexcept override;
  Result<> admit(std::span<const kv::Write> writes) const noexcept;
  void insert(std::span<const kv::Write> writes, Sequence at);
  void insert_recovered(const Entry& entry);
  void reclaim_overwritten();
  void clear(Sequence sequence);
  void add_range(Bytes first, Bytes end, Sequence sequence);
  static bool has_something(const Memtable& memtable) noexcept {
    return !memtable.empty() || !memtable.ranges().empty();
  }
  Sequence read_limit(const kv::ReadOptions& options) const noexcept;
  std::uint64_t judged_at(const kv::ReadOptions& options) const noexcept;
  bool answer(kv::Read& read, const PointSearch& search, Sequence cleared) noexcept;
  void rotate(std::uint64_t log_end, Sequence last);
  bool log_is_long() const noexcept;
  bool log_is_behind() const noexcept;
  bool level0_is_long() const noexcept { return level0_depth_ >= options_.level0_tables_max; }
  void flush_early();
  /// On a full disk what is erased must reach tables and log soon, for its space to come back.
  bool erases_wanted() const noexcept { return erases_ && blobs_->full(); }
  void update_stall() noexcept;
  void pace(Sequence sequence, std::uint64_t bytes) noexcept;

  // partition_background.cc
  void start_background();
  Task<> flush_loop();
  Task<Result<>> flush_oldest(std::size_t count);
  Task<Result<>> commit(Edit edit, const JobOutput& added, const std::vector<TableFile*>& removed,
                        const std::vector<Memtable*>& flushed);
  Task<Result<>> open_added(const JobOutput& added, std::vector<TableFile*>& tables,
                            std::vector<ValueFile*>& values);
  Task<Result<>> back_off(Attempts& attempts, const Error& why, const char* what);
  void succeeded(Attempts& attempts, const char* what);
  Task<Result<>> append_edit(Edit edit);
  Task<> pace_loop();
  Task<> housekeeping_loop();
  void remove_later(std::uint64_t number) noexcept override;
  TaskScope& table_reads() noexcept override { return table_reads_; }
  Horizon horizon(kv::Partition::SnapshotHorizon seen) const noexcept;
  Horizon horizon() noexcept { return horizon(snapshot_horizon()); }
  void snapshot_released() noexcept override;

  // partition_compaction.cc
  Task<> compaction_loop(bool first);
  std::optional<Compaction> due_compaction();
  bool has_room(const Compaction& job) const noexcept;
  Instant next_look() noexcept;
  Task<Result<>> run(Compaction& job);
  /// Of jobs that wait for their turn with the device.
  JobHome job_home() const noexcept { return JobHome(*blobs_, &shard_.background_bytes()); }
  Task<Result<>> compact(const Compaction& job, const Version& version);
  Task<Result<>> move_tables(const Compaction& job);
  void count(const Compaction& job, const JobOutput& written) noexcept;
  void halt_compaction(const Error& why);
  void measure_tables() noexcept;
  Task<Result<>> merge_all(std::vector<std::uint64_t> moved_values);
  Task<Result<>> hold_compaction();
  void release_compaction() noexcept;
  Task<> watch_loop();

  const LsmOptions& options_;
  KeyRuleTable rules_;
  BatchPreparer preparer_;
  ShardContext& shard_;
  std::unique_ptr<blob::Store> blobs_;
  std::unique_ptr<ManifestLog> manifest_;
  std::unique_ptr<wal::Log> log_;
  std::optional<wal::Log::Hold> log_hold_;
  VersionSet versions_;
  Memtable* memtable_ = nullptr;  // the one being written; the current version pins it
  bool erases_ = false;           // in it
  Sequence newest_range_;         // that was erased
  std::deque<Frozen> frozen_;     // oldest first
  TransactionLog transactions_;
  std::uint64_t in_tables_ = 0;  // what stands before in the log: log_end of the last flush
  kv::SequenceClock clock_;
  std::uint64_t next_number_ = 1;  // of tables, in memory; the manifest's is behind

  bool closing_ = false;
  const Shape shape_ = Shape::of(options_);
  SliceKeys slices_;         // of the bottom as it is now
  double level0_depth_ = 0;  // runs that a look-up meets there
  std::vector<const Compaction*> running_;
  unsigned compaction_held_ = 0;                  // by so many; no job begins
  Sequence flush_to_{sequence_max};               // memtables that were frozen later wait
  std::atomic<std::uint64_t> entries_merged_{0};  // by all of them, as they go, on any shard
  bool stuck_ = false;
  std::uint64_t debt_bytes_ = 0;  // of compaction
  WritePacer pacer_;
  Condition pacing_;                  // it holds writers back
  Instant stalled_since_{};           // while they wait until a stall is over
  bool stalled_for_memory_ = false;   // not, or not only, for the log
  bool snapshot_in_the_way_ = false;  // of a compaction
  std::atomic<bool> stopped_{false};  // for peek()
  std::vector<std::uint64_t> removals_;
  Mutex commit_mutex_;
  Mutex arranging_;       // one ingestion or compaction of everything at a time
  Condition work_;        // flush, compaction and housekeeping look again
  Condition progressed_;  // flush() and settle_compaction() look again
  Attempts flush_attempts_, compaction_attempts_;
  bool compaction_halted_ = false;  // a table cannot be read: only a clear can take it away
  TaskScope background_{nullptr};
  TaskScope table_reads_{nullptr};
  unsigned loads_without_reader_ = 0;
  Condition loads_done_;
  kv::PartitionStats counters_;
};

}  // namespace ashlar::lsm
