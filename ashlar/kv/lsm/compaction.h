#pragma once

/// Which tables to merge next, and which jobs may run side by side. Shapes and their reasons:
/// docs/compaction.md.

#include <optional>
#include <span>
#include <vector>

#include "ashlar/kv/lsm/retention.h"
#include "ashlar/kv/lsm/shape.h"
#include "ashlar/kv/lsm/slices.h"
#include "ashlar/kv/lsm/version.h"

namespace ashlar::lsm {

/// Why a job is due, the most pressing last.
enum class Urgency : std::uint8_t {
  reclaim,  ///< entries that nobody can see any more
  size,     ///< a level beyond its size, or with too many runs
  level0,   ///< what was flushed waits: reads look at each of those tables, and writers are slowed for it
  drop,     ///< gives space back without reading a byte
};

/// Tables that become others. Each run is disjoint and in order; runs may overlap each other.
struct Compaction {
  std::vector<std::vector<TableFile*>> runs;
  unsigned output_level = 0;
  std::uint64_t output_run = 0;  ///< of that level
  bool new_run = false;          ///< a run newer than any of the output level: numbered when the job starts
  bool drop = false;             ///< nothing of them is kept
  bool move = false;             ///< they go to the output run as they are
  std::vector<std::uint64_t> moved_values = {};  ///< value tables whose values are moved, ascending
  Urgency urgency = Urgency::size;
  double score = 1;  ///< among jobs of one urgency, the greatest goes first

  std::vector<TableFile*> inputs() const;
  std::uint64_t bytes() const noexcept;
  Bytes smallest_key() const noexcept;
  Bytes largest_key() const noexcept;
  /// Whether another run is older than what the job writes.
  bool above(const Run& run) const noexcept {
    return run.level > output_level || (run.level == output_level && (new_run || run.number < output_run));
  }
};

/// Whether the job may run beside those that do: no table has two jobs; nothing newer than a table is put
/// below it; tables of a run stay disjoint.
bool permitted(const Version& version, const Compaction& job, std::span<const Compaction* const> running);

/// The most urgent job that may run beside `running`, or nothing:
///  1. Tables whose every entry is cleared for every reader: they become nothing.
///  2. Level 0 with its share of tables, the deepest slice first. While the disk is `full`, level 0 is due
///  with any: erases free space.
///  3. A level beyond its size, or with too many runs; what goes to the bottom, slice by slice. The one
///  furthest beyond goes first.
///  4. The table with the largest share of entries that nobody can see any more: merged with what it hides in
///  the
///     next older run, or rewritten where no older run overlaps it. Space comes back without writes.
///  5. Tables that refer to value tables with much garbage (value_collection.h).
///
/// A job of the second or third kind whose tables meet nothing where they go, and hold nothing that rewriting
/// would drop, moves them.
std::optional<Compaction> pick_compaction(const Version& version, const Shape& shape, const Horizon& horizon,
                                          bool full, std::span<const Compaction* const> running = {},
                                          const SliceKeys& slices = {});

}  // namespace ashlar::lsm
