#include "ashlar/kv/lsm/shape.h"

#include <algorithm>

namespace ashlar::lsm {

namespace {

/// Of each goal: tiered, level0_runs, tier_runs, ratio, reclaim_one_in, garbage_percent.
struct GoalFigures {
  bool tiered;
  std::uint32_t level0_runs, tier_runs, ratio, reclaim_one_in, garbage_percent;
};
constexpr GoalFigures figures_of(Goal goal) noexcept {
  switch (goal) {
    case Goal::balanced: return {true, 8, 4, 4, 4, 50};
    case Goal::write_heavy: return {true, 8, 8, 1, 2, 75};
    case Goal::read_heavy: return {false, 4, 1, 10, 4, 50};
    case Goal::space_bound: return {false, 4, 1, 10, 8, 25};
  }
  __builtin_unreachable();
}

/// Of `bytes`, as `part` is of `whole`.
std::uint64_t share(std::uint64_t bytes, std::uint64_t part, std::uint64_t whole) noexcept {
  if (part == whole) return bytes;
  return static_cast<std::uint64_t>(static_cast<double>(bytes) * static_cast<double>(part) /
                                    static_cast<double>(whole));
}

}  // namespace

Shape Shape::of(const LsmOptions& options) noexcept {
  const GoalFigures figures = figures_of(options.goal);
  const std::uint32_t level0 = options.level0_tables != 0 ? options.level0_tables : figures.level0_runs;
  return {.tiered = figures.tiered,
          // Due before writers are slowed down for it, however the two are configured.
          .level0_runs = std::max(1u, std::min(level0, options.level0_tables_max / 2)),
          .level0_runs_max = options.level0_tables_max,
          .tier_runs = figures.tier_runs,
          .ratio = figures.ratio,
          .level_bytes_min = options.level1_bytes,
          .reclaim_one_in = figures.reclaim_one_in,
          .garbage_percent = figures.garbage_percent,
          .table_bytes = options.table_bytes};
}

LevelSizes::LevelSizes(const Version& version, const Shape& shape) noexcept {
  std::uint64_t rewritten = 0, all = 0;
  for (const Run& run : version.runs) {
    bytes_[run.level] += run.bytes_with_values();
    rewritten += run.bytes();
    all += run.bytes_with_values();
  }
  for (unsigned level = 1; level < bottom_level; ++level) upper_ += bytes_[level];
  upper_max_ = std::max<std::uint64_t>(
      1, std::max(bytes_[bottom_level],
                  bytes_[bottom_level] == 0 ? shape.ratio * shape.level_bytes_min : shape.level_bytes_min) /
             shape.ratio);
  if (shape.tiered) {
    // What is too much, and of the bottom what it meets.
    if (upper_ > upper_max_) debt_ = std::min(all, (upper_ - upper_max_) * (shape.ratio + 1));
    debt_ = share(debt_, rewritten, all);
    return;
  }
  // The bottom, or what has not got there yet, divided by the ratio for each level further up, down to
  // where it would become too small to be worth a level.
  std::uint64_t size = *std::max_element(bytes_.begin() + 1, bytes_.end());
  target_[bottom_level] = ~std::uint64_t{0};
  while (base_ > 1 && size > shape.level_bytes_min) {
    size /= shape.ratio;
    target_[--base_] = std::max<std::uint64_t>(size, shape.level_bytes_min / shape.ratio);
  }
  for (unsigned level = 1; level < bottom_level; ++level) {
    if (bytes_[level] > target_[level]) debt_ += (bytes_[level] - target_[level]) * (shape.ratio + 1);
  }
  debt_ = share(debt_, rewritten, all);
}

double LevelSizes::score(unsigned level) const noexcept {
  if (level == bottom_level || bytes_[level] == 0) return 0;
  return static_cast<double>(bytes_[level]) / static_cast<double>(std::max<std::uint64_t>(target_[level], 1));
}

}  // namespace ashlar::lsm
