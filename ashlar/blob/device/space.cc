#include "ashlar/blob/device/space.h"

#include <algorithm>
#include <optional>

namespace ashlar::blob {

void Space::add_chunk(std::uint64_t chunk, std::uint64_t reserved_units) {
  Chunk& added = chunks_[chunk];
  added.used.assign(layout_.units_per_chunk(), false);
  std::fill_n(added.used.begin(), static_cast<std::ptrdiff_t>(reserved_units), true);
  added.reserved_units = reserved_units;
  added.free_units = layout_.units_per_chunk() - reserved_units;
  free_units_ += added.free_units;
}

std::optional<std::uint64_t> Space::take_out_empty_chunk() {
  for (auto at = chunks_.begin(); at != chunks_.end(); ++at) {
    if (at->second.reserved_units != 0 || at->second.free_units != layout_.units_per_chunk()) continue;
    const std::uint64_t chunk = at->first;
    free_units_ -= at->second.free_units;
    chunks_.erase(at);
    return chunk;
  }
  return std::nullopt;
}

Extents Space::allocate(std::uint64_t units) {
  Extents found;
  if (units > free_units_) return found;
  for (auto& [number, chunk] : chunks_) {
    if (chunk.free_units == 0) continue;
    const std::uint64_t first = number * layout_.units_per_chunk();
    for (std::uint64_t unit = 0; unit < chunk.used.size() && units != 0; ++unit) {
      if (chunk.used[unit]) continue;
      chunk.used[unit] = true;
      --chunk.free_units;
      --free_units_;
      --units;
      if (!found.empty() && found.back().first + found.back().units == first + unit) {
        ++found.back().units;
      } else {
        found.push_back({first + unit, 1});
      }
    }
    if (units == 0) break;
  }
  return found;
}

bool Space::occupy(const Extents& extents) {
  for (const Extent& extent : extents) {
    for (std::uint64_t unit = extent.first; unit < extent.first + extent.units; ++unit) {
      const auto chunk = chunks_.find(unit / layout_.units_per_chunk());
      if (chunk == chunks_.end() || chunk->second.used[unit % layout_.units_per_chunk()]) return false;
      set({unit, 1}, true);
    }
  }
  return true;
}

void Space::free(const Extents& extents) noexcept {
  for (const Extent& extent : extents) {
    for (std::uint64_t unit = extent.first; unit < extent.first + extent.units; ++unit) set({unit, 1}, false);
  }
}

void Space::set(const Extent& unit, bool used) noexcept {
  Chunk& chunk = chunks_.at(unit.first / layout_.units_per_chunk());
  chunk.used[unit.first % layout_.units_per_chunk()] = used;
  used ? (--chunk.free_units, --free_units_) : (++chunk.free_units, ++free_units_);
}

}  // namespace ashlar::blob
