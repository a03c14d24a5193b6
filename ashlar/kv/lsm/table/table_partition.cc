#include "ashlar/kv/lsm/table/table_partition.h"

#include <algorithm>
#include <type_traits>

namespace ashlar::lsm {

static_assert(std::is_trivially_copyable_v<TablePartition> &&
                  std::is_trivially_destructible_v<TablePartition>,
              "it lives in a slot's memory");

Result<TablePartition> TablePartition::parse(Bytes payload, const PartitionScope& scope,
                                             ErrorPlace place) noexcept {
  if (payload.size() < partition_header_bytes) return fail(Errc::corrupt, "table partition: size", place);
  const auto first_block = load_le<std::uint32_t>(payload.data());
  const std::uint64_t filter_bytes = load_le<std::uint32_t>(payload.data() + 4),
                      index_bytes = load_le<std::uint32_t>(payload.data() + 8);
  if (partition_payload_bytes(filter_bytes, index_bytes) != payload.size())
    return fail(Errc::corrupt, "table partition: size", place);
  TablePartition partition;
  if (filter_bytes != 0)
    partition.filter_ = TRY(Filter::parse(payload.subspan(partition_header_bytes, filter_bytes), place));
  partition.index_ = TRY(Index::parse(payload.last(index_bytes), scope.range, place));
  partition.first_block_ = first_block;
  if (first_block != scope.first_block || partition.index_.count() != scope.blocks)
    return fail(Errc::corrupt, "table partition: blocks", place);
  return partition;
}

void write_partition(std::byte* payload, std::uint32_t first_block, FilterBuilder& filter,
                     const IndexBuilder& index, std::uint64_t end) {
  const std::size_t filter_bytes = filter.payload_bytes(), index_bytes = index.payload_bytes();
  std::byte* at = payload + partition_header_bytes;
  std::fill_n(payload, partition_header_bytes + round_up(filter_bytes, 8), std::byte{0});
  store_le(payload, first_block);
  store_le(payload + 4, static_cast<std::uint32_t>(filter_bytes));
  store_le(payload + 8, static_cast<std::uint32_t>(index_bytes));
  if (filter_bytes != 0) filter.finish(at);
  index.finish(at + round_up(filter_bytes, 8), end);
}

}  // namespace ashlar::lsm
