#pragma once

/// Encoding and decoding of segments, groups and records: bytes only, no I/O. Format: docs/formats/log.md.

#include <cstdint>
#include <optional>

#include "ashlar/base/result.h"
#include "ashlar/blob/blocks.h"
#include "ashlar/log/record.h"

namespace ashlar::wal {

constexpr std::uint32_t segment_header_bytes = 64;
constexpr std::uint32_t group_header_bytes = 64;
constexpr std::uint32_t record_header_bytes = 40;
constexpr std::uint64_t first_group_offset = blob::block_bytes;
static_assert(segment_header_bytes <= 512, "written whole or not at all: one sector");

/// What a record occupies in its group: header and payload, up to the next multiple of 8.
constexpr std::uint64_t record_bytes(std::uint64_t payload) noexcept {
  return (record_header_bytes + payload + 7) & ~std::uint64_t{7};
}

/// Where bytes are written; part of their checksum, so that they validate nowhere else.
struct Place {
  std::uint64_t generation = 0;
  std::uint64_t offset = 0;
};
/// The checksum of bytes at a place, from the CRC32C of the bytes alone.
std::uint32_t place_checksum(std::uint32_t crc, Place place) noexcept;

struct SegmentHeader {
  std::uint64_t generation = 0;
  std::uint64_t log = 0;
  std::uint64_t number = 0;
  std::uint64_t bytes = 0;
  std::uint64_t closed = 0;  ///< 1 + ordinal of the log's last group while the log is closed; else 0
};
/// Fills a whole block.
void encode(const SegmentHeader& header, MutableBytes block) noexcept;
/// Nothing where the block begins with zeroes: the segment was never finished. corrupt where it does not
/// validate.
Result<std::optional<SegmentHeader>> decode_segment_header(Bytes block, std::uint64_t number) noexcept;

struct GroupHeader {
  std::uint64_t ordinal = 0;
  std::uint64_t acknowledged = 0;
  std::uint64_t first_index = 0;
  std::uint64_t session = 0;
  std::uint64_t follows = 0;
  std::uint32_t bytes = 0;
  std::uint32_t records = 0;
};
void encode(const GroupHeader& header, Place place, MutableBytes into) noexcept;
/// Nothing where no group of this generation begins here. `limit`: bytes from here to the end of the segment.
std::optional<GroupHeader> decode_group_header(Bytes from, Place place, std::uint64_t limit) noexcept;

/// A record's header with the CRC32C of header and payload, which finish_record() turns into its checksum
/// once it is known where the record goes.
void begin_record(const RecordHeader& header, std::uint64_t index, std::uint32_t payload,
                  std::byte* at) noexcept;
void finish_record(std::byte* at, Place place) noexcept;

/// The group at `place` is whole: every record validates, and indices go on from the header's. `group` holds
/// header.bytes. The index after its last record, or nothing.
std::optional<std::uint64_t> validate_group(const GroupHeader& header, Bytes group, Place place) noexcept;

/// Walks the records of a group that validate_group() has accepted.
class RecordCursor {
 public:
  RecordCursor(Bytes group, std::uint64_t segment, std::uint64_t offset) noexcept
      : group_(group), segment_(segment), offset_(offset) {}
  /// The next record, or nothing at the end. Its payload is a view of the group.
  std::optional<Record> next() noexcept;

 private:
  Bytes group_;
  std::uint64_t segment_, offset_;
  std::uint64_t at_ = group_header_bytes;
};

}  // namespace ashlar::wal
