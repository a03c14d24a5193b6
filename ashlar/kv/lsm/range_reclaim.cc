#include "ashlar/kv/lsm/range_reclaim.h"

#include <algorithm>

namespace ashlar::lsm {

namespace {

/// Whether the table may hold entries that the range covers: they were not dropped when it was written.
bool may_hold_covered(const TableFile& table, const ErasedRange& range) {
  return table.meta().smallest_sequence < range.sequence &&
         table.table().properties().erased_to < range.sequence &&
         range.meets(table.smallest_key(), table.largest_key());
}

}  // namespace

bool is_covered(const TableFile& table, const Horizon& horizon) {
  if (horizon.ranges == nullptr || table.table().properties().ranges_alone()) return false;
  return std::ranges::any_of(horizon.ranges->ranges(), [&](const ErasedRange& range) {
    return range.sequence <= horizon.ranges_at && table.meta().largest_sequence < range.sequence &&
           range.covers(table.smallest_key()) && range.covers(table.largest_key());
  });
}

std::uint64_t covered_entries(const TableFile& table, const Horizon& horizon) {
  if (horizon.ranges == nullptr) return 0;
  std::uint64_t blocks = 0;
  for (const ErasedRange& range : horizon.ranges->ranges()) {
    if (range.sequence > horizon.ranges_at || !may_hold_covered(table, range)) continue;
    if (table.meta().largest_sequence >= range.sequence) continue;  // what is newer is not covered
    const bool from_start = compare(as_bytes(range.first), table.smallest_key()) <= 0;
    const bool to_end = range.end.empty() || compare(as_bytes(range.end), table.largest_key()) > 0;
    const std::uint32_t first = from_start ? 0 : table.table().blocks_near(as_bytes(range.first)).second;
    const std::uint32_t end =
        to_end ? table.table().block_count() : table.table().blocks_near(as_bytes(range.end)).first;
    blocks += end - std::min(first, end);
  }
  const std::uint64_t all = table.table().block_count();
  return table.meta().entries * std::min(blocks, all) / all;
}

bool may_hold(const Version& version, const kv::KeyRange& range) {
  const auto beyond = [&](Bytes key) { return !range.end.empty() && compare(key, as_bytes(range.end)) >= 0; };
  for (Memtable* memtable : version.memtables) {
    Memtable::Iterator at(*memtable);
    at.seek(as_bytes(range.first), sequence_max);
    if (at.valid() && !beyond(at.entry().key)) return true;
  }
  const Sequence erased = version.ranges == nullptr ? Sequence{} : version.ranges->covering_all(range);
  for (const Run& run : version.runs) {
    for (const TableFile* table : run.tables) {
      if (table->table().properties().erased_to >= erased && erased != Sequence{}) continue;  // dropped them
      if (compare(table->largest_key(), as_bytes(range.first)) >= 0 && !beyond(table->smallest_key()))
        return true;
    }
  }
  return false;
}

std::vector<ErasedRange> ranges_to_keep(const Version& version, const std::vector<TableFile*>& inputs,
                                        const Horizon& horizon) {
  std::vector<ErasedRange> kept;
  for (const TableFile* input : inputs) {
    for (const ErasedRange& range : input->table().ranges()) {
      if (range.sequence < horizon.cleared) continue;
      bool needed = range.sequence > horizon.ranges_at;
      for (const Run& run : version.runs) {
        for (const TableFile* table : run.tables) {
          needed |= std::ranges::find(inputs, table) == inputs.end() && may_hold_covered(*table, range);
        }
      }
      if (needed) kept.push_back(range);
    }
  }
  return kept;
}

}  // namespace ashlar::lsm
