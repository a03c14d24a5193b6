#pragma once

/// Blocks: the unit of writes and reads in tables and segments.

#include <cstdint>

namespace ashlar::blob {

/// Offsets, sizes and memory are multiples of it.
constexpr std::uint64_t block_bytes = 4096;

constexpr std::uint64_t align_down(std::uint64_t bytes) noexcept {
  return bytes & ~(block_bytes - 1);
}
constexpr std::uint64_t align_up(std::uint64_t bytes) noexcept {
  return align_down(bytes + block_bytes - 1);
}
constexpr bool aligned(std::uint64_t bytes) noexcept {
  return bytes % block_bytes == 0;
}

}  // namespace ashlar::blob
