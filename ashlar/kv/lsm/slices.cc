#include "ashlar/kv/lsm/slices.h"

#include <algorithm>

namespace ashlar::lsm {

namespace {

constexpr std::uint64_t slices_wanted = 8;

/// Divides tables that stand side by side evenly, where one ends and the next begins, if there is much of
/// them.
void divide(std::span<TableFile* const> tables, std::uint64_t wanted, SliceKeys& keys) {
  const std::uint64_t all = bytes_of(tables), parts = all / wanted;
  std::uint64_t part = 1, bytes = 0;
  for (TableFile* table : tables) {
    if (part < parts && bytes >= all / parts * part) {
      const Bytes key = table->smallest_key();
      keys.emplace_back(key.begin(), key.end());
      while (part < parts && bytes >= all / parts * part) ++part;
    }
    bytes += table->meta().file_bytes;
  }
}

}  // namespace

std::span<TableFile* const> Slice::of(const Run& run) const noexcept {
  const auto begin = std::ranges::partition_point(
      run.tables, [&](const TableFile* table) { return compare(table->largest_key(), first) < 0; });
  const auto behind = std::partition_point(begin, run.tables.end(), [&](const TableFile* table) {
    if (!end) return true;
    const int order = compare(table->smallest_key(), *end);
    return order < 0 || (order == 0 && with_end);
  });
  return {begin, behind};
}

void Slice::cover(std::span<TableFile* const> tables) noexcept {
  if (tables.empty()) return;
  first = std::min(first, tables.front()->smallest_key(), [](Bytes a, Bytes b) { return compare(a, b) < 0; });
  if (end && compare(*end, tables.back()->largest_key()) <= 0) {
    end = tables.back()->largest_key();
    with_end = true;
  }
}

std::vector<Slice> slices_between(const SliceKeys& keys) {
  std::vector<Slice> slices(1);
  for (const auto& key : keys) {
    slices.back().end = key;
    slices.push_back({.first = key, .end = {}});
  }
  return slices;
}

SliceLevel0 level0_of(const Slice& slice, const Version& version) noexcept {
  SliceLevel0 level0;
  bool idle = true;
  for (const Run& run : version.level(0)) {
    const auto tables = slice.of(run);
    if (tables.empty()) continue;
    for (const TableFile* table : tables) {
      idle = idle && !table->busy();
      level0.bytes += table->bytes_with_values();
    }
    level0.idle_depth += idle;
    ++level0.depth;
  }
  return level0;
}

std::uint64_t bytes_of(std::span<TableFile* const> tables) noexcept {
  std::uint64_t bytes = 0;
  for (const TableFile* table : tables) bytes += table->meta().file_bytes;
  return bytes;
}

SliceKeys slice_keys(const Version& version, const Shape& shape, const SliceKeys& before) {
  SliceKeys keys;
  const std::span<const Run> bottom = version.level(bottom_level);
  if (bottom.empty()) return keys;
  const std::span<TableFile* const> tables = bottom.back().tables;
  const std::uint64_t wanted = std::max(shape.table_bytes, bytes_of(tables) / slices_wanted);
  std::size_t begin = 0;  // of the slice that `key` may end
  for (const auto& key : before) {
    const auto at = std::partition_point(tables.begin(), tables.end(), [&](const TableFile* table) {
      return compare(table->smallest_key(), key) < 0;
    });
    const auto end = static_cast<std::size_t>(at - tables.begin());
    if (end < begin || bytes_of(tables.subspan(begin, end - begin)) < wanted / 2) continue;
    if (bytes_of(tables.subspan(end)) < wanted / 2) break;
    divide(tables.subspan(begin, end - begin), wanted, keys);
    keys.push_back(key);
    begin = end;
  }
  divide(tables.subspan(begin), wanted, keys);
  return keys;
}

bool level0_is_sliced(const Version& version, const Shape& shape, std::uint64_t memtable_bytes) noexcept {
  std::uint64_t below = 0;
  for (const Run& run : version.runs) {
    if (run.level != 0) below += run.bytes_with_values();
  }
  return below <= level0_job_factor * shape.level0_runs * memtable_bytes;
}

double depth_of(std::span<const std::size_t> depths) noexcept {
  double sum = 0, most = 0;
  for (const std::size_t depth : depths) {
    sum += static_cast<double>(depth);
    most = std::max(most, static_cast<double>(depth));
  }
  return std::max(sum / static_cast<double>(depths.size()), most / 2);
}

double level0_depth(const Version& version, const SliceKeys& keys) {
  std::vector<std::size_t> depths;
  for (const Slice& slice : slices_between(keys)) depths.push_back(level0_of(slice, version).depth);
  return depth_of(depths);
}

}  // namespace ashlar::lsm
