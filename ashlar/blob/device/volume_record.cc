#include "ashlar/blob/device/volume_record.h"

#include <algorithm>
#include <cstring>

#include "ashlar/base/checksum.h"
#include "ashlar/base/endian.h"

namespace ashlar::blob {

namespace {

constexpr char magic[] = {'A', 'B', 'v', '1'};

std::uint32_t checksum(const DeviceId& device, VolumeNumber volume, Bytes record) noexcept {
  std::byte whose[4];
  store_le(whose, volume);
  return crc32c(record.subspan(4), crc32c(whose, crc32c(device)));
}

}  // namespace

std::optional<VolumeRecord> VolumeRecord::decode(const DeviceId& device, VolumeNumber volume,
                                                 Bytes from) noexcept {
  if (from.size() < header_bytes || std::memcmp(from.data() + 4, magic, sizeof magic) != 0)
    return std::nullopt;
  const auto bytes = load_le<std::uint32_t>(from.data() + 24);
  if (bytes > from.size() - header_bytes ||
      load_le<std::uint32_t>(from.data()) != checksum(device, volume, from.first(header_bytes + bytes)))
    return std::nullopt;
  return VolumeRecord{load_le<std::uint64_t>(from.data() + 8), load_le<std::uint64_t>(from.data() + 16),
                      from.subspan(header_bytes, bytes)};
}

void VolumeRecord::encode(const DeviceId& device, VolumeNumber volume, MutableBytes into) const noexcept {
  std::ranges::fill(into, std::byte{0});
  std::memcpy(into.data() + 4, magic, sizeof magic);
  store_le(into.data() + 8, generation);
  store_le(into.data() + 16, index);
  store_le(into.data() + 24, static_cast<std::uint32_t>(edit.size()));
  std::ranges::copy(edit, into.data() + header_bytes);
  store_le(into.data(), checksum(device, volume, Bytes(into).first(header_bytes + edit.size())));
}

}  // namespace ashlar::blob
