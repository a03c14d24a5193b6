#include "ashlar/log/format.h"

#include <cstring>

#include "ashlar/base/checksum.h"
#include "ashlar/base/endian.h"
#include "ashlar/base/zero.h"

namespace ashlar::wal {
namespace {

constexpr std::uint32_t magic(const char (&text)[5]) noexcept {
  return static_cast<std::uint32_t>(text[0]) | static_cast<std::uint32_t>(text[1]) << 8 |
         static_cast<std::uint32_t>(text[2]) << 16 | static_cast<std::uint32_t>(text[3]) << 24;
}
constexpr std::uint32_t segment_magic = magic("ALg1");
constexpr std::uint32_t group_magic = magic("ALgG");

void store_checksum(std::byte* at, std::size_t bytes, Place place) noexcept {
  store_le(at, place_checksum(crc32c({at + 4, bytes - 4}), place));
}
bool checksum_holds(const std::byte* at, std::size_t bytes, Place place) noexcept {
  return load_le<std::uint32_t>(at) == place_checksum(crc32c({at + 4, bytes - 4}), place);
}

bool known(std::uint8_t type) noexcept {
  return type >= static_cast<std::uint8_t>(RecordType::write) &&
         type <= static_cast<std::uint8_t>(RecordType::truncate_suffix);
}

}  // namespace

std::uint32_t place_checksum(std::uint32_t crc, Place place) noexcept {
  std::byte suffix[16];
  store_le(suffix, place.generation);
  store_le(suffix + 8, place.offset);
  return crc32c(suffix, crc);
}

void encode(const SegmentHeader& header, MutableBytes block) noexcept {
  std::memset(block.data(), 0, block.size());
  std::byte* at = block.data();
  store_le(at + 4, segment_magic);
  store_le(at + 8, header.generation);
  store_le(at + 16, header.log);
  store_le(at + 24, header.number);
  store_le(at + 32, header.bytes);
  store_le(at + 40, header.closed);
  store_checksum(at, segment_header_bytes, {});
}

Result<std::optional<SegmentHeader>> decode_segment_header(Bytes block, std::uint64_t number) noexcept {
  const std::byte* at = block.data();
  if (block.size() < segment_header_bytes || all_zero(block.first(segment_header_bytes))) return std::nullopt;
  if (load_le<std::uint32_t>(at + 4) != segment_magic || !checksum_holds(at, segment_header_bytes, {})) {
    return fail(Errc::corrupt, "log segment header", {.object = number});
  }
  const SegmentHeader header{.generation = load_le<std::uint64_t>(at + 8),
                             .log = load_le<std::uint64_t>(at + 16),
                             .number = load_le<std::uint64_t>(at + 24),
                             .bytes = load_le<std::uint64_t>(at + 32),
                             .closed = load_le<std::uint64_t>(at + 40)};
  if (header.number != number) return fail(Errc::corrupt, "log segment number", {.object = number});
  return header;
}

void encode(const GroupHeader& header, Place place, MutableBytes into) noexcept {
  std::byte* at = into.data();
  store_le(at + 4, group_magic);
  store_le(at + 8, header.ordinal);
  store_le(at + 16, header.acknowledged);
  store_le(at + 24, header.first_index);
  store_le(at + 32, header.session);
  store_le(at + 40, header.follows);
  store_le(at + 48, header.bytes);
  store_le(at + 52, header.records);
  store_le(at + 56, std::uint64_t{0});
  store_checksum(at, group_header_bytes, place);
}

std::optional<GroupHeader> decode_group_header(Bytes from, Place place, std::uint64_t limit) noexcept {
  const std::byte* at = from.data();
  if (from.size() < group_header_bytes || load_le<std::uint32_t>(at + 4) != group_magic) return std::nullopt;
  if (!checksum_holds(at, group_header_bytes, place)) return std::nullopt;
  const GroupHeader header{.ordinal = load_le<std::uint64_t>(at + 8),
                           .acknowledged = load_le<std::uint64_t>(at + 16),
                           .first_index = load_le<std::uint64_t>(at + 24),
                           .session = load_le<std::uint64_t>(at + 32),
                           .follows = load_le<std::uint64_t>(at + 40),
                           .bytes = load_le<std::uint32_t>(at + 48),
                           .records = load_le<std::uint32_t>(at + 52)};
  if (header.bytes < group_header_bytes || header.bytes > limit) return std::nullopt;
  return header;
}

void begin_record(const RecordHeader& header, std::uint64_t index, std::uint32_t payload,
                  std::byte* at) noexcept {
  store_le(at + 4, payload);
  store_le(at + 8, static_cast<std::uint8_t>(header.type));
  store_le(at + 9, std::uint8_t{0});
  store_le(at + 10, std::uint16_t{0});
  store_le(at + 12, header.stream);
  store_le(at + 16, header.term);
  store_le(at + 24, index);
  store_le(at + 32, header.sequence);
  store_le(at, crc32c({at + 4, record_header_bytes - 4 + std::size_t{payload}}));
}

void finish_record(std::byte* at, Place place) noexcept {
  store_le(at, place_checksum(load_le<std::uint32_t>(at), place));
}

std::optional<std::uint64_t> validate_group(const GroupHeader& header, Bytes group, Place place) noexcept {
  std::uint64_t at = group_header_bytes;
  std::uint64_t next_index = header.first_index;
  for (std::uint32_t i = 0; i < header.records; ++i) {
    if (header.bytes < at || header.bytes - at < record_header_bytes) return std::nullopt;
    const std::byte* record = group.data() + at;
    const std::uint64_t payload = load_le<std::uint32_t>(record + 4);
    if (record_bytes(payload) > header.bytes - at) return std::nullopt;
    if (!checksum_holds(record, record_header_bytes + payload, {place.generation, place.offset + at})) {
      return std::nullopt;
    }
    const auto type = load_le<std::uint8_t>(record + 8);
    const auto index = load_le<std::uint64_t>(record + 24);
    const bool truncates = type == static_cast<std::uint8_t>(RecordType::truncate_suffix);
    if (!known(type) || index != next_index || (truncates && (i != 0 || payload != 0))) return std::nullopt;
    if (!truncates) ++next_index;
    at += record_bytes(payload);
  }
  if (at != header.bytes) return std::nullopt;
  return next_index;
}

std::optional<Record> RecordCursor::next() noexcept {
  if (at_ >= group_.size()) return std::nullopt;
  const std::byte* record = group_.data() + at_;
  const std::uint64_t payload = load_le<std::uint32_t>(record + 4);
  const Record found{.header = {.type = static_cast<RecordType>(load_le<std::uint8_t>(record + 8)),
                                .stream = load_le<std::uint32_t>(record + 12),
                                .term = load_le<std::uint64_t>(record + 16),
                                .sequence = load_le<std::uint64_t>(record + 32)},
                     .index = load_le<std::uint64_t>(record + 24),
                     .payload = {record + record_header_bytes, payload},
                     .segment = segment_,
                     .offset = offset_ + at_};
  at_ += record_bytes(payload);
  return found;
}

}  // namespace ashlar::wal
