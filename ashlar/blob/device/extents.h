#pragma once

/// Where a blob's bytes are, and moving them there and back.

#include <cstdint>
#include <span>
#include <vector>

#include "ashlar/blob/device/layout.h"
#include "ashlar/block/channel.h"
#include "ashlar/runtime/task/task.h"

namespace ashlar::blob {

/// Consecutive units, counted from chunk 0.
struct Extent {
  std::uint64_t first = 0;
  std::uint64_t units = 0;
  bool operator==(const Extent&) const = default;
};
using Extents = std::vector<Extent>;

std::uint64_t units_of(const Extents& extents) noexcept;
constexpr std::uint64_t units_for(std::uint64_t bytes) noexcept {
  return bytes / unit_bytes + (bytes % unit_bytes != 0 ? 1 : 0);
}

/// A blob's number and where its bytes are, for one transfer.
struct Place {
  Channel& channel;
  const Superblock& layout;
  const Extents& extents;
  std::uint64_t object = 0;  ///< for errors
};

/// Moves consecutive bytes of a blob: whole blocks, inside of its extents; memory aligned to a block, of at
/// most segment_parts_max parts. Mostly one request, without an allocation; one for each extent that the
/// range touches. Errors name the blob and the offset in it.
Task<Result<>> read(Place place, std::uint64_t offset, std::span<const MutableBytes> into);
Task<Result<>> write(Place place, std::uint64_t offset, std::span<const Bytes> from, IoOptions options = {});
/// Zeroes from `offset` on, as far as the extents reach; not durable until a flush.
Task<Result<>> write_zeroes(Place place, std::uint64_t offset, std::uint64_t bytes);

}  // namespace ashlar::blob
