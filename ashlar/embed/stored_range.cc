#include "ashlar/embed/stored_range.h"

namespace ashlar::embed {

namespace {

/// The first key that no longer begins with `prefix`; empty: there is none.
std::string end_of_prefix(std::string_view prefix) {
  while (!prefix.empty() && prefix.back() == '\xff') prefix.remove_suffix(1);
  std::string end(prefix);
  if (!end.empty()) end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
  return end;
}

}  // namespace

std::string StoredRange::bound(std::string_view key, unsigned char type) {
  std::string stored{static_cast<char>(type), '\0', '\0'};
  return stored.append(key);
}

StoredRange StoredRange::of(std::string_view lower, std::string_view upper, std::string_view prefix,
                            unsigned char type) {
  if (!prefix.empty()) lower = prefix;
  const std::string end(prefix.empty() ? std::string(upper) : end_of_prefix(prefix));
  return {
      .first = lower.empty() ? std::string{static_cast<char>(type)} : bound(lower, type),
      .end = end.empty() ? std::string{static_cast<char>(type), '\xff'} : bound(end, type),  // slots are less
      .bounded = !lower.empty() || !end.empty() || !upper.empty()};
}

}  // namespace ashlar::embed
