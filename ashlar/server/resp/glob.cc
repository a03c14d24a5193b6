#include "ashlar/server/resp/glob.h"

/// 1. Walk pattern and text together, one pattern element (byte, `?`, class, quoted byte) per byte of text.
/// 2. At a `*`, note where pattern and text stand, and go on as if it matched nothing.
/// 3. At a mismatch, go back to the last `*` and let it swallow one byte more. Only the last star needs
///    trying again: whatever an earlier one could swallow, the last can too.

#include <cstddef>
#include <utility>

namespace ashlar::resp {
namespace {

unsigned char fold(char c, GlobCase letters) noexcept {
  const auto byte = static_cast<unsigned char>(c);
  return letters == GlobCase::ignored && byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
}

/// Matches the class whose '[' is at pattern[at]; moves `at` past its ']'.
bool match_class(std::string_view pattern, std::size_t& at, unsigned char byte, GlobCase letters) noexcept {
  ++at;
  const bool negated = at < pattern.size() && pattern[at] == '^';
  if (negated) ++at;
  bool found = false;
  for (; at < pattern.size() && pattern[at] != ']'; ++at) {
    if (pattern[at] == '\\' && at + 1 < pattern.size()) {
      ++at;
      found |= fold(pattern[at], letters) == byte;
    } else if (at + 2 < pattern.size() && pattern[at + 1] == '-') {
      auto low = fold(pattern[at], letters);
      auto high = fold(pattern[at + 2], letters);
      if (low > high) std::swap(low, high);
      found |= low <= byte && byte <= high;
      at += 2;
    } else {
      found |= fold(pattern[at], letters) == byte;
    }
  }
  if (at < pattern.size()) ++at;
  return found != negated;
}

/// Matches one element, which is not a star; moves `at` past it.
bool match_element(std::string_view pattern, std::size_t& at, unsigned char byte, GlobCase letters) noexcept {
  switch (pattern[at]) {
    case '?': ++at; return true;
    case '[': return match_class(pattern, at, byte, letters);
    case '\\':
      if (at + 1 < pattern.size()) ++at;
      [[fallthrough]];
    default: return fold(pattern[at++], letters) == byte;
  }
}

}  // namespace

bool glob_match(std::string_view pattern, std::string_view text, GlobCase letters) noexcept {
  constexpr std::size_t none = std::string_view::npos;
  std::size_t at = 0;
  std::size_t star = none;  // the element after the last star …
  std::size_t resume = 0;   // … and the text it was tried against
  for (std::size_t i = 0; i < text.size();) {
    if (at < pattern.size() && pattern[at] == '*') {
      while (at < pattern.size() && pattern[at] == '*') ++at;
      if (at == pattern.size()) return true;
      star = at;
      resume = i;
    } else if (at < pattern.size() && match_element(pattern, at, fold(text[i], letters), letters)) {
      ++i;
    } else if (star != none) {
      at = star;
      i = ++resume;
    } else {
      return false;
    }
  }
  while (at < pattern.size() && pattern[at] == '*') ++at;
  return at == pattern.size();
}

}  // namespace ashlar::resp
