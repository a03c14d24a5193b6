#pragma once

/// What erased ranges mean for compaction: which tables they empty, and how long they themselves are needed.

#include <vector>

#include "ashlar/kv/key_range.h"
#include "ashlar/kv/lsm/retention.h"
#include "ashlar/kv/lsm/version.h"

namespace ashlar::lsm {

/// Whether every entry of the table is covered, for every reader: it need not be read to be dropped.
bool is_covered(const TableFile& table, const Horizon& horizon);

/// About how many entries of the table are covered, by its index: whole blocks.
std::uint64_t covered_entries(const TableFile& table, const Horizon& horizon);

/// Whether memtables or tables of the version may hold entries of these keys.
bool may_hold(const Version& version, const kv::KeyRange& range);

/// Of the ranges that `inputs` carry, those that must be written again: some reader does not see them yet, or
/// another table of the version may hold entries that they cover. (Memtables cannot: what is older than a
/// range in a table was flushed before it.)
std::vector<ErasedRange> ranges_to_keep(const Version& version, const std::vector<TableFile*>& inputs,
                                        const Horizon& horizon);

}  // namespace ashlar::lsm
