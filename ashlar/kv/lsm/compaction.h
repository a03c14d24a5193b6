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
  bool drop = false;  ///< nothing of them is kept

  std::vector<TableFile*> inputs() const;
};

/// The most urgent job, or nothing:
///  1. Tables whose every entry is cleared for every reader: they become nothing.
///  2. Level 0 with its share of tables, or a level beyond its size: into the next one. The level that is
///  furthest
///     beyond goes first. While the disk is `full`, level 0 is due with any table: erases in it free space.
std::optional<Compaction> pick_compaction(const Version& version, const LsmOptions& options,
                                          const Horizon& horizon, bool full);

/// Puts a table where it belongs in its level: level 0 newest first, the others by key.
void insert_in_order(std::vector<TableFile*>& level, TableFile& table);

}  // namespace ashlar::lsm
