#include "ashlar/kv/lsm/compaction.h"

#include <algorithm>

namespace ashlar::lsm {

namespace {

std::uint64_t total_bytes(const std::vector<TableFile*>& tables) {
  std::uint64_t bytes = 0;
  for (const TableFile* table : tables) bytes += table->meta().file_bytes;
  return bytes;
}

/// Tables of a level that share keys with [smallest, largest].
std::vector<TableFile*> overlapping(const std::vector<TableFile*>& level, Bytes smallest, Bytes largest) {
  std::vector<TableFile*> result;
  for (TableFile* table : level) {
    if (compare(table->largest_key(), smallest) >= 0 && compare(table->smallest_key(), largest) <= 0) {
      result.push_back(table);
    }
  }
  return result;
}

/// The runs above, and what they meet in the next level, into that level.
Compaction merge_down(const Version& version, unsigned from, std::vector<TableFile*> tables) {
  Bytes smallest = tables.front()->smallest_key(), largest = tables.front()->largest_key();
  for (const TableFile* table : tables) {
    if (compare(table->smallest_key(), smallest) < 0) smallest = table->smallest_key();
    if (compare(table->largest_key(), largest) > 0) largest = table->largest_key();
  }
  Compaction job{.runs = {}, .output_level = from + 1, .drop = false};
  if (from == 0) {
    for (TableFile* table : tables) job.runs.push_back({table});
  } else {
    job.runs.push_back(std::move(tables));
  }
  if (auto below = overlapping(version.levels[from + 1], smallest, largest); !below.empty()) {
    job.runs.push_back(std::move(below));
  }
  return job;
}

/// Of a level that is too large, the table that costs least to merge: the fewest bytes below for each of its
/// own.
TableFile* cheapest(const Version& version, unsigned level) {
  TableFile* best = nullptr;
  double best_cost = 0;
  for (TableFile* table : version.levels[level]) {
    const auto below = overlapping(version.levels[level + 1], table->smallest_key(), table->largest_key());
    const double cost =
        static_cast<double>(total_bytes(below)) / static_cast<double>(table->meta().file_bytes);
    if (best == nullptr || cost < best_cost) {
      best = table;
      best_cost = cost;
    }
  }
  return best;
}

}  // namespace

std::vector<TableFile*> Compaction::inputs() const {
  std::vector<TableFile*> result;
  for (const auto& run : runs) result.insert(result.end(), run.begin(), run.end());
  return result;
}

std::optional<Compaction> pick_compaction(const Version& version, const LsmOptions& options,
                                          const Horizon& horizon, bool full) {
  if (horizon.cleared.value != 0) {
    Compaction job{.runs = {}, .output_level = 0, .drop = true};
    for (const auto& level : version.levels) {
      for (TableFile* table : level) {
        if (table->meta().largest_sequence < horizon.cleared) job.runs.push_back({table});
      }
    }
    if (!job.runs.empty()) return job;
  }
  double most = 1;
  unsigned from = level_count;
  double limit = static_cast<double>(options.level1_bytes);
  // Due before writers wait for it, however the two are configured.
  const double level0 = static_cast<double>(version.levels[0].size()) /
                        std::min(options.level0_tables, options.level0_tables_max);
  if (level0 >= most || (full && !version.levels[0].empty())) {
    most = std::max(most, level0);
    from = 0;
  }
  for (unsigned level = 1; level + 1 < level_count; ++level, limit *= options.level_ratio) {
    const double score = static_cast<double>(total_bytes(version.levels[level])) / limit;
    if (score > most) {
      most = score;
      from = level;
    }
  }
  if (from == level_count) return std::nullopt;
  return merge_down(version, from,
                    from == 0 ? version.levels[0] : std::vector<TableFile*>{cheapest(version, from)});
}

void insert_in_order(std::vector<TableFile*>& level, TableFile& table) {
  const auto before = [&](const TableFile* other) {
    return table.meta().level == 0 ? other->meta().largest_sequence > table.meta().largest_sequence
                                   : other->meta().smallest_key < table.meta().smallest_key;
  };
  level.insert(std::ranges::partition_point(level, before), &table);
}

}  // namespace ashlar::lsm
