#pragma once

/// The work that flush and compaction share: entries in order go in, tables come out.

#include <atomic>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "ashlar/kv/lsm/job_merge.h"
#include "ashlar/kv/lsm/retention.h"
#include "ashlar/kv/lsm/table_output.h"
#include "ashlar/kv/lsm/value_file.h"
#include "ashlar/kv/lsm/value_output.h"

namespace ashlar::lsm {

/// Values that the entries of a job refer to, on the shard of its tables. Outlives it.
class ValueSource {
 public:
  /// `corrupt` at `place`, where an entry with this reference stands, if there can be no such value. Any
  /// shard.
  virtual Result<> check(const ValueRef& ref, ErrorPlace place) const noexcept = 0;
  /// Whether the value is to be moved. Any shard.
  virtual bool moves(const ValueRef& ref) const noexcept = 0;
  virtual Task<Result<LoadedValue>> load(ValueRef ref) = 0;
  /// The value could not be read for `why`. True: its entry goes; false: the reference stays as it is; an
  /// error ends the job.
  virtual Result<bool> drop(const ValueRef& ref, const Error& why) = 0;

 protected:
  ~ValueSource() = default;
};

/// What a job writes, and how. May be worked on by any shard, and by several, each with keys of its own.
struct TableJob {
  JobHome home;
  TableOptions options;
  std::uint64_t partition;
  unsigned level;                    ///< of the tables written
  std::optional<std::uint64_t> run;  ///< likewise; nothing: each has one of its own
  /// A table is cut at the first key beyond; every version of a key is in one table.
  std::uint64_t table_bytes_max;
  std::span<const std::vector<std::byte>> cuts =
      {};  ///< ascending keys: a table that begins before one ends there
  Horizon horizon;
  const KeyRuleTable& rules;
  std::vector<ErasedRange> ranges;                 ///< go into the first table, or into one of their own
  Retention::NothingOlder nothing_older;           ///< no deeper table may hold the key
  std::function<std::uint64_t()> next_number;      ///< called on the shard of the tables
  std::atomic<std::uint64_t>* progress = nullptr;  ///< counts entries as they are merged
  const std::atomic<bool>* ended = nullptr;        ///< once true, the job ends: `cancelled`
  std::uint64_t separate_bytes = 0;                ///< values from this size on go into value tables; 0: none
  std::uint64_t value_table_bytes = 64u << 20;     ///< a value table is cut beyond
  ValueSource* values = nullptr;                   ///< null: no references are followed
};

/// What a job has written.
struct JobOutput {
  std::vector<TableMeta> tables;
  std::vector<ValueTableMeta> values;

  std::uint64_t bytes() const noexcept;
  /// Removes it, after all.
  Task<> discard(const JobHome& home) const;
};

/// Writes what `merge`, which it starts and closes, yields and the horizon keeps. Gives way to this shard's
/// other tasks by time slice. On success every table survives power loss, though nothing references them yet;
/// on an error what was written is removed. An empty result means that nothing was worth keeping.
Task<Result<JobOutput>> write_tables(JobMerge& merge, const TableJob& job);

}  // namespace ashlar::lsm
