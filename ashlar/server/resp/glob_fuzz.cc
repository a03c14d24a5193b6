/// The matcher agrees with the obvious recursive one, which takes exponential time and is kept to short
/// inputs.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "ashlar/server/resp/glob.h"

namespace {

using ashlar::resp::glob_match;

/// Splits at stars by recursion; what has none is left to the matcher itself.
bool match_recursively(std::string_view pattern, std::string_view text, int& budget) {
  if (--budget < 0) return false;
  if (!pattern.empty() && pattern[0] == '*') {
    for (std::size_t i = 0; i <= text.size(); ++i) {
      if (match_recursively(pattern.substr(1), text.substr(i), budget)) return true;
    }
    return false;
  }
  const std::size_t first = pattern.find_first_of("*[\\");
  if (first != 0 && first != std::string_view::npos) {
    return first <= text.size() && glob_match(pattern.substr(0, first), text.substr(0, first)) &&
           match_recursively(pattern.substr(first), text.substr(first), budget);
  }
  return glob_match(pattern, text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t split = data[0] % (input.size() + 1);
  const std::string_view pattern = input.substr(0, split), text = input.substr(split);
  const bool matched = glob_match(pattern, text);
  glob_match(pattern, text, ashlar::resp::GlobCase::ignored);
  if (pattern.size() > 12 || text.size() > 12) return 0;
  int budget = 100'000;
  const bool expected = match_recursively(pattern, text, budget);
  if (budget >= 0 && matched != expected) std::abort();
  return 0;
}
