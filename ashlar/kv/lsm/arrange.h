#pragma once

/// Finds a tree for tables of which nobody knows any more where they stood: what repair does without a
/// manifest.
///
///  1. Two tables are ordered where they share no key, or all of the one is newer than all of the other.
///  2. Tables that are not, and whatever then lies across their ranges, are merged into new ones.
///  3. The oldest first, each goes to the deepest level above every table that it shares keys with; where
///     none is left, to level 0 as a run of its own.

#include <vector>

#include "ashlar/kv/lsm/manifest.h"
#include "ashlar/kv/lsm/shard_context.h"
#include "ashlar/kv/lsm/table_job.h"

namespace ashlar::lsm {

struct Arrangement {
  TableJob job;  ///< of what has to be written
  ShardContext& shard;
  std::uint64_t merged = 0;  ///< set: tables that were merged
};

/// The tables to be named, with level and run, and value tables that were written. Inputs that were merged
/// are still there, and not among them.
Task<Result<JobOutput>> arrange(std::vector<TableMeta> tables, Arrangement& arrangement);

/// What becomes of these tables when they are merged, wherever they stand.
Task<Result<JobOutput>> merge_tables(std::vector<TableMeta> tables, const Arrangement& arrangement);

/// Step 3 alone: `tables` are ordered.
void place(std::vector<TableMeta>& tables, const std::function<std::uint64_t()>& next_number);

}  // namespace ashlar::lsm
