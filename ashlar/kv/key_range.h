#pragma once

/// Ranges of stored keys, for scans and for Partition::erase_range().
///
/// Keys are in order of type, slot and user key. So what has one type (a column family), or one type and
/// slot, or one slot and a prefix, is a range; all keys between two user keys are one only where partitions
/// are ranges themselves, because slots are zero there.

#include <string>

#include "ashlar/kv/key.h"

namespace ashlar::kv {

struct KeyRange {
  std::string first;  ///< stored form, included
  std::string end;    ///< excluded; empty: the end of all keys
};

/// All keys that begin with these bytes, which are in stored form: at least the type.
inline KeyRange prefix_range(Bytes prefix) {
  KeyRange range{.first = std::string(as_text(prefix)), .end = std::string(as_text(prefix))};
  while (!range.end.empty() && range.end.back() == '\xff') range.end.pop_back();
  if (!range.end.empty())
    range.end.back() = static_cast<char>(static_cast<unsigned char>(range.end.back()) + 1);
  return range;
}
/// All keys of one type, such as a column family.
inline KeyRange type_range(std::uint8_t type) {
  const std::byte prefix[] = {static_cast<std::byte>(type)};
  return prefix_range(prefix);
}
/// All keys of one type and slot.
inline KeyRange slot_range(std::uint8_t type, Slot slot) {
  const std::byte prefix[] = {static_cast<std::byte>(type), static_cast<std::byte>(slot.value >> 8),
                              static_cast<std::byte>(slot.value)};
  return prefix_range(prefix);
}
/// In a directory whose partitions are ranges: the keys of one type from `first` to `end` (excluded; empty:
/// to the last key of the type).
inline KeyRange user_key_range(std::uint8_t type, Bytes first, Bytes end) {
  const auto stored = [&](Bytes user_key) {
    return std::string(as_text(StoredKey(static_cast<KeyType>(type), Slot{}, user_key).bytes()));
  };
  return {.first = stored(first), .end = end.empty() ? type_range(type).end : stored(end)};
}

}  // namespace ashlar::kv
