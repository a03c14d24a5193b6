#include "ashlar/kv/lsm/search_ahead.h"

#include <algorithm>
#include <array>

namespace ashlar::lsm {

namespace {

constexpr std::size_t keys_at_once = 16;  // as many lines as a core has in flight, and a few

using Keys = std::span<const StoredKey* const>;

/// Calls `look(table)` for each table that may hold the key, newest first, until it returns true.
template <class Look>
void each_table(const Version& version, Bytes key, Look look) noexcept {
  for (const Run& run : version.runs) {
    const TableFile* table = run.covering(key);
    if (table != nullptr && look(*table)) return;
  }
}

void ahead_in_memtables(const Version& version, Keys keys, bool values) noexcept {
  for (const Memtable* memtable : version.memtables) {
    if (memtable->empty()) continue;
    for (const StoredKey* key : keys) memtable->prefetch_bucket(key->hash());
    for (const StoredKey* key : keys) memtable->prefetch_key(key->hash());
    if (!values) return;  // writes concern the first
    for (const StoredKey* key : keys) memtable->prefetch_version(key->hash());
  }
}

void ahead_in_tables(const Version& version, Keys keys) noexcept {
  struct Place {
    const TableFile* table = nullptr;
    std::uint32_t ordinal = 0;
  };
  std::array<Place, keys_at_once> places;
  for (const StoredKey* key : keys) {
    each_table(version, key->bytes(), [&](const TableFile& table) {
      if (!table.table().partitioned()) table.table().prefetch(key->hash());
      return false;
    });
  }
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const StoredKey& key = *keys[i];
    each_table(version, key.bytes(), [&](const TableFile& file) {
      const Table& table = file.table();
      if (!table.partitioned() && !table.may_contain(key.hash())) return false;
      const std::uint32_t found =
          table.partitioned() ? table.find_partition(key.bytes()) : table.find(key.bytes());
      if (found == table.ordinal_count()) return false;
      places[i] = {&file, found};
      file.cached().prefetch(found);
      return true;
    });
  }
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (places[i].table != nullptr)
      places[i].table->cached().prefetch_block(places[i].ordinal, keys[i]->hash());
  }
}

}  // namespace

void search_ahead(const Version& version, std::span<const StoredKey* const> keys, bool values) noexcept {
  for (std::size_t first = 0; first < keys.size(); first += keys_at_once) {
    const Keys some = keys.subspan(first, std::min(keys_at_once, keys.size() - first));
    ahead_in_memtables(version, some, values);
    if (values) ahead_in_tables(version, some);
  }
}

}  // namespace ashlar::lsm
