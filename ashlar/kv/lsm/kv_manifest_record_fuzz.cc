/// Any bytes as a manifest's record: first as they are, then with magic and checksum made right, so that what
/// is behind them is reached. A record that decodes is inside of the bytes, and encodes to the same.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "ashlar/base/checksum.h"
#include "ashlar/base/endian.h"
#include "ashlar/kv/lsm/manifest.h"
#include "ashlar/kv/lsm/manifest_record.h"

using namespace ashlar;
using namespace ashlar::lsm;

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

void decode(Bytes from) {
  const auto record = ManifestRecord::decode(from);
  if (!record) return;
  check(record->edit.data() == from.data() + ManifestRecord::header_bytes);
  check(record->edit.size() <= from.size() - ManifestRecord::header_bytes);
  check(record->bytes() % blob::block_bytes == 0 &&
        record->bytes() >= ManifestRecord::header_bytes + record->edit.size());
  std::vector<std::byte> encoded(record->bytes());
  record->encode(encoded);
  const auto again = ManifestRecord::decode(encoded);
  check(again && again->generation == record->generation && again->index == record->index &&
        equal(again->edit, record->edit));
  (void)Edit::decode(record->edit, {});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes input{reinterpret_cast<const std::byte*>(data), size};
  decode(input);
  std::vector<std::byte> bytes(input.begin(), input.end());
  if (bytes.size() < ManifestRecord::header_bytes) return 0;
  std::memcpy(bytes.data() + 4, "AMF1", 4);
  const std::uint64_t edit = load_le<std::uint32_t>(bytes.data() + 24);
  const std::uint64_t covered = std::min<std::uint64_t>(ManifestRecord::header_bytes + edit, bytes.size());
  store_le(bytes.data(), crc32c(Bytes(bytes).subspan(4, covered - 4)));
  decode(bytes);
  return 0;
}
