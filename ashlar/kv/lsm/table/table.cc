#include "ashlar/kv/lsm/table/table.h"

#include "ashlar/kv/lsm/table/frame.h"

namespace ashlar::lsm {

Result<Table> Table::open(const Footer& footer, Bytes meta) {
  if (meta.size() != footer.offset - footer.meta) {
    return fail(Errc::invalid, "table open: size of meta", {footer.number, footer.meta});
  }
  const auto payload = [&](FrameType type, BlockHandle handle) {
    return open_plain_frame(meta.subspan(handle.bytes == 0 ? 0 : handle.offset - footer.meta, handle.bytes),
                            type, {footer.number, handle.offset});
  };
  Table table;
  table.number_ = footer.number;
  table.block_bytes_ = footer.block_bytes;
  if (footer.filter.bytes != 0) {
    const Bytes filter = TRY(payload(FrameType::filter, footer.filter));
    table.filter_ = TRY(Filter::parse(filter, {footer.number, footer.filter.offset}));
  }
  const ErrorPlace index_place{footer.number, footer.index.offset};
  Bytes index = TRY(payload(FrameType::index, footer.index));
  Bytes rest;
  if (footer.partitioned) {
    const std::uint64_t bytes = Index::payload_bytes(index);
    if (bytes > index.size()) return fail(Errc::corrupt, "table index: size", index_place);
    rest = index.subspan(bytes);
    index = index.first(bytes);
  }
  const FileRange range{footer.partitioned ? footer.data_end : 0, footer.meta};
  table.index_ = TRY(Index::parse(index, range, index_place));
  table.guide_ = IndexGuide(table.index_);
  if (footer.partitioned) {
    TRY(table.open_partitions(rest, {0, footer.data_end}, index_place));
  } else {
    table.block_count_ = table.index_.count();
  }
  const Bytes properties = TRY(payload(FrameType::properties, footer.properties));
  table.properties_ = TRY(Properties::decode(properties, {footer.number, footer.properties.offset}));
  if (footer.ranges.bytes != 0) {
    const Bytes ranges = TRY(payload(FrameType::ranges, footer.ranges));
    table.ranges_ = TRY(decode_ranges(ranges, {footer.number, footer.ranges.offset}));
  }
  return table;
}

/// What follows the index of partitions: their first blocks, and the pages of all blocks.
Result<> Table::open_partitions(Bytes rest, FileRange data, ErrorPlace place) noexcept {
  const std::uint64_t partitions = index_.count(), firsts = 4 * (partitions + 1);
  if (rest.size() < firsts) return fail(Errc::corrupt, "table index: partitions", place);
  partition_count_ = index_.count();
  first_blocks_ = rest.data();
  block_count_ = first_block(partition_count_);
  pages_ = rest.data() + firsts;
  if (rest.size() != firsts + 4 * (std::uint64_t{block_count_} + 1))
    return fail(Errc::corrupt, "table index: partitions", place);
  if (block_count_ > ~std::uint32_t{0} - partition_count_ || first_block(0) != 0)
    return fail(Errc::corrupt, "table index: partitions", place);
  for (std::uint32_t i = 0; i < partition_count_; ++i) {
    if (first_block(i) >= first_block(i + 1)) return fail(Errc::corrupt, "table index: partitions", place);
  }
  for (std::uint32_t i = 0; i < block_count_; ++i) {
    const std::uint64_t from = block_offset(i), to = block_offset(i + 1);
    if (from >= to || to - from > data_frame_bytes_max)
      return fail(Errc::corrupt, "table index: block", place);
  }
  if (block_offset(0) != data.from || block_offset(block_count_) != data.to)
    return fail(Errc::corrupt, "table index: block", place);
  return {};
}

std::pair<std::uint32_t, std::uint32_t> Table::blocks_near(Bytes key) const noexcept {
  const std::uint32_t found = index_.find(key, guide_);
  if (!partitioned()) return {found, found};
  return {first_block(found), first_block(found + 1) - 1};
}

BlockHandle Table::block(std::uint32_t ordinal) const noexcept {
  if (!partitioned()) return index_.block(ordinal);
  if (is_partition(ordinal)) return index_.block(ordinal - block_count_);
  const std::uint64_t from = block_offset(ordinal);
  return {from, static_cast<std::uint32_t>(block_offset(ordinal + 1) - from)};
}

PartitionScope Table::scope(std::uint32_t ordinal) const noexcept {
  const std::uint32_t partition = ordinal - block_count_;
  const std::uint32_t from = first_block(partition), to = first_block(partition + 1);
  return {.first_block = from, .blocks = to - from, .range = {block_offset(from), block_offset(to)}};
}

}  // namespace ashlar::lsm
