#pragma once

/// Frames: the checksummed, perhaps compressed envelope around everything in a table.

#include "ashlar/base/result.h"
#include "ashlar/kv/lsm/table/format.h"

namespace ashlar::lsm {

/// A frame whose checksum held. `stored` is its payload as it stands in the file.
struct Frame {
  Compression compression = Compression::none;
  std::uint32_t raw_bytes = 0;
  Bytes stored;
};

/// Writes the header of a frame of `frame_header_bytes + stored_bytes` at `frame`, whose payload is in place.
/// `place`: table number and offset in the file, which become part of the checksum.
void seal_frame(MutableBytes frame, FrameType type, Compression compression, std::uint32_t stored_bytes,
                std::uint32_t raw_bytes, ErrorPlace place) noexcept;

/// Checks type, bounds and checksum of the frame at the start of `bytes`, which may be longer than the frame.
/// Fails with `corrupt`, or `unsupported` where a later version compressed it.
Result<Frame> open_frame(Bytes bytes, FrameType type, ErrorPlace place) noexcept;

/// The payload of a frame that must not be compressed.
Result<Bytes> open_plain_frame(Bytes bytes, FrameType type, ErrorPlace place) noexcept;

/// Decompresses into `raw`, which has exactly frame.raw_bytes. Fails with `corrupt`.
Result<> decompress(const Frame& frame, MutableBytes raw, ErrorPlace place) noexcept;

}  // namespace ashlar::lsm
