/// Any bytes as a record of a volume: as they are, and with magic and checksum made right. What decodes is
/// inside of the bytes, encodes to the same, and is no other volume's.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "ashlar/base/checksum.h"
#include "ashlar/base/endian.h"
#include "ashlar/blob/device/volume_record.h"
#include "ashlar/blob/device/volume_state.h"

using namespace ashlar;
using namespace ashlar::blob;

namespace {

constexpr DeviceId device{std::byte{1}, std::byte{2}, std::byte{3}};
constexpr VolumeNumber volume = 7;

void check(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::byte> bytes(size);
  std::ranges::copy(Bytes(reinterpret_cast<const std::byte*>(data), size), bytes.begin());
  (void)VolumeRecord::decode(device, volume, bytes);
  if (size < VolumeRecord::header_bytes) return 0;

  std::memcpy(bytes.data() + 4, "ABv1", 4);
  const std::uint64_t edit = load_le<std::uint32_t>(bytes.data() + 24);
  const std::uint64_t covered = std::min<std::uint64_t>(VolumeRecord::header_bytes + edit, size);
  std::byte whose[4];
  store_le(whose, volume);
  store_le(bytes.data(), crc32c(Bytes(bytes).subspan(4, covered - 4), crc32c(whose, crc32c(device))));
  const auto record = VolumeRecord::decode(device, volume, bytes);
  check(record.has_value() == (edit <= size - VolumeRecord::header_bytes));
  if (!record) return 0;
  check(record->edit.data() == bytes.data() + VolumeRecord::header_bytes);
  check(!VolumeRecord::decode(device, volume + 1, bytes));
  std::vector<std::byte> encoded(record->bytes());
  record->encode(device, volume, encoded);
  const auto again = VolumeRecord::decode(device, volume, encoded);
  check(again && again->generation == record->generation && again->index == record->index &&
        equal(again->edit, record->edit));
  VolumeState state;
  (void)state.apply(record->edit, volume, {});
  return 0;
}
