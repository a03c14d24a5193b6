#include "ashlar/kv/partitioner.h"

#include <algorithm>

namespace ashlar::kv {

Partitioner Partitioner::hashed(std::uint32_t partitions) {
  Partitioner result;
  result.partitions_ = partitions;
  result.slot_map_.reserve(slot_count);
  for (std::uint32_t slot = 0; slot < slot_count; ++slot) {
    result.slot_map_.push_back(PartitionId{static_cast<std::uint16_t>(slot * partitions / slot_count)});
  }
  return result;
}

Result<Partitioner> Partitioner::hashed(std::uint32_t partitions, std::vector<PartitionId> map) {
  const auto outside = [&](PartitionId id) { return id.value >= partitions; };
  if (partitions == 0 || partitions > partition_count_max || map.size() != slot_count ||
      std::ranges::any_of(map, outside)) {
    return fail(Errc::invalid, "slot map");
  }
  Partitioner result;
  result.partitions_ = partitions;
  result.slot_map_ = std::move(map);
  return result;
}

Result<Partitioner> Partitioner::ranged(std::vector<std::string> boundaries) {
  if (boundaries.size() >= partition_count_max ||
      std::ranges::adjacent_find(boundaries, std::ranges::greater_equal{}) != boundaries.end()) {
    return fail(Errc::invalid, "partition boundaries");
  }
  Partitioner result;
  result.scheme_ = Scheme::range;
  result.partitions_ = static_cast<std::uint32_t>(boundaries.size() + 1);
  result.boundaries_ = std::move(boundaries);
  return result;
}

PartitionId Partitioner::range_of(Bytes user_key) const noexcept {
  const auto above =
      std::ranges::upper_bound(boundaries_, as_text(user_key), {},
                               [](const std::string& boundary) { return std::string_view(boundary); });
  return PartitionId{static_cast<std::uint16_t>(above - boundaries_.begin())};
}

}  // namespace ashlar::kv
