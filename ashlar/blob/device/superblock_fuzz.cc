/// Any bytes as a superblock: as they are, and with magic and checksum made right, so that the fields are
/// reached. One that counts as valid has its parts behind each other, and encodes to the same.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "ashlar/base/checksum.h"
#include "ashlar/base/endian.h"
#include "ashlar/blob/device/layout.h"

using namespace ashlar;
using namespace ashlar::blob;

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::byte> bytes(block_bytes);
  std::ranges::copy(Bytes(reinterpret_cast<const std::byte*>(data), std::min(size, bytes.size())),
                    bytes.begin());
  Superblock superblock;
  (void)Superblock::decode(bytes, superblock);

  std::memcpy(bytes.data() + 4, "ABs1", 4);
  store_le(bytes.data() + 88, std::uint64_t{0});
  store_le(bytes.data(), crc32c(Bytes(bytes).subspan(4)));
  superblock = {};
  if (Superblock::decode(bytes, superblock) != Superblock::Found::valid) return 0;
  check(superblock.lease_at + 2 * superblock.lease_blocks * block_bytes <= superblock.first_chunk);
  check(superblock.chunk_count <= superblock.lease_blocks * leases_per_block);
  check(superblock.chunk_at(superblock.chunk_count) == superblock.used_bytes);
  check(superblock.chunks_in(superblock.used_bytes) >= superblock.chunk_count);
  check(2 * superblock.area_bytes() < superblock.chunk_bytes && superblock.units_per_chunk() != 0);
  std::vector<std::byte> encoded(block_bytes);
  superblock.encode(encoded);
  Superblock again;
  check(Superblock::decode(encoded, again) == Superblock::Found::valid && again == superblock);
  return 0;
}
