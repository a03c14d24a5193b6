#include "ashlar/log/segment_reader.h"

#include <algorithm>

#include "ashlar/runtime/shard/shard.h"

namespace ashlar::wal {
namespace {

constexpr std::uint64_t piece_bytes = 1u << 20;

}  // namespace

Task<Result<Bytes>> SegmentReader::read(std::uint64_t offset, std::uint64_t bytes) {
  bytes = std::min(bytes, segment_.bytes() - std::min(offset, segment_.bytes()));
  if (offset < begin_ || offset + bytes > end_) {
    const std::uint64_t from = blob::align_down(offset);
    const std::uint64_t wanted = blob::align_up(offset + bytes) - from;
    const std::uint64_t piece = std::min(std::max(wanted, piece_bytes), segment_.bytes() - from);
    if (buffer_.size() < piece) buffer_ = CO_TRY(Shard::current().buffers().allocate_regardless(piece));
    begin_ = end_ = 0;
    CO_TRY(co_await segment_.read(from, buffer_.bytes().first(piece)));
    begin_ = from;
    end_ = from + piece;
  }
  co_return Bytes(buffer_.data() + (offset - begin_), bytes);
}

Task<Result<std::optional<Group>>> SegmentReader::group(std::uint64_t offset) {
  if (offset >= segment_.bytes()) co_return std::nullopt;
  const Place place{generation_, offset};
  const Bytes block = CO_TRY(co_await read(offset, blob::block_bytes));
  const auto header = decode_group_header(block, place, segment_.bytes() - offset);
  if (!header) co_return std::nullopt;
  const Bytes bytes = CO_TRY(co_await read(offset, header->bytes));
  const auto next_index = validate_group(*header, bytes, place);
  if (!next_index) co_return std::nullopt;
  co_return Group{*header, bytes, *next_index, offset + blob::align_up(header->bytes)};
}

Task<Result<std::optional<GroupHeader>>> SegmentReader::find_acknowledged(std::uint64_t offset,
                                                                          std::uint64_t ordinal) {
  for (; offset < segment_.bytes(); offset += blob::block_bytes) {
    const Bytes block = CO_TRY(co_await read(offset, blob::block_bytes));
    const auto header = decode_group_header(block, {generation_, offset}, segment_.bytes() - offset);
    if (header && header->acknowledged >= ordinal) co_return header;
  }
  co_return std::nullopt;
}

}  // namespace ashlar::wal
