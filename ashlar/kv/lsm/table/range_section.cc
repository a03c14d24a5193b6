#include "ashlar/kv/lsm/table/range_section.h"

#include "ashlar/base/fields.h"

namespace ashlar::lsm {

std::vector<std::byte> encode_ranges(const std::vector<ErasedRange>& ranges) {
  FieldWriter out;
  for (const ErasedRange& range : ranges) {
    out.number(range.sequence.value);
    out.bytes(as_bytes(range.first));
    out.bytes(as_bytes(range.end));
  }
  return out.take();
}

Result<std::vector<ErasedRange>> decode_ranges(Bytes payload, ErrorPlace place) {
  std::vector<ErasedRange> ranges;
  FieldReader in(payload, "table ranges", place);
  while (!in.at_end()) {
    const Sequence sequence{TRY(in.number())};
    const Bytes first = TRY(in.bytes()), end = TRY(in.bytes());
    if (!is_range(first, end)) return in.error();
    ranges.push_back(
        {.first = std::string(as_text(first)), .end = std::string(as_text(end)), .sequence = sequence});
  }
  return ranges;
}

std::vector<std::byte> ranges_key(std::uint64_t table_number) {
  std::vector<std::byte> key(kv::key_prefix_bytes + 1 + sizeof table_number);
  key[0] = static_cast<std::byte>(kv::KeyType::engine);
  key[kv::key_prefix_bytes] = std::byte{'r'};
  for (std::size_t i = 0; i < sizeof table_number; ++i)
    key[key.size() - 1 - i] = static_cast<std::byte>(table_number >> 8 * i);
  return key;
}

bool is_ranges_key(Bytes key) noexcept {
  return !key.empty() && key[0] == static_cast<std::byte>(kv::KeyType::engine);
}

}  // namespace ashlar::lsm
