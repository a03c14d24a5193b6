#include "ashlar/server/resp/set_options.h"

#include <limits>

#include "ashlar/server/resp/errors.h"
#include "ashlar/server/resp/number.h"

namespace ashlar::resp {
namespace {

struct ExpiryKeyword {
  std::string_view name;
  TimeUnit unit;
  TimeBase base;
};
constexpr ExpiryKeyword expiry_keywords[] = {
    {"ex", TimeUnit::seconds, TimeBase::now},
    {"px", TimeUnit::milliseconds, TimeBase::now},
    {"exat", TimeUnit::seconds, TimeBase::epoch},
    {"pxat", TimeUnit::milliseconds, TimeBase::epoch},
};

const ExpiryKeyword* find_expiry_keyword(std::string_view text) noexcept {
  for (const auto& keyword : expiry_keywords) {
    if (is_keyword(text, keyword.name)) return &keyword;
  }
  return nullptr;
}

}  // namespace

bool is_keyword(std::string_view text, std::string_view lower) noexcept {
  if (text.size() != lower.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i] >= 'A' && text[i] <= 'Z' ? static_cast<char>(text[i] | 0x20) : text[i];
    if (c != lower[i]) return false;
  }
  return true;
}

bool to_absolute_ms(std::int64_t value, TimeUnit unit, TimeBase base, std::uint64_t now_ms,
                    std::int64_t& absolute_ms) noexcept {
  constexpr std::int64_t max = std::numeric_limits<std::int64_t>::max();
  if (unit == TimeUnit::seconds) {
    if (value > max / 1000 || value < -(max / 1000)) return false;
    value *= 1000;
  }
  if (base == TimeBase::now) {
    const auto now = static_cast<std::int64_t>(now_ms);
    if (value > max - now) return false;
    value += now;
  }
  absolute_ms = value;
  return true;
}

bool parse_set_options(std::span<const std::string_view> arguments, SetOptionsOf kind,
                       SetOptions& options) noexcept {
  const bool set = kind == SetOptionsOf::set;
  const ExpiryKeyword* expiry = nullptr;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view word = arguments[i];
    if (set && is_keyword(word, "nx") && !options.only_present) {
      options.only_absent = true;
    } else if (set && is_keyword(word, "xx") && !options.only_absent) {
      options.only_present = true;
    } else if (set && is_keyword(word, "get")) {
      options.return_old = true;
    } else if (set && is_keyword(word, "keepttl") && expiry == nullptr) {
      options.keep_expiry = true;
    } else if (!set && is_keyword(word, "persist") && expiry == nullptr) {
      options.persist = true;
    } else if (const auto* keyword = find_expiry_keyword(word);
               keyword != nullptr && (expiry == nullptr || expiry == keyword) && !options.keep_expiry &&
               !options.persist && i + 1 < arguments.size()) {
      expiry = keyword;
      options.time = arguments[++i];
    } else {
      return false;
    }
  }
  if (expiry == nullptr) return true;
  options.has_expiry = true;
  options.unit = expiry->unit;
  options.base = expiry->base;
  return true;
}

std::string_view resolve_expiry(const SetOptions& options, SetOptionsOf kind, std::uint64_t now_ms,
                                std::uint64_t& expiry_ms) noexcept {
  const auto time = parse_integer(options.time);
  if (!time) return not_an_integer;
  std::int64_t absolute_ms = 0;
  if (*time <= 0 || !to_absolute_ms(*time, options.unit, options.base, now_ms, absolute_ms)) {
    return kind == SetOptionsOf::set ? "ERR invalid expire time in 'set' command"
                                     : "ERR invalid expire time in 'getex' command";
  }
  expiry_ms = static_cast<std::uint64_t>(absolute_ms);
  return {};
}

}  // namespace ashlar::resp
