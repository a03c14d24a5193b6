#include "ashlar/blob/device/lease_block.h"

#include <algorithm>

#include "ashlar/base/checksum.h"
#include "ashlar/base/endian.h"

namespace ashlar::blob {

namespace {

constexpr std::size_t entries_at = 64;
static_assert(entries_at + leases_per_block * sizeof(std::uint32_t) == block_bytes);

}  // namespace

void LeaseBlock::encode(const DeviceId& device, std::uint64_t number, MutableBytes into) const noexcept {
  std::ranges::fill(into, std::byte{0});
  store_le(into.data() + 4, static_cast<std::uint32_t>(number));
  store_le(into.data() + 8, generation);
  for (std::size_t i = 0; i < owners.size(); ++i)
    store_le(into.data() + entries_at + i * sizeof owners[i], owners[i]);
  store_le(into.data(), crc32c(into.subspan(4), crc32c(device)));
}

std::optional<LeaseBlock> LeaseBlock::decode(const DeviceId& device, std::uint64_t number,
                                             Bytes from) noexcept {
  if (load_le<std::uint32_t>(from.data()) != crc32c(from.subspan(4), crc32c(device)) ||
      load_le<std::uint32_t>(from.data() + 4) != number)
    return std::nullopt;
  LeaseBlock block{.generation = load_le<std::uint64_t>(from.data() + 8)};
  for (std::size_t i = 0; i < block.owners.size(); ++i)
    block.owners[i] = load_le<std::uint32_t>(from.data() + entries_at + i * sizeof block.owners[i]);
  return block;
}

}  // namespace ashlar::blob
