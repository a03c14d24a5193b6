#pragma once

/// Which tables to merge next. Leveled: level 0 holds what was flushed, in any order of keys; each further
/// level is disjoint and may hold `level_ratio` times as much as the one above.

#include <optional>
#include <vector>

#include "ashlar/kv/lsm/options.h"
#include "ashlar/kv/lsm/retention.h"
#include "ashlar/kv/lsm/version.h"

namespace ashlar::lsm {

/// Tables that become others. Each run is disjoint and in order; runs may overlap each other.
struct Compaction {
  std::vector<std::vector<TableFile*>> runs;
  unsigned output_level = 0;
  std::uint64_t output_run = 0;  ///< of that level
  bool drop = false;             ///< nothing of them is kept
  bool move = false;             ///< they go to the output level as they are

  std::vector<TableFile*> inputs() const;
};

/// The most urgent job, or nothing:
///  1. Tables whose every entry is cleared for every reader: they become nothing.
///  2. Level 0 with its share of tables, or a level beyond its size: into the next one. The level that is
///     furthest beyond goes first. While the disk is `full`, level 0 is due with any: erases free space.
///  3. The table with the largest share of entries that nobody can see any more, from a quarter of them on:
///     into the next level, or rewritten where nothing deeper overlaps it. Space comes back without writes.
///
/// A job of the second kind whose tables meet nothing in the next level, and hold nothing that rewriting
/// would drop, moves them.
std::optional<Compaction> pick_compaction(const Version& version, const LsmOptions& options,
                                          const Horizon& horizon, bool full);

/// The wall clock, in ms, at which the next table is due by the third rule for what has expired by then;
/// no_expiry: none will be.
std::uint64_t next_expiry_compaction_ms(const Version& version, const Horizon& horizon);

}  // namespace ashlar::lsm
