#pragma once

/// The work that flush and compaction share: entries in order go in, tables come out.

#include <functional>
#include <optional>
#include <vector>

#include "ashlar/kv/lsm/job_merge.h"
#include "ashlar/kv/lsm/retention.h"
#include "ashlar/kv/lsm/table_output.h"

namespace ashlar::lsm {

/// What a job writes, and how.
struct TableJob {
  blob::Store& blobs;
  TableOptions options;
  std::uint64_t partition;
  unsigned level;                    ///< of the tables written
  std::optional<std::uint64_t> run;  ///< likewise; nothing: each has one of its own
  std::uint64_t
      table_bytes_max;  ///< a table is cut at the first key beyond; every version of a key is in one table
  Horizon horizon;
  const KeyRuleTable& rules;
  std::vector<ErasedRange> ranges;        ///< go into the first table, or into one of their own
  Retention::NothingOlder nothing_older;  ///< no deeper table may hold the key
  std::function<std::uint64_t()> next_number;
  std::uint64_t* progress = nullptr;  ///< counts entries as they are merged
  Semaphore* in_flight = nullptr;     ///< bytes that jobs may have with the device at once; null: any number
};

/// Writes what `merge`, which it starts and closes, yields and the horizon keeps. Gives way to other tasks by
/// time slice. On success every table survives power loss, though nothing references them yet; on an error
/// what was written is left for removal. An empty result means that nothing was worth keeping.
Task<Result<std::vector<TableMeta>>> write_tables(JobMerge& merge, const TableJob& job);

}  // namespace ashlar::lsm
