#include "ashlar/kv/lsm/shard_context.h"

#include <algorithm>

#include "ashlar/runtime/shard/shard.h"

namespace ashlar::lsm {

ShardContext::ShardContext(const LsmOptions& options, std::uint64_t cache_bytes, StoreState* state)
    : own_state_(state == nullptr ? std::make_unique<StoreState>(Shard::current().id().value + 1u) : nullptr),
      state_(state == nullptr ? own_state_.get() : state),
      chunks_(options.memtable_bytes, &Shard::current().memory()),
      cache_(Shard::current().buffers(), Shard::current().memory(),
             slot_classes_with_values(options.table.block_bytes, cache_bytes), epochs_,
             std::max<std::uint64_t>(cache_bytes, std::uint64_t{16} * options.table.block_bytes),
             options.table.block_bytes),
      jobs_(options.compactions),
      background_bytes_(options.background_bytes) {
  Shard::current().memory().add(*this);
}

bool ShardContext::reclaim() noexcept {
  const bool cached = cache_.shrink();
  const bool chunks = chunks_.trim();
  return cached || chunks;
}

}  // namespace ashlar::lsm
