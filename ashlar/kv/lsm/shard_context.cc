#include "ashlar/kv/lsm/shard_context.h"

#include <algorithm>

#include "ashlar/runtime/shard/shard.h"

namespace ashlar::lsm {

namespace {

SlotClass slot_class(const LsmOptions& options, std::uint64_t cache_bytes) {
  const std::uint32_t slot_bytes = options.table.block_bytes;
  const std::uint64_t slots = std::max<std::uint64_t>(cache_bytes / slot_bytes, 16);
  return {.slot_bytes = slot_bytes, .slots = static_cast<std::uint32_t>(slots)};
}

}  // namespace

ShardContext::ShardContext(const LsmOptions& options, std::uint64_t cache_bytes)
    : chunks_(options.memtable_bytes, &Shard::current().memory()),
      cache_(Shard::current().buffers(), Shard::current().memory(), {{slot_class(options, cache_bytes)}},
             epochs_) {
  Shard::current().memory().add(*this);
}

bool ShardContext::reclaim() noexcept {
  const bool cached = cache_.shrink();
  const bool chunks = chunks_.trim();
  return cached || chunks;
}

}  // namespace ashlar::lsm
