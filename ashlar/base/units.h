#pragma once

/// Sizes and durations as people write them: 64KiB, 1GiB, 5s, 100us.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "ashlar/base/result.h"

namespace ashlar {

inline namespace literals {
constexpr std::uint64_t operator""_KiB(unsigned long long n) noexcept {
  return n << 10;
}
constexpr std::uint64_t operator""_MiB(unsigned long long n) noexcept {
  return n << 20;
}
constexpr std::uint64_t operator""_GiB(unsigned long long n) noexcept {
  return n << 30;
}
constexpr std::uint64_t operator""_TiB(unsigned long long n) noexcept {
  return n << 40;
}
}  // namespace literals

/// A whole number followed by B, KiB, MiB, GiB or TiB (also K, M, G, T), powers of 1000 as kB, MB, GB, TB, or
/// nothing for bytes. Fails with `invalid` on any other text and `too_large` beyond 64 bits.
Result<std::uint64_t> parse_bytes(std::string_view text);

/// A whole number followed by ns, us, ms, s, min, h or d. Only 0 may stand without a unit. Fails as
/// parse_bytes does.
Result<std::chrono::nanoseconds> parse_duration(std::string_view text);

/// Exact, in the largest unit that divides it: 65536 is "64KiB", 1000 is "1000B". parse_bytes reads it back.
std::string format_bytes(std::uint64_t bytes);
/// Exact, in the largest unit that divides it: 1500 µs is "1500us". parse_duration reads it back.
std::string format_duration(std::chrono::nanoseconds duration);

/// Rounded for people, three significant digits: "1.46 GiB", "735 us".
std::string approximate_bytes(std::uint64_t bytes);
std::string approximate_duration(std::chrono::nanoseconds duration);

}  // namespace ashlar
