#pragma once

/// Filter and index of some consecutive data blocks: what a large table keeps in its cache and not in memory.

#include "ashlar/base/result.h"
#include "ashlar/kv/lsm/table/filter.h"
#include "ashlar/kv/lsm/table/index.h"

namespace ashlar::lsm {

constexpr std::size_t partition_header_bytes = 64;

/// Which data blocks a partition is about, and where they stand.
struct PartitionScope {
  std::uint32_t first_block = 0, blocks = 0;
  FileRange range;
};

/// A view of a partition's payload; trivially copyable. Immutable; readable from any thread.
class TablePartition {
 public:
  /// `payload` is aligned so that the filter's lines are cache lines: as in a frame at a page. Fails with
  /// `corrupt`, also where it is not about `scope`.
  static Result<TablePartition> parse(Bytes payload, const PartitionScope& scope, ErrorPlace place) noexcept;

  /// False only for keys that are in none of the blocks.
  bool may_contain(std::uint64_t hash) const noexcept { return filter_.may_contain(hash); }
  void prefetch(std::uint64_t hash) const noexcept { filter_.prefetch(hash); }
  /// The table's block that holds `key` if any of these does, or the one after them.
  std::uint32_t find(Bytes key) const noexcept { return first_block_ + index_.find(key); }

 private:
  TablePartition() noexcept = default;

  Filter filter_;
  Index index_;
  std::uint32_t first_block_ = 0;
};

/// A slot holds the parsed view behind the frame, which has so much room at its end.
constexpr std::size_t partition_slack_bytes = 192;
static_assert(sizeof(TablePartition) + 63 <= partition_slack_bytes);

/// Bytes of the payload of a partition with such a filter and index.
constexpr std::size_t partition_payload_bytes(std::size_t filter_bytes, std::size_t index_bytes) noexcept {
  return partition_header_bytes + round_up(filter_bytes, 8) + index_bytes;
}
/// Writes it: the blocks from `first_block` on, which end at `end`. Neither builder is empty, but that the
/// filter may be.
void write_partition(std::byte* payload, std::uint32_t first_block, FilterBuilder& filter,
                     const IndexBuilder& index, std::uint64_t end);

}  // namespace ashlar::lsm
