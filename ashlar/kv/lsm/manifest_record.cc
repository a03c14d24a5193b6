#include "ashlar/kv/lsm/manifest_record.h"

#include <algorithm>

#include "ashlar/base/checksum.h"
#include "ashlar/base/endian.h"

namespace ashlar::lsm {

namespace {

constexpr std::uint32_t magic = 0x31464d41;  // "AMF1"

}  // namespace

std::optional<ManifestRecord> ManifestRecord::decode(Bytes from) noexcept {
  if (from.size() < header_bytes || load_le<std::uint32_t>(from.data() + 4) != magic) return std::nullopt;
  const auto bytes = load_le<std::uint32_t>(from.data() + 24);
  if (bytes > from.size() - header_bytes) return std::nullopt;
  if (load_le<std::uint32_t>(from.data()) != crc32c(from.subspan(4, header_bytes - 4 + bytes)))
    return std::nullopt;
  return ManifestRecord{load_le<std::uint64_t>(from.data() + 8), load_le<std::uint64_t>(from.data() + 16),
                        from.subspan(header_bytes, bytes)};
}

void ManifestRecord::encode(MutableBytes into) const noexcept {
  std::ranges::fill(into, std::byte{0});
  store_le(into.data() + 4, magic);
  store_le(into.data() + 8, generation);
  store_le(into.data() + 16, index);
  store_le(into.data() + 24, static_cast<std::uint32_t>(edit.size()));
  std::ranges::copy(edit, into.data() + header_bytes);
  store_le(into.data(), crc32c(Bytes(into).subspan(4, header_bytes - 4 + edit.size())));
}

}  // namespace ashlar::lsm
