/// Frames and the footer, with the checksum made right, since a fuzzer cannot guess it: sizes, lz4, handles.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "ashlar/kv/lsm/table/block.h"
#include "ashlar/kv/lsm/table/table_testing.h"

using namespace ashlar;
using namespace ashlar::lsm;

namespace {

constexpr std::uint64_t number = 1;

/// Header as given, but for a checksum that fits it and a size that is within the frame.
void seal_as_given(std::vector<std::byte>& frame, std::uint64_t offset) {
  if (frame.size() < frame_header_bytes) return;
  const auto stored =
      std::min<std::size_t>(load_le<std::uint32_t>(frame.data() + 8), frame.size() - frame_header_bytes);
  const auto raw = load_le<std::uint32_t>(frame.data() + 12);
  const auto compression = static_cast<Compression>(frame[5]);
  seal_frame(frame, static_cast<FrameType>(frame[4]), compression, static_cast<std::uint32_t>(stored),
             compression == Compression::none ? static_cast<std::uint32_t>(stored) : raw, {number, offset});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes input{reinterpret_cast<const std::byte*>(data), size};
  if (const auto frame = open_frame(input, FrameType::data, {number, 0})) (void)frame->stored.size();

  std::vector<std::byte> bytes(input.begin(), input.end());
  seal_as_given(bytes, 0);
  if (const auto frame = open_frame(bytes, FrameType::data, {number, 0})) {
    std::vector<std::byte> raw(std::min<std::size_t>(frame->raw_bytes, 1 << 20));
    if (frame->compression == Compression::none) {
      (void)Block::parse(frame->stored, {number, 0});
    } else if (raw.size() == frame->raw_bytes && decompress(*frame, raw, {number, 0})) {
      (void)Block::parse(raw, {number, 0});
    }
  }

  // The input as the end of a table: whole pages, the last one its footer.
  bytes.assign(input.begin(), input.end());
  bytes.resize(std::max<std::size_t>(1, (size + page_bytes - 1) / page_bytes) * page_bytes);
  std::vector<std::byte> footer(bytes.end() - page_bytes, bytes.end());
  seal_as_given(footer, bytes.size() - page_bytes);
  std::ranges::copy(footer, bytes.end() - page_bytes);
  if (const auto decoded = Footer::decode(footer, number, bytes.size())) {
    for (const BlockHandle& handle : {decoded->filter, decoded->index, decoded->properties}) {
      if (handle.bytes != 0 &&
          (handle.offset < decoded->meta || handle.offset + handle.bytes > decoded->offset))
        std::abort();
    }
    (void)testing::open_table(bytes, number);
  }
  return 0;
}
