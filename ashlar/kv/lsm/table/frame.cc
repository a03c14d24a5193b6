#include "ashlar/kv/lsm/table/frame.h"

#include "ashlar/base/checksum.h"
#include "ashlar/base/endian.h"
#include "ashlar/kv/lsm/table/compression.h"

namespace ashlar::lsm {
namespace {

std::uint32_t checksum(Bytes covered, ErrorPlace place) noexcept {
  std::byte context[16];
  store_le(context, place.object);
  store_le(context + 8, place.offset);
  return crc32c(covered, crc32c(context));
}

}  // namespace

void seal_frame(MutableBytes frame, FrameType type, Compression compression, std::uint32_t stored_bytes,
                std::uint32_t raw_bytes, ErrorPlace place) noexcept {
  std::byte* header = frame.data();
  header[4] = static_cast<std::byte>(type);
  header[5] = static_cast<std::byte>(compression);
  store_le<std::uint16_t>(header + 6, 0);
  store_le(header + 8, stored_bytes);
  store_le(header + 12, raw_bytes);
  store_le(header, checksum(frame.subspan(4, frame_header_bytes - 4 + stored_bytes), place));
}

Result<Frame> open_frame(Bytes bytes, FrameType type, ErrorPlace place) noexcept {
  if (bytes.size() < frame_header_bytes) return fail(Errc::corrupt, "table frame: too short", place);
  const std::byte* header = bytes.data();
  const auto stored = load_le<std::uint32_t>(header + 8);
  if (stored > bytes.size() - frame_header_bytes) return fail(Errc::corrupt, "table frame: size", place);
  if (load_le<std::uint32_t>(header) != checksum(bytes.subspan(4, frame_header_bytes - 4 + stored), place)) {
    return fail(Errc::corrupt, "table frame: checksum", place);
  }
  const Frame frame{.compression = static_cast<Compression>(header[5]),
                    .raw_bytes = load_le<std::uint32_t>(header + 12),
                    .stored = bytes.subspan(frame_header_bytes, stored)};
  if (static_cast<FrameType>(header[4]) != type || load_le<std::uint16_t>(header + 6) != 0) {
    return fail(Errc::corrupt, "table frame: type", place);
  }
  if (frame.compression > Compression::zstd)
    return fail(Errc::unsupported, "table frame: compression", place);
  if (frame.compression == Compression::none ? frame.raw_bytes != stored
                                             : frame.raw_bytes > data_frame_bytes_max) {
    return fail(Errc::corrupt, "table frame: size", place);
  }
  return frame;
}

Result<Bytes> open_plain_frame(Bytes bytes, FrameType type, ErrorPlace place) noexcept {
  const Frame frame = TRY(open_frame(bytes, type, place));
  if (frame.compression != Compression::none) return fail(Errc::corrupt, "table frame: compressed", place);
  return frame.stored;
}

Result<> decompress(const Frame& frame, MutableBytes raw, ErrorPlace place) noexcept {
  if (!decompress(frame.compression, frame.stored, raw)) {
    return fail(Errc::corrupt, "table frame: compressed data", place);
  }
  return {};
}

}  // namespace ashlar::lsm
