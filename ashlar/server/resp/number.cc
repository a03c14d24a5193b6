#include "ashlar/server/resp/number.h"

#include <array>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace ashlar::resp {

std::optional<std::int64_t> parse_integer(std::string_view text) noexcept {
  if (text.empty() || text.size() > integer_text_bytes_max) return std::nullopt;
  if (text == "0") return 0;
  const std::size_t first = text[0] == '-' ? 1 : 0;
  if (first == text.size() || text[first] < '1' || text[first] > '9') return std::nullopt;
  std::int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return value;
}

std::optional<std::uint64_t> parse_cursor(std::string_view text) noexcept {
  if (text.empty()) return 0;  // as strtoul has it, like the signs
  const bool negative = text[0] == '-';
  if (negative || text[0] == '+') text.remove_prefix(1);
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return negative ? 0 - value : value;
}

std::optional<long double> parse_real(std::string_view text) noexcept {
  std::array<char, real_text_bytes_max> copy;  // strtold wants a terminator
  if (text.empty() || text.size() >= copy.size()) return std::nullopt;
  if (std::isspace(static_cast<unsigned char>(text[0])) != 0) return std::nullopt;
  std::memcpy(copy.data(), text.data(), text.size());
  copy[text.size()] = '\0';
  char* stop = nullptr;
  errno = 0;
  const long double value = std::strtold(copy.data(), &stop);
  if (stop != copy.data() + text.size() || std::isnan(value)) return std::nullopt;
  if (errno == ERANGE && (std::isinf(value) || std::fpclassify(value) == FP_ZERO)) return std::nullopt;
  return value;
}

std::size_t format_integer(char* to, std::int64_t value) noexcept {
  return static_cast<std::size_t>(std::to_chars(to, to + integer_text_bytes_max, value).ptr - to);
}

std::size_t format_real(char* to, long double value) noexcept {
  if (std::isinf(value)) {
    const std::string_view text = value > 0 ? "inf" : "-inf";
    std::memcpy(to, text.data(), text.size());
    return text.size();
  }
  const int written = std::snprintf(to, real_text_bytes_max, "%.17Lf", value);
  auto size = static_cast<std::size_t>(written);
  while (to[size - 1] == '0') --size;  // there is always a point, so this stops
  if (to[size - 1] == '.') --size;
  if (size == 2 && to[0] == '-' && to[1] == '0') {
    to[0] = '0';
    return 1;
  }
  return size;
}

}  // namespace ashlar::resp
