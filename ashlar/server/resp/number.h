#pragma once

/// Numbers as Redis reads and writes them. Exactness matters: a value is an integer to INCR only if it is the
/// canonical decimal form, and INCRBYFLOAT's result is what the next client reads.

#include <cstdint>
#include <optional>
#include <string_view>

namespace ashlar::resp {

/// Canonical decimal of a signed 64-bit integer: no sign '+', no "-0", no leading zero, no space (string2ll).
std::optional<std::int64_t> parse_integer(std::string_view text) noexcept;

/// The same for 0 … 2^64 - 1, as SCAN reads its cursor: strtoull's leniency, less the leading space.
std::optional<std::uint64_t> parse_cursor(std::string_view text) noexcept;

/// A finite or infinite extended-precision number, the whole text, as strtold reads it; not NaN (string2ld).
std::optional<long double> parse_real(std::string_view text) noexcept;

constexpr std::size_t integer_text_bytes_max = 20;  // "-9223372036854775808"

/// Writes the decimal at `to`, which holds integer_text_bytes_max; returns its length.
std::size_t format_integer(char* to, std::int64_t value) noexcept;

constexpr std::size_t real_text_bytes_max = 5 * 1024;  // the longest finite value needs 4933 + 18 digits

/// Fixed notation, 17 decimals, trailing zeros removed, never "-0" (ld2string, human form). `to` holds
/// real_text_bytes_max; returns the length.
std::size_t format_real(char* to, long double value) noexcept;

}  // namespace ashlar::resp
