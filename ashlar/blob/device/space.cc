#include "ashlar/blob/device/space.h"

#include <algorithm>
#include <iterator>

namespace ashlar::blob {

void Space::add_chunk(std::uint64_t chunk, std::uint64_t reserved_units) {
  chunks_[chunk] = reserved_units;
  const std::uint64_t per_chunk = layout_.units_per_chunk();
  if (reserved_units < per_chunk) add_run(chunk * per_chunk + reserved_units, per_chunk - reserved_units);
}

std::optional<std::uint64_t> Space::take_out_empty_chunk() {
  const std::uint64_t per_chunk = layout_.units_per_chunk();
  // The lowest run of a whole chunk; no run is longer.
  const auto whole = by_size_.lower_bound({per_chunk, 0});
  if (whole == by_size_.end()) return std::nullopt;
  const std::uint64_t chunk = chunk_of(whole->second);
  remove_run(runs_.find(whole->second));
  chunks_.erase(chunk);
  return chunk;
}

void Space::add_run(std::uint64_t first, std::uint64_t units) {
  runs_.emplace(first, units);
  by_size_.emplace(units, first);
  free_units_ += units;
}

void Space::remove_run(Runs::iterator run) {
  by_size_.erase({run->second, run->first});
  free_units_ -= run->second;
  runs_.erase(run);
}

/// [first, first + units) of a run that holds them.
void Space::take(Runs::iterator run, std::uint64_t first, std::uint64_t units, Extents& to) {
  const std::uint64_t begin = run->first, end = begin + run->second;
  remove_run(run);
  if (begin < first) add_run(begin, first - begin);
  if (first + units < end) add_run(first + units, end - first - units);
  if (!to.empty() && to.back().first + to.back().units == first) {
    to.back().units += units;
  } else {
    to.push_back({first, units});
  }
}

Extents Space::allocate(std::uint64_t units, std::optional<std::uint64_t> behind) {
  Extents found;
  if (units > free_units_) return found;
  if (behind) {
    if (const auto next = runs_.find(*behind); next != runs_.end()) {
      const std::uint64_t part = std::min(units, next->second);
      take(next, next->first, part, found);
      units -= part;
    }
  }
  while (units != 0) {
    auto best = by_size_.lower_bound({units, 0});
    if (best == by_size_.end()) best = std::prev(best);
    const auto run = runs_.find(best->second);
    const std::uint64_t part = std::min(units, run->second);
    take(run, run->first, part, found);
    units -= part;
  }
  return found;
}

bool Space::occupy(const Extents& extents) {
  return std::ranges::all_of(extents, [this](const Extent& extent) { return occupy(extent); });
}

bool Space::occupy(const Extent& extent) {
  Extents taken;
  // It may span chunks that follow each other, and with them several runs.
  for (std::uint64_t first = extent.first; first < extent.first + extent.units;) {
    auto run = runs_.upper_bound(first);
    if (run == runs_.begin()) return false;
    --run;
    const std::uint64_t end = run->first + run->second;
    if (end <= first) return false;
    const std::uint64_t part = std::min(end, extent.first + extent.units) - first;
    take(run, first, part, taken);
    first += part;
  }
  return true;
}

void Space::free(const Extents& extents) noexcept {
  for (const Extent& extent : extents) free(extent);
}

void Space::free(const Extent& extent) noexcept {
  const std::uint64_t per_chunk = layout_.units_per_chunk();
  for (std::uint64_t first = extent.first, left = extent.units; left != 0;) {
    const std::uint64_t chunk = chunk_of(first);
    std::uint64_t begin = first, units = std::min(left, (chunk + 1) * per_chunk - first);
    first += units;
    left -= units;
    // With its neighbours in the chunk it is one run.
    auto next = runs_.lower_bound(begin);
    if (next != runs_.end() && next->first == begin + units && chunk_of(next->first) == chunk) {
      units += next->second;
      remove_run(next);
    }
    const auto behind = runs_.lower_bound(begin);
    const auto before = behind == runs_.begin() ? runs_.end() : std::prev(behind);
    if (before != runs_.end() && chunk_of(before->first) == chunk &&
        before->first + before->second == begin) {
      begin = before->first;
      units += before->second;
      remove_run(before);
    }
    add_run(begin, units);
  }
}

}  // namespace ashlar::blob
