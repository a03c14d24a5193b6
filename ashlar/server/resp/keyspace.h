#pragma once

/// Walking a partition by slots.

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "ashlar/kv/partition.h"
#include "ashlar/runtime/task/task.h"

namespace ashlar::resp {

/// Top-level keys of the slots [first, end) as bounds of a scan. Must outlive the cursor.
class SlotRange {
 public:
  SlotRange(std::uint32_t first, std::uint32_t end, kv::Durability durability) noexcept
      : first_(bound(first)), end_(bound(end)), durability_(durability) {}
  kv::ScanOptions options() const noexcept {
    return {.first = first_, .last = end_, .read = {.durability = durability_}};
  }

 private:
  static constexpr std::array<std::byte, 3> bound(std::uint32_t slot) noexcept {
    return {static_cast<std::byte>(kv::KeyType::value), static_cast<std::byte>(slot >> 8),
            static_cast<std::byte>(slot)};
  }
  std::array<std::byte, 3> first_, end_;
  kv::Durability durability_;
};

struct KeyspaceCount {
  std::uint64_t keys = 0, expiring = 0;
};

/// Whether FLUSHALL's and FLUSHDB's arguments are as they must be.
bool flush_options_fit(std::span<const std::string_view> arguments) noexcept;

/// Counts the live keys, giving way to others as it goes. On the partition's shard.
Task<Result<KeyspaceCount>> count_keys(kv::Partition& partition, kv::Durability durability);

}  // namespace ashlar::resp
