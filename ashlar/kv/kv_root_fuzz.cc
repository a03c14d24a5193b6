/// Root records that decode encode to what decodes to the same. The checksum is set right first, so that the
/// fields behind it are reached.

#include <cstdint>
#include <cstdlib>
#include <vector>

#include "ashlar/base/checksum.h"
#include "ashlar/base/endian.h"
#include "ashlar/kv/root_record.h"

using namespace ashlar;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto* begin = reinterpret_cast<const std::byte*>(data);
  std::vector<std::byte> bytes(begin, begin + size);
  if (bytes.size() >= 16) {
    store_le(bytes.data() + 12, static_cast<std::uint32_t>(bytes.size() - 16));
    store_le(bytes.data(), crc32c(Bytes(bytes).subspan(4)));
  }
  const auto record = kv::RootRecord::decode(bytes);
  if (!record) return 0;
  const auto again = kv::RootRecord::decode(record->encode());
  if (!again || again->encode() != record->encode()) std::abort();
  return 0;
}
