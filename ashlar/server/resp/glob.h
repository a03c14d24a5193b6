#pragma once

/// Glob patterns of KEYS, SCAN MATCH and CONFIG GET: `*`, `?`, `[a-c]`, `[^x]` and `\` to quote.

#include <string_view>

namespace ashlar::resp {

enum class GlobCase : bool { exact, ignored };

/// True if the whole text matches, byte by byte. Time is at most pattern × text: a pattern of many stars does
/// not blow up. An unclosed class ends with the pattern; a trailing backslash stands for itself.
bool glob_match(std::string_view pattern, std::string_view text, GlobCase letters = GlobCase::exact) noexcept;

}  // namespace ashlar::resp
