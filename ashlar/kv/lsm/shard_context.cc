#include "ashlar/kv/lsm/shard_context.h"

#include <algorithm>

namespace ashlar::lsm {

namespace {

std::vector<SlotClass> slot_classes(const LsmOptions& options, std::uint64_t cache_bytes) {
  const std::uint32_t slot_bytes = options.table.block_bytes;
  const std::uint64_t slots = std::max<std::uint64_t>(cache_bytes / slot_bytes, 16);
  return {{.slot_bytes = slot_bytes, .slots = static_cast<std::uint32_t>(slots)}};
}

}  // namespace

ShardContext::ShardContext(const LsmOptions& options, std::uint64_t cache_bytes)
    : chunks_(options.memtable_bytes, &Shard::current().memory()),
      classes_(slot_classes(options, cache_bytes)),
      arena_(BlockCache::arena_bytes(classes_), Purpose::cache),
      cache_(arena_.span(), classes_, epochs_) {}

}  // namespace ashlar::lsm
