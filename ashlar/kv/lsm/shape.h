#pragma once

/// What a goal means: how many runs the levels of a partition may have, how large they may be, and how far
/// the tables are from that. Why these figures: docs/compaction.md.

#include <array>

#include "ashlar/kv/lsm/options.h"
#include "ashlar/kv/lsm/version.h"

namespace ashlar::lsm {

/// The deepest level, where data ends up.
constexpr unsigned bottom_level = level_count - 1;
/// A job that rewrites more than this times level 0 would keep what is flushed meanwhile from going down.
constexpr std::uint64_t level0_job_factor = 8;

/// Immutable.
struct Shape {
  bool tiered = false;                 ///< levels above the bottom collect runs; otherwise each is one run
  std::uint32_t level0_runs = 4;       ///< merged from so many on
  std::uint32_t level0_runs_max = 32;  ///< writers are slowed the most then
  std::uint32_t tier_runs = 4;         ///< tiered: so many runs of a level become one of the next
  /// Leveled: how many times larger each level is. Tiered: the bottom is rewritten when what is above it
  /// exceeds the bottom's size divided by this. Either way, at most 1/ratio of the bottom is stored twice.
  std::uint32_t ratio = 10;
  std::uint64_t level_bytes_min = 0;      ///< no level above the bottom is kept smaller
  std::uint32_t reclaim_one_in = 4;       ///< a table is rewritten for its dead entries from this share on
  std::uint32_t garbage_percent = 50;     ///< values are moved out of value tables from this share on
  std::uint64_t table_bytes = 64u << 20;  ///< tables are cut here

  static Shape of(const LsmOptions& options) noexcept;
};

/// Sizes that a version's levels should have, and what they have, with the values that tables refer to: so
/// what is overwritten is found out as soon as if those were inside. Dynamic: they follow from the bottom's
/// size, so that the levels above it hold a fixed share of it, whatever the amount of data.
class LevelSizes {
 public:
  LevelSizes(const Version& version, const Shape& shape) noexcept;

  /// Leveled: where level 0 is merged into; levels between are empty, or are to be.
  unsigned base() const noexcept { return base_; }
  std::uint64_t bytes(unsigned level) const noexcept { return bytes_[level]; }
  /// Leveled: beyond 1, the level is to be merged into the next.
  double score(unsigned level) const noexcept;
  /// Tiered: bytes that may stand between level 0 and the bottom.
  std::uint64_t upper_max() const noexcept { return upper_max_; }
  /// Estimated bytes that compaction must write until every level has its size, values not: they stay where
  /// they are. Level 0 not counted.
  std::uint64_t debt_bytes() const noexcept { return debt_; }

 private:
  std::array<std::uint64_t, level_count> bytes_{}, target_{};
  unsigned base_ = bottom_level;
  std::uint64_t upper_ = 0, upper_max_ = 0, debt_ = 0;
};

}  // namespace ashlar::lsm
