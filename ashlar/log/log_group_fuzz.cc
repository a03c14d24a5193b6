// Any bytes as a segment header and as a group. The first byte says whether checksums are made right first,
// so that what is behind them is reached too.

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "ashlar/base/checksum.h"
#include "ashlar/base/endian.h"
#include "ashlar/log/format.h"

using namespace ashlar;
using namespace ashlar::wal;

namespace {

constexpr Place place{.generation = 3, .offset = 5 * blob::block_bytes};

void make_right(std::byte* at, std::size_t bytes, Place where) {
  store_le(at, place_checksum(crc32c({at + 4, bytes - 4}), where));
}

void make_group_right(std::vector<std::byte>& bytes) {
  if (bytes.size() < group_header_bytes) return;
  std::memcpy(bytes.data() + 4, "ALgG", 4);
  make_right(bytes.data(), group_header_bytes, place);
  for (std::uint64_t at = group_header_bytes; bytes.size() - at >= record_header_bytes;) {
    const std::uint64_t payload = load_le<std::uint32_t>(bytes.data() + at + 4);
    if (record_bytes(payload) > bytes.size() - at) break;
    make_right(bytes.data() + at, record_header_bytes + payload, {place.generation, place.offset + at});
    at += record_bytes(payload);
  }
}

void check(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const bool right = data[0] % 2 == 1;
  const auto* input = reinterpret_cast<const std::byte*>(data + 1);
  std::vector<std::byte> bytes(input, input + size - 1);

  if (right && bytes.size() >= segment_header_bytes) make_right(bytes.data(), segment_header_bytes, {});
  (void)decode_segment_header(bytes, 7);

  if (right) make_group_right(bytes);
  const auto header = decode_group_header(bytes, place, bytes.size());
  if (!header) return 0;
  check(header->bytes <= bytes.size());
  const Bytes group = Bytes(bytes).first(header->bytes);
  const auto next_index = validate_group(*header, group, place);
  if (!next_index) return 0;

  std::uint32_t records = 0;
  std::uint64_t index = header->first_index;
  RecordCursor cursor(group, 1, place.offset);
  while (const auto record = cursor.next()) {
    check(record->index == index);
    check(record->payload.data() >= group.data());
    check(record->payload.data() + record->payload.size() <= group.data() + group.size());
    if (record->header.type != RecordType::truncate_suffix) ++index;
    ++records;
  }
  check(records == header->records && index == *next_index);
  return 0;
}
