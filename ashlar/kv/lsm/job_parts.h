#pragma once

/// Divides a job between shards.
///
///  1. Keys that stand evenly in the indexes of its tables bound parts of about one table each.
///  2. The job's own shard hands them out, one after the other, to the shards that help; where none is set
///  aside, it works on parts itself, and asks between them who is idle.
///  3. A part is a job like any other (table_job.h), of its keys only. What it reads and writes goes through
///  the shard of the tables; the merge, checksums and compression are the helper's.
///  4. What all parts have written, in order, is the job's; where one of them fails, all of it goes.

#include "ashlar/kv/lsm/compaction.h"
#include "ashlar/kv/lsm/helpers.h"
#include "ashlar/kv/lsm/table_job.h"

namespace ashlar::lsm {

/// What a divided job has written, and how.
struct DividedOutput {
  JobOutput written;
  unsigned parts = 0;   ///< that it was divided into
  unsigned helped = 0;  ///< of them, those that other shards worked on
};

/// Merges the tables of a compaction, or, where it is a drop, none of them: as write_tables() does. On the
/// shard of the tables, which the caller keeps, as it does `compaction`; other shards call what `job` refers
/// to, but for `next_number` and `values`.
Task<Result<DividedOutput>> write_divided(const Compaction& compaction, const TableJob& job,
                                          Helpers& helpers);

}  // namespace ashlar::lsm
