#pragma once

/// Of a partition that has lost its manifest: which tables a flush may have left unfinished.

#include <vector>

#include "ashlar/blob/store.h"
#include "ashlar/kv/lsm/manifest.h"
#include "ashlar/runtime/task/task.h"

namespace ashlar::lsm {

/// A flush writes a table for each slice, and where it was cut short, nothing says that some are missing. So
/// the newest of `tables`, with all that share sequences with them, are not to be relied on, if the log can
/// take their place: it has, without a gap, every record since the tables before them, and each of their
/// entries is from one (an ingest's is not). Where it cannot, the flush was finished, since the log keeps
/// what was not; or the log is damaged, too. Numbers, ascending.
Task<Result<std::vector<std::uint64_t>>> tables_that_the_log_has(blob::Store& blobs, std::uint64_t partition,
                                                                 std::uint32_t log,
                                                                 std::vector<TableMeta> tables);

}  // namespace ashlar::lsm
