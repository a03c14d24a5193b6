#pragma once

/// Entries of the log-structured engine: one version of one key, and the order versions are kept in.
/// Memtables, tables, iterators and the log share these. Format: docs/formats/key.md.

#include <cstdint>

#include "ashlar/kv/key.h"

namespace ashlar::lsm {

using kv::is_absent;
using kv::key_hash;
using kv::Kind;
using kv::no_expiry;
using kv::Sequence;
using kv::sequence_max;
using kv::Slot;
using kv::StoredKey;

/// True for the kinds that a log or memtable may hold for a key.
constexpr bool is_key_kind(std::uint8_t kind) noexcept {
  return kind >= static_cast<std::uint8_t>(Kind::put) && kind <= static_cast<std::uint8_t>(Kind::merge);
}

/// The same for tables.
constexpr bool is_table_kind(std::uint8_t kind) noexcept {
  return is_key_kind(kind) || kind == static_cast<std::uint8_t>(Kind::separated);
}

/// One version of a key, as views of memory that someone else keeps alive.
struct Entry {
  Bytes key;  ///< stored form
  Sequence sequence;
  Kind kind = Kind::put;
  std::uint64_t expiry_ms = no_expiry;  ///< absolute wall clock, milliseconds since 1970; no_expiry: stays
  Bytes value;                          ///< of kind separated, a reference (docs/formats/value-table.md)
};

constexpr bool is_absent(const Entry& entry, std::uint64_t now_ms) noexcept {
  return is_absent(entry.kind, entry.expiry_ms, now_ms);
}

/// The order of versions everywhere: keys ascending as bytes, and of one key the newest first.
inline int compare_versions(Bytes a_key, Sequence a, Bytes b_key, Sequence b) noexcept {
  const int order = compare(a_key, b_key);
  if (order != 0) return order;
  return a > b ? -1 : (a < b ? 1 : 0);
}
inline int compare_versions(const Entry& a, const Entry& b) noexcept {
  return compare_versions(a.key, a.sequence, b.key, b.sequence);
}

}  // namespace ashlar::lsm
