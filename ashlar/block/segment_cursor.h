#pragma once

/// The memory of a request as one piece, from its begin to its end.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "ashlar/block/request.h"

namespace ashlar {

/// Moves forward only. For one copy, hence without an owner.
class SegmentCursor {
 public:
  /// Begins at byte `skip` of the segments.
  explicit SegmentCursor(std::span<const Segment> segments, std::uint64_t skip = 0) noexcept
      : segments_(segments) {
    next(skip, [](std::byte*, std::uint64_t, std::uint64_t) {});
  }

  /// Calls use(data, done, size) for each piece of the next `bytes`, which the segments have.
  template <class Use>
  void next(std::uint64_t bytes, Use use) noexcept {
    for (std::uint64_t done = 0; done < bytes;) {
      const Segment& segment = segments_.front();
      const std::uint64_t size = std::min(bytes - done, segment.size - at_);
      use(segment.data + at_, done, size);
      done += size;
      at_ += size;
      if (at_ != segment.size) return;
      segments_ = segments_.subspan(1);
      at_ = 0;
    }
  }

 private:
  std::span<const Segment> segments_;
  std::uint64_t at_ = 0;  // bytes of the first that are done
};

}  // namespace ashlar
