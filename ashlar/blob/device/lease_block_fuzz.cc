/// Any bytes as a block of the lease table: as they are, and with checksum and number made right. What
/// decodes encodes to the same.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "ashlar/base/checksum.h"
#include "ashlar/base/endian.h"
#include "ashlar/blob/device/lease_block.h"

using namespace ashlar;
using namespace ashlar::blob;

namespace {

constexpr DeviceId device{std::byte{1}, std::byte{2}, std::byte{3}};
constexpr std::uint64_t number = 5;

void check(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::byte> bytes(block_bytes);
  std::ranges::copy(Bytes(reinterpret_cast<const std::byte*>(data), std::min(size, bytes.size())),
                    bytes.begin());
  (void)LeaseBlock::decode(device, number, bytes);

  store_le(bytes.data() + 4, static_cast<std::uint32_t>(number));
  store_le(bytes.data(), crc32c(Bytes(bytes).subspan(4), crc32c(device)));
  const auto block = LeaseBlock::decode(device, number, bytes);
  check(block.has_value());
  check(!LeaseBlock::decode(device, number + 1, bytes));
  std::vector<std::byte> encoded(block_bytes);
  block->encode(device, number, encoded);
  const auto again = LeaseBlock::decode(device, number, encoded);
  check(again && again->generation == block->generation && again->owners == block->owners);
  for (const std::uint32_t owner : block->owners) {
    if (LeaseBlock::possible(owner) && owner != 0) check((owner & ~LeaseBlock::head_bit) != 0);
  }
  return 0;
}
