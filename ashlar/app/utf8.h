#pragma once

/// Well-formed UTF-8 (RFC 3629): no surrogates, nothing longer than it must be.

#include <cstddef>
#include <string_view>

namespace ashlar::app {

/// Bytes of the character that begins at `at`; 0 where none does.
constexpr std::size_t utf8_bytes(std::string_view text, std::size_t at) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned>(static_cast<unsigned char>(text[i])); };
  const unsigned first = byte(at);
  if (first < 0x80) return 1;
  const std::size_t bytes = first >= 0xf0 ? 4 : (first >= 0xe0 ? 3 : 2);
  if (first < 0xc2 || first > 0xf4 || text.size() - at < bytes) return 0;
  const unsigned low = first == 0xe0 ? 0xa0 : (first == 0xf0 ? 0x90 : 0x80);
  const unsigned high = first == 0xed ? 0x9f : (first == 0xf4 ? 0x8f : 0xbf);
  if (byte(at + 1) < low || byte(at + 1) > high) return 0;
  for (std::size_t i = 2; i < bytes; ++i)
    if ((byte(at + i) & 0xc0) != 0x80) return 0;
  return bytes;
}

constexpr bool is_utf8(std::string_view text) noexcept {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t bytes = utf8_bytes(text, at);
    if (bytes == 0) return false;
    at += bytes;
  }
  return true;
}

}  // namespace ashlar::app
