#pragma once

/// What of a table nobody can see any more, and whether writing it anew would drop it.

#include "ashlar/kv/lsm/retention.h"
#include "ashlar/kv/lsm/version.h"

namespace ashlar::lsm {

/// Entries whose space comes back when the table is rewritten at `now_ms`: not more than there are.
std::uint64_t reclaimable_entries(const Version& version, const TableFile& table, const Horizon& horizon,
                                  std::uint64_t now_ms);

/// Whether writing the table anew would drop any entry. `overlaps_older`: a run that is older than where it
/// goes shares keys with it.
bool worth_rewriting(const TableFile& table, const Horizon& horizon, bool overlaps_older);

/// The wall clock, in ms, at which the next table is due for what has expired by then, where `one_in` of its
/// entries are reason enough; no_expiry: none will be.
std::uint64_t next_expiry_compaction_ms(const Version& version, const Horizon& horizon, std::uint32_t one_in);

}  // namespace ashlar::lsm
