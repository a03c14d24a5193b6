#include "ashlar/blob/device/layout.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "ashlar/base/checksum.h"
#include "ashlar/base/endian.h"
#include "ashlar/base/zero.h"

namespace ashlar::blob {

namespace {

constexpr char magic[] = {'A', 'B', 's', '1'};
constexpr std::uint64_t area_bytes_max = std::uint64_t{8} << 20;

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t to) noexcept {
  return (value + to - 1) / to * to;
}

bool plausible(const Superblock& block) noexcept {
  if (block.generation == 0 || !std::has_single_bit(block.chunk_bytes) ||
      block.chunk_bytes < chunk_bytes_min || block.chunk_bytes > chunk_bytes_max)
    return false;
  constexpr std::uint64_t limit = std::uint64_t{1} << 62;
  if (block.lease_at < lease_tables_at || !aligned(block.lease_at) || block.lease_at > limit ||
      block.lease_blocks > (std::uint64_t{1} << 32) || block.first_chunk > limit ||
      block.used_bytes > limit || block.chunk_count > (std::uint64_t{1} << 32))
    return false;
  return block.lease_at + 2 * block.lease_blocks * block_bytes <= block.first_chunk &&
         block.first_chunk % unit_bytes == 0 && block.chunk_count != 0 &&
         block.chunk_count <= block.lease_blocks * leases_per_block &&
         block.used_bytes == block.first_chunk + block.chunk_count * block.chunk_bytes;
}

}  // namespace

std::optional<Superblock> Superblock::plan(std::uint64_t device_bytes, std::uint64_t chunk,
                                           std::uint64_t room) {
  Superblock block;
  block.generation = 1;
  block.chunk_bytes = chunk;
  block.lease_at = lease_tables_at;
  block.lease_blocks = (device_bytes / chunk * room + leases_per_block) / leases_per_block;
  block.first_chunk = round_up(block.lease_at + 2 * block.lease_blocks * block_bytes, unit_bytes);
  block.chunk_count = block.chunks_in(device_bytes);
  block.used_bytes = block.first_chunk + block.chunk_count * chunk;
  if (!plausible(block)) return std::nullopt;
  return block;
}

std::uint64_t Superblock::chunks_in(std::uint64_t device_bytes) const noexcept {
  if (device_bytes < first_chunk) return 0;
  return std::min((device_bytes - first_chunk) / chunk_bytes, lease_blocks * leases_per_block);
}

std::uint64_t Superblock::area_bytes() const noexcept {
  return std::min(chunk_bytes / 8, area_bytes_max);
}

void Superblock::encode(MutableBytes block) const noexcept {
  std::ranges::fill(block, std::byte{0});
  std::byte* const at = block.data();
  std::memcpy(at + 4, magic, sizeof magic);
  store_le(at + 8, generation);
  std::memcpy(at + 16, id.data(), id.size());
  store_le(at + 32, used_bytes);
  store_le(at + 40, chunk_bytes);
  store_le(at + 48, chunk_count);
  store_le(at + 56, lease_at);
  store_le(at + 64, lease_blocks);
  store_le(at + 72, first_chunk);
  store_le(at + 80, created_ms);
  store_le(at, crc32c(block.subspan(4)));
}

Superblock::Found Superblock::decode(Bytes block, Superblock& into) noexcept {
  if (all_zero(block)) return Found::zeroes;
  const std::byte* const at = block.data();
  if (load_le<std::uint32_t>(at) != crc32c(block.subspan(4)) || std::memcmp(at + 4, magic, 3) != 0)
    return Found::damaged;
  if (std::memcmp(at + 4, magic, sizeof magic) != 0 || load_le<std::uint64_t>(at + 88) != 0)
    return Found::unknown_version;
  into.generation = load_le<std::uint64_t>(at + 8);
  std::memcpy(into.id.data(), at + 16, into.id.size());
  into.used_bytes = load_le<std::uint64_t>(at + 32);
  into.chunk_bytes = load_le<std::uint64_t>(at + 40);
  into.chunk_count = load_le<std::uint64_t>(at + 48);
  into.lease_at = load_le<std::uint64_t>(at + 56);
  into.lease_blocks = load_le<std::uint64_t>(at + 64);
  into.first_chunk = load_le<std::uint64_t>(at + 72);
  into.created_ms = load_le<std::uint64_t>(at + 80);
  return plausible(into) ? Found::valid : Found::damaged;
}

}  // namespace ashlar::blob
