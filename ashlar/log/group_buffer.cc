#include "ashlar/log/group_buffer.h"

#include <cassert>
#include <cstring>

#include "ashlar/base/endian.h"

namespace ashlar::wal {

void GroupBuffer::open(std::uint64_t ordinal, std::uint64_t next_index) noexcept {
  ordinal_ = ordinal;
  first_index_ = next_index;
  last_index_ = next_index - 1;
  last_sequence_ = 0;
  used_ = group_header_bytes;
  records_ = 0;
  truncates_ = false;
}

void GroupBuffer::commit(const RecordHeader& header, std::uint64_t index, std::uint32_t payload) noexcept {
  assert(fits(payload));
  std::byte* record = memory_.data() + used_;
  begin_record(header, index, payload, record);  // while the payload is in the cache
  used_ += static_cast<std::uint32_t>(record_bytes(payload));
  std::byte* const end = record + record_header_bytes + payload;
  std::memset(end, 0, static_cast<std::size_t>(memory_.data() + used_ - end));
  ++records_;
  truncates_ = truncates_ || header.type == RecordType::truncate_suffix;
  last_index_ = truncates_ && records_ == 1 ? index - 1 : index;
  if (header.type != RecordType::truncate_suffix) last_sequence_ = header.sequence;
}

Bytes GroupBuffer::seal(std::uint64_t acknowledged, std::uint64_t session, std::uint64_t follows,
                        Place place) noexcept {
  std::byte* base = memory_.data();
  for (std::uint64_t at = group_header_bytes; at < used_;) {
    finish_record(base + at, {place.generation, place.offset + at});
    at += record_bytes(load_le<std::uint32_t>(base + at + 4));
  }
  std::memset(base + used_, 0, bytes() - used_);
  encode(GroupHeader{.ordinal = ordinal_,
                     .acknowledged = acknowledged,
                     .first_index = first_index_,
                     .session = session,
                     .follows = follows,
                     .bytes = used_,
                     .records = records_},
         place, memory_.bytes());
  return {base, bytes()};
}

}  // namespace ashlar::wal
