#pragma once

/// Column families: sets of keys with a name and rules of their own, in one store. They share each
/// partition's log, so that a batch across families is one.
///
///   const kv::Family sessions = CO_TRY(co_await store.create_family("sessions", {.ttl_ms = 3'600'000}));
///   const StoredKey key = store.stored(as_bytes("user:1"), sessions.key_type());
///   auto cursor = partition.scan({.first = as_bytes(sessions.range().first), …});

#include <cstdint>
#include <string>

#include "ashlar/kv/key.h"
#include "ashlar/kv/key_range.h"

namespace ashlar::kv {

constexpr std::uint32_t family_count_max = 128;
constexpr std::size_t family_name_bytes_max = 255;

struct FamilyOptions {
  std::string merge_operator = {};  ///< by name; empty: its keys take no merge operands
  std::uint64_t ttl_ms = 0;         ///< what is written without an expiry expires so long after; 0: it stays
};

struct Family {
  std::string name;
  std::uint8_t number = 0;  ///< below family_count_max
  FamilyOptions options;

  KeyType key_type() const noexcept {
    return static_cast<KeyType>(static_cast<std::uint8_t>(KeyType::column_family) + number);
  }
  /// All of its keys, in stored form.
  KeyRange range() const { return type_range(static_cast<std::uint8_t>(key_type())); }
};

}  // namespace ashlar::kv
