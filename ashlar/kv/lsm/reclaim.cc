#include "ashlar/kv/lsm/reclaim.h"

#include <algorithm>
#include <array>

#include "ashlar/kv/lsm/range_reclaim.h"

namespace ashlar::lsm {

namespace {

/// Entries that no reader sees, whatever the time: tombstones, and versions with a newer one in the table,
/// but for those that merge operands may build upon. Nothing is known of a table with entries newer than the
/// oldest snapshot.
std::uint64_t dead_entries(const TableFile& table, const Horizon& horizon) noexcept {
  if (table.meta().largest_sequence > horizon.oldest) return 0;
  const Properties& properties = table.table().properties();
  const std::uint64_t live = std::min(properties.entries, properties.keys + properties.operands);
  return properties.tombstones + (properties.entries - live);
}

/// When a further quarter of the entries that expire has, each time.
std::array<std::uint64_t, 4> expiry_steps(const Properties& properties) noexcept {
  const auto& inner = properties.expiry_ms_quartiles;
  std::array<std::uint64_t, 4> steps{inner[0], inner[1], inner[2], properties.expiry_ms_max};
  for (std::uint64_t& step : steps) {
    if (step == no_expiry) step = properties.expiry_ms_max;  // written before there were quartiles
  }
  return steps;
}

}  // namespace

std::uint64_t reclaimable_entries(const Version& version, const TableFile& table, const Horizon& horizon,
                                  std::uint64_t now_ms) {
  if (table.meta().largest_sequence > horizon.oldest) return 0;
  const Properties& properties = table.table().properties();
  if (properties.ranges_alone()) {
    return ranges_to_keep(version, {const_cast<TableFile*>(&table)}, horizon).empty() ? properties.entries
                                                                                      : 0;
  }
  const auto steps = expiry_steps(properties);
  const auto passed = static_cast<std::uint64_t>(
      std::ranges::count_if(steps, [&](std::uint64_t at) { return at <= now_ms; }));
  return dead_entries(table, horizon) + covered_entries(table, horizon) +
         properties.expiring * passed / steps.size();
}

bool worth_rewriting(const TableFile& table, const Horizon& horizon, bool overlaps_older) {
  const Properties& properties = table.table().properties();
  if (properties.sequence_min < horizon.cleared || properties.entries > properties.keys) return true;
  if (properties.ranges != 0 || covered_entries(table, horizon) != 0) return true;
  if (properties.expiring != 0 && properties.expiry_ms_min <= horizon.oldest_now_ms) return true;
  return properties.tombstones != 0 && !overlaps_older;
}

std::uint64_t next_expiry_compaction_ms(const Version& version, const Horizon& horizon,
                                        std::uint32_t one_in) {
  std::uint64_t next = no_expiry;
  for (const Run& run : version.runs) {
    for (const TableFile* table : run.tables) {
      for (const std::uint64_t at : expiry_steps(table->table().properties())) {
        if (at <= horizon.oldest_now_ms) continue;
        if (reclaimable_entries(version, *table, horizon, at) * one_in < table->meta().entries) continue;
        if (next == no_expiry || at < next) next = at;
        break;
      }
    }
  }
  return next;
}

}  // namespace ashlar::lsm
