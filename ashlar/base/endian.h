#pragma once

/// Little-endian integers in memory and variable-length integers (LEB128), as every on-disk format uses them.

#include <bit>
#include <concepts>
#include <cstdint>

#include "ashlar/base/bytes.h"

namespace ashlar {

static_assert(std::endian::native == std::endian::little, "formats are little-endian and read in place");

template <std::integral T>
T load_le(const std::byte* from) noexcept {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <std::integral T>
void store_le(std::byte* to, T value) noexcept {
  std::memcpy(to, &value, sizeof value);
}

constexpr std::size_t varint_size_max = 10;

/// Writes 1–10 bytes at `to`; returns the byte after them.
inline std::byte* store_varint(std::byte* to, std::uint64_t value) noexcept {
  while (value >= 0x80) {
    *to++ = static_cast<std::byte>(value | 0x80);
    value >>= 7;
  }
  *to++ = static_cast<std::byte>(value);
  return to;
}

/// Reads a varint from [from, end); returns the byte after it, or nullptr where it is cut short or too long.
inline const std::byte* load_varint(const std::byte* from, const std::byte* end,
                                    std::uint64_t& value) noexcept {
  std::uint64_t result = 0;
  for (unsigned shift = 0; shift < 64 && from != end; shift += 7) {
    const auto byte = static_cast<std::uint64_t>(*from++);
    if (shift == 63 && byte > 1) return nullptr;
    result |= (byte & 0x7f) << shift;
    if (byte < 0x80) {
      value = result;
      return from;
    }
  }
  return nullptr;
}

}  // namespace ashlar
