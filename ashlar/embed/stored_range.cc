#include "ashlar/embed/stored_range.h"

#include "ashlar/kv/key_range.h"

namespace ashlar::embed {

std::string StoredRange::bound(std::string_view key, unsigned char type) {
  std::string stored{static_cast<char>(type), '\0', '\0'};
  return stored.append(key);
}

StoredRange StoredRange::of(std::string_view lower, std::string_view upper, std::string_view prefix,
                            unsigned char type) {
  if (!prefix.empty()) lower = prefix;
  const std::string end(prefix.empty() ? std::string(upper) : kv::prefix_range(as_bytes(prefix)).end);
  return {
      .first = lower.empty() ? std::string{static_cast<char>(type)} : bound(lower, type),
      .end = end.empty() ? std::string{static_cast<char>(type), '\xff'} : bound(end, type),  // slots are less
      .bounded = !lower.empty() || !end.empty() || !upper.empty()};
}

kv::PartitionId partition_of_bound(const kv::Partitioner& partitioner, std::string_view bound) noexcept {
  if (bound.size() >= kv::key_prefix_bytes) return partitioner.partition_of(as_bytes(bound));
  const auto last = static_cast<std::uint16_t>(partitioner.partitions() - 1);
  return kv::PartitionId{bound.size() == 1 ? std::uint16_t{0} : last};  // the beginning, or the end
}

kv::PartitionId last_partition_below(const kv::Partitioner& partitioner, std::string_view end) noexcept {
  const kv::PartitionId at = partition_of_bound(partitioner, end);
  const bool begins_there = at.value != 0 && end.size() > kv::key_prefix_bytes &&
                            partitioner.scheme() == kv::Partitioner::Scheme::range &&
                            end.substr(kv::key_prefix_bytes) == partitioner.boundaries()[at.value - 1u];
  return begins_there ? kv::PartitionId{static_cast<std::uint16_t>(at.value - 1)} : at;
}

}  // namespace ashlar::embed
