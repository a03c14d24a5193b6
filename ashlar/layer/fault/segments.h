#pragma once

/// Copying between scattered memory and one piece.

#include <algorithm>
#include <cstring>
#include <span>

#include "ashlar/base/bytes.h"
#include "ashlar/block/request.h"

namespace ashlar {

/// Calls copy(memory, size, done) for each piece of [offset, offset + size) of the segments, in order.
template <class Copy>
void each_piece(std::span<const Segment> segments, std::uint64_t offset, std::uint64_t size, Copy copy) {
  std::uint64_t done = 0;
  for (const Segment& segment : segments) {
    if (offset >= segment.size) {
      offset -= segment.size;
      continue;
    }
    const std::uint64_t part = std::min<std::uint64_t>(segment.size - offset, size - done);
    if (part == 0) return;
    copy(segment.data + offset, part, done);
    done += part;
    offset = 0;
  }
}

inline void gather(std::span<const Segment> from, std::uint64_t offset, MutableBytes into) noexcept {
  each_piece(from, offset, into.size(), [&](const std::byte* memory, std::uint64_t size, std::uint64_t done) {
    std::memcpy(into.data() + done, memory, size);
  });
}
inline void scatter(Bytes from, std::span<const Segment> into, std::uint64_t offset) noexcept {
  each_piece(into, offset, from.size(), [&](std::byte* memory, std::uint64_t size, std::uint64_t done) {
    std::memcpy(memory, from.data() + done, size);
  });
}

}  // namespace ashlar
