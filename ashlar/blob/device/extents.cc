#include "ashlar/blob/device/extents.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <memory>
#include <optional>

#include "ashlar/blob/store.h"

namespace ashlar::blob {

namespace {

/// Part of a transfer that is consecutive on the device.
struct Piece {
  std::uint64_t at = 0;  // bytes on the device
  std::uint64_t bytes = 0;
};

/// The pieces of [offset, offset + bytes) of a blob, in order.
std::vector<Piece> pieces_of(const Superblock& layout, const Extents& extents, std::uint64_t offset,
                             std::uint64_t bytes) {
  std::vector<Piece> pieces;
  for (const Extent& extent : extents) {
    const std::uint64_t size = extent.units * unit_bytes;
    if (offset >= size) {
      offset -= size;
      continue;
    }
    if (bytes == 0) break;
    const std::uint64_t part = std::min(bytes, size - offset);
    pieces.push_back({layout.first_chunk + extent.first * unit_bytes + offset, part});
    bytes -= part;
    offset = 0;
  }
  return pieces;
}

std::unexpected<Error> named(Error error, const Place& place, std::uint64_t offset) {
  error.object = place.object;
  error.offset = offset;
  return std::unexpected(error);
}

/// Where on the device a range begins that lies in one extent, as most do; nothing where it spans several.
std::optional<std::uint64_t> whole(const Place& place, std::uint64_t offset, std::uint64_t bytes) noexcept {
  for (const Extent& extent : place.extents) {
    const std::uint64_t size = extent.units * unit_bytes;
    if (offset >= size) {
      offset -= size;
    } else if (bytes <= size - offset) {
      return place.layout.first_chunk + extent.first * unit_bytes + offset;
    } else {
      break;
    }
  }
  return std::nullopt;
}

/// Requests for the pieces, over consecutive memory segments that are cut where the pieces are.
Task<Result<>> transfer_pieces(Place place, Op op, std::uint64_t offset, std::vector<ashlar::Segment> memory,
                               std::uint64_t bytes, IoOptions options) {
  const std::uint32_t device_block = place.channel.geometry().block_bytes;
  const std::vector<Piece> pieces = pieces_of(place.layout, place.extents, offset, bytes);
  const auto requests = std::make_unique<Request[]>(pieces.size());
  std::vector<std::vector<ashlar::Segment>> parts(pieces.size());
  std::size_t segment = 0;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    for (std::uint64_t left = pieces[i].bytes; left != 0;) {
      const auto part = static_cast<std::uint32_t>(std::min<std::uint64_t>(left, memory[segment].size));
      parts[i].push_back({memory[segment].data, part, memory[segment].region});
      memory[segment].data += part;
      memory[segment].size -= part;
      if (memory[segment].size == 0) ++segment;
      left -= part;
    }
    requests[i].op = op;
    requests[i].lba = Lba(pieces[i].at / device_block);
    requests[i].data = parts[i];
    requests[i].options = options;
  }
  const Result<> result = co_await place.channel.submit(std::span(requests.get(), pieces.size()));
  if (!result) co_return named(result.error(), place, offset);
  co_return result;
}

bool inside(const Place& place, std::uint64_t offset, std::uint64_t bytes) noexcept {
  const std::uint64_t size = units_of(place.extents) * unit_bytes;
  return aligned(offset) && aligned(bytes) && bytes != 0 && offset <= size && bytes <= size - offset;
}

/// One request where the range lies in one extent.
template <class Part>
Task<Result<>> transfer(Place place, Op op, std::uint64_t offset, std::span<const Part> parts,
                        IoOptions options) {
  assert(parts.size() <= segment_parts_max);
  std::array<ashlar::Segment, segment_parts_max> segments;
  const std::span<const ashlar::Segment> memory = std::span(segments).first(parts.size());
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    segments[i] = Channel::segment_of(parts[i]);
    bytes += parts[i].size();
  }
  if (!inside(place, offset, bytes)) {
    co_return fail(Errc::invalid, op == Op::read ? "read of blob" : "write of blob",
                   {.object = place.object, .offset = offset});
  }
  if (const auto at = whole(place, offset, bytes)) {
    const Lba lba(*at / place.channel.geometry().block_bytes);
    const Result<> result = co_await Io(place.channel, op, lba, memory, options);
    if (!result) co_return named(result.error(), place, offset);
    co_return result;
  }
  co_return co_await transfer_pieces(place, op, offset, {memory.begin(), memory.end()}, bytes, options);
}

}  // namespace

std::uint64_t units_of(const Extents& extents) noexcept {
  std::uint64_t units = 0;
  for (const Extent& extent : extents) units += extent.units;
  return units;
}

Task<Result<>> read(Place place, std::uint64_t offset, std::span<const MutableBytes> into) {
  return transfer(place, Op::read, offset, into, {});
}

Task<Result<>> write(Place place, std::uint64_t offset, std::span<const Bytes> from, IoOptions options) {
  return transfer(place, Op::write, offset, from, options);
}

Task<Result<>> write_zeroes(Place place, std::uint64_t offset, std::uint64_t bytes) {
  const std::uint32_t device_block = place.channel.geometry().block_bytes;
  for (const Piece& piece : pieces_of(place.layout, place.extents, offset, bytes)) {
    const Result<> result =
        co_await place.channel.write_zeroes(Lba(piece.at / device_block), piece.bytes / device_block);
    if (!result) co_return named(result.error(), place, offset);
  }
  co_return Result<>{};
}

}  // namespace ashlar::blob
