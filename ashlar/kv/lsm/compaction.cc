#include "ashlar/kv/lsm/compaction.h"

#include <algorithm>
#include <array>

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

std::vector<TableFile*> tables_of(const Version& version, unsigned level) {
  std::vector<TableFile*> result;
  for (const Run& run : version.level(level)) {
    result.insert(result.end(), run.tables.begin(), run.tables.end());
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
  Compaction job{.runs = {}, .output_level = from + 1};
  if (from == 0) {
    for (TableFile* table : tables) job.runs.push_back({table});
  } else {
    job.runs.push_back(std::move(tables));
  }
  if (auto below = overlapping(tables_of(version, from + 1), smallest, largest); !below.empty()) {
    job.runs.push_back(std::move(below));
  }
  return job;
}

/// Of a level that is too large, the table that costs least to merge: the fewest bytes below for each of its
/// own.
TableFile* cheapest(const Version& version, unsigned level) {
  TableFile* best = nullptr;
  double best_cost = 0;
  for (TableFile* table : tables_of(version, level)) {
    const auto below =
        overlapping(tables_of(version, level + 1), table->smallest_key(), table->largest_key());
    const double cost =
        static_cast<double>(total_bytes(below)) / static_cast<double>(table->meta().file_bytes);
    if (best == nullptr || cost < best_cost) {
      best = table;
      best_cost = cost;
    }
  }
  return best;
}

constexpr std::uint64_t reclaim_one_in = 4;  // so a rewrite reads at most four entries for each that goes

/// Entries that no reader sees, whatever the time: tombstones, and versions with a newer one in the table.
/// Nothing is known of a table with entries newer than the oldest snapshot.
std::uint64_t dead_entries(const TableFile& table, const Horizon& horizon) {
  if (table.meta().largest_sequence > horizon.oldest) return 0;
  const Properties& properties = table.table().properties();
  return properties.tombstones + (properties.entries - std::min(properties.entries, properties.keys));
}

/// When a further quarter of the entries that expire has, each time.
std::array<std::uint64_t, 4> expiry_steps(const Properties& properties) {
  const auto& inner = properties.expiry_ms_quartiles;
  std::array<std::uint64_t, 4> steps{inner[0], inner[1], inner[2], properties.expiry_ms_max};
  for (std::uint64_t& step : steps) {
    if (step == no_expiry) step = properties.expiry_ms_max;  // written before there were quartiles
  }
  return steps;
}

/// Entries whose space comes back when the table is rewritten at `now_ms`: not more than there are.
std::uint64_t reclaimable_entries(const TableFile& table, const Horizon& horizon, std::uint64_t now_ms) {
  if (table.meta().largest_sequence > horizon.oldest) return 0;
  const Properties& properties = table.table().properties();
  const auto steps = expiry_steps(properties);
  const auto passed = static_cast<std::uint64_t>(
      std::ranges::count_if(steps, [&](std::uint64_t at) { return at <= now_ms; }));
  return dead_entries(table, horizon) + properties.expiring * passed / steps.size();
}

bool overlaps_deeper(const Version& version, unsigned level, const TableFile& table) {
  for (unsigned deeper = level + 1; deeper < level_count; ++deeper) {
    if (!overlapping(tables_of(version, deeper), table.smallest_key(), table.largest_key()).empty())
      return true;
  }
  return false;
}

/// Whether writing the table anew into `level` would drop any entry.
bool worth_rewriting(const Version& version, unsigned level, const TableFile& table, const Horizon& horizon) {
  const Properties& properties = table.table().properties();
  if (properties.sequence_min < horizon.cleared || properties.entries > properties.keys) return true;
  if (properties.expiring != 0 && properties.expiry_ms_min <= horizon.oldest_now_ms) return true;
  return properties.tombstones != 0 && !overlaps_deeper(version, level, table);
}

/// Whether the job's tables may change their level as they are.
bool may_move(const Version& version, const Compaction& job, const Horizon& horizon) {
  std::vector<TableFile*> tables = job.inputs();
  std::ranges::sort(tables, {}, [](const TableFile* table) { return as_text(table->smallest_key()); });
  for (std::size_t i = 0; i < tables.size(); ++i) {
    if (tables[i]->meta().level == job.output_level) return false;
    if (i != 0 && compare(tables[i - 1]->largest_key(), tables[i]->smallest_key()) >= 0) return false;
    if (worth_rewriting(version, job.output_level, *tables[i], horizon)) return false;
  }
  return true;
}

std::optional<Compaction> pick_reclaim(const Version& version, const Horizon& horizon) {
  TableFile* best = nullptr;
  double best_share = 1.0 / reclaim_one_in;
  for (const Run& run : version.runs) {
    for (TableFile* table : run.tables) {
      const double share = static_cast<double>(reclaimable_entries(*table, horizon, horizon.oldest_now_ms)) /
                           static_cast<double>(table->meta().entries);
      if (share >= best_share && (best == nullptr || share > best_share)) {
        best = table;
        best_share = share;
      }
    }
  }
  if (best == nullptr) return std::nullopt;
  const unsigned level = best->meta().level;
  if (level == 0) return merge_down(version, 0, tables_of(version, 0));
  if (overlaps_deeper(version, level, *best)) return merge_down(version, level, {best});
  return Compaction{.runs = {{best}}, .output_level = level};
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
    for (const Run& run : version.runs) {
      for (TableFile* table : run.tables) {
        if (table->meta().largest_sequence < horizon.cleared) job.runs.push_back({table});
      }
    }
    if (!job.runs.empty()) return job;
  }
  double most = 1;
  unsigned from = level_count;
  double limit = static_cast<double>(options.level1_bytes);
  // Due before writers wait for it, however the two are configured.
  const double level0 = static_cast<double>(version.level(0).size()) /
                        std::min(options.level0_tables, options.level0_tables_max);
  if (level0 >= most || (full && !version.level(0).empty())) {
    most = std::max(most, level0);
    from = 0;
  }
  for (unsigned level = 1; level + 1 < level_count; ++level, limit *= options.level_ratio) {
    const double score = static_cast<double>(version.level_bytes(level)) / limit;
    if (score > most) {
      most = score;
      from = level;
    }
  }
  if (from == level_count) return pick_reclaim(version, horizon);
  Compaction job = merge_down(
      version, from, from == 0 ? tables_of(version, 0) : std::vector<TableFile*>{cheapest(version, from)});
  job.move = may_move(version, job, horizon);
  return job;
}

std::uint64_t next_expiry_compaction_ms(const Version& version, const Horizon& horizon) {
  std::uint64_t next = no_expiry;
  for (const Run& run : version.runs) {
    for (const TableFile* table : run.tables) {
      for (const std::uint64_t at : expiry_steps(table->table().properties())) {
        if (at <= horizon.oldest_now_ms) continue;
        if (reclaimable_entries(*table, horizon, at) * reclaim_one_in < table->meta().entries) continue;
        if (next == no_expiry || at < next) next = at;
        break;
      }
    }
  }
  return next;
}

}  // namespace ashlar::lsm
