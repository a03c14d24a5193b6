#pragma once

/// A look-up by a plain thread.
///
///  1. Inside an epoch: the store, the partition, a look at what it publishes. Mostly that is all.
///  2. Otherwise (a block that is not cached, a version that is not durable yet, a snapshot) a call to the
///     partition's shard, which looks again and reads what is missing. Whoever waits does so outside of the
///     epoch.

#include <optional>

#include "ashlar/embed/engine.h"
#include "ashlar/embed/snapshot_state.h"

namespace ashlar::embed {

/// Inside an epoch: whether memory answers, and what. The receipt of the options says so.
inline bool peek(const Engine& engine, const kv::StoredKey& key, const ReadOptions& options,
                 kv::Peek& found) noexcept {
  if (options.snapshot != nullptr) return false;
  lsm::LsmStore* store = engine.store();
  if (store == nullptr ||
      !store->partition(engine.partitioner().partition_of(key)).peek(key, options.durability, found))
    return false;
  if (options.receipt != nullptr) [[unlikely]]
    ++options.receipt->in_place;
  return true;
}

/// The second step. `take` is given what was found, on the shard, while the call is not answered yet. What is
/// referred to outlives the call.
struct GetCall : Call {
  using Take = void (*)(void* into, Bytes value);

  GetCall(Engine& from, const kv::StoredKey& which, const ReadOptions& with, Take take_value,
          void* to) noexcept
      : Call([](Message& message) noexcept { static_cast<GetCall&>(message).arrived(); }),
        engine(from),
        key(which),
        options(with),
        cost(with.receipt),
        take(take_value),
        into(to) {}

  ShardId home() const noexcept { return engine.home_of(engine.partitioner().partition_of(key)); }

  Engine& engine;
  const kv::StoredKey& key;
  const ReadOptions& options;
  Cost cost;  ///< to be added up by who waited
  Take take;
  void* into;
  Result<bool> result{false};  ///< whether there is a value

 private:
  void arrived() noexcept;
  void answer(const Result<std::optional<kv::Value>>& found) noexcept;
  static Task<> look_up(GetCall* call, kv::PartitionId id);
};

}  // namespace ashlar::embed
