#pragma once

/// Reads groups from a segment, in large pieces.

#include <cstdint>
#include <optional>

#include "ashlar/base/result.h"
#include "ashlar/blob/store.h"
#include "ashlar/log/format.h"
#include "ashlar/runtime/memory/buffer_pool.h"
#include "ashlar/runtime/task/task.h"

namespace ashlar::wal {

/// A group that is whole: its checksums hold and its indices go on from its header's.
struct Group {
  GroupHeader header;
  Bytes bytes;                   ///< header and records; valid until the next call of the reader
  std::uint64_t next_index = 0;  ///< after its last record
  std::uint64_t end = 0;         ///< offset of the block behind it
};

/// Owner: one task. The segment must outlive it.
class SegmentReader {
 public:
  SegmentReader(blob::Segment& segment, std::uint64_t generation) noexcept
      : segment_(segment), generation_(generation) {}

  /// The group whose first block is at `offset`; nothing where there is no whole one.
  Task<Result<std::optional<Group>>> group(std::uint64_t offset);
  /// The header of the first group at or behind `offset` that was written when group `ordinal` was already
  /// acknowledged; nothing where there is none. Reads to the end of the segment.
  Task<Result<std::optional<GroupHeader>>> find_acknowledged(std::uint64_t offset, std::uint64_t ordinal);
  /// `bytes` at `offset`, or what there is before the end. Valid until the next call.
  Task<Result<Bytes>> read(std::uint64_t offset, std::uint64_t bytes);

 private:
  blob::Segment& segment_;
  std::uint64_t generation_;
  IoBuffer buffer_;
  std::uint64_t begin_ = 0, end_ = 0;  // what of the segment the buffer holds
};

}  // namespace ashlar::wal
