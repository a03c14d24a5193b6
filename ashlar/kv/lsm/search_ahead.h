#pragma once

/// Fetching what the look-ups of several keys will touch.

#include <span>

#include "ashlar/kv/lsm/version.h"

namespace ashlar::lsm {

/// Stage by stage for all keys, so that each stage's loads hit what the one before has fetched, and the
/// misses of one key are waited for together with those of the others: bucket, key and version in the
/// memtables; filter, index, place, block and its bucket in the first table whose filter lets the key
/// through. A hint: changes nothing. `values`: versions will be read; else only the memtable that is written
/// to concerns the caller. Owner shard, or any thread inside an epoch.
void search_ahead(const Version& version, std::span<const StoredKey* const> keys, bool values) noexcept;

}  // namespace ashlar::lsm
