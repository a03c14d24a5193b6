#pragma once

/// A key-value store: all partitions of one data directory, and where each of them lives.
///
///   const StoredKey key = store.stored(as_bytes("user:1"));
///   const PartitionId id = store.partition_of(key);
///   if (store.home_of(id) == Shard::current().id()) … store.partition(id).get(key) …

#include "ashlar/base/result.h"
#include "ashlar/kv/partition.h"
#include "ashlar/kv/partitioner.h"
#include "ashlar/runtime/shard/shard_id.h"
#include "ashlar/runtime/task/task.h"

namespace ashlar::kv {

/// How a store is addressed and what its readers may rely on.
struct StoreDescription {
  const char* engine;  ///< "lsm", "slab"
  bool sorted;         ///< keys of a partition can be scanned in order
  Partitioner::Scheme scheme;
  std::uint32_t partitions;
  const char* consistency = "strong";           ///< a read sees every write acknowledged before it began
  Durability durability = Durability::durable;  ///< what a write gets that asks for nothing else
};

/// Purpose: finds partitions. Thread safety: const functions from any thread; partitions as they say
/// themselves. Lifecycle: opened before the first request and closed after the last; partitions are opened
/// and closed on their home shards. Invariant: a partition's home does not change while the store is open.
class Store {
 public:
  virtual ~Store() = default;

  virtual StoreDescription describe() const noexcept = 0;
  virtual const Partitioner& partitioner() const noexcept = 0;
  virtual ShardId home_of(PartitionId id) const noexcept = 0;
  virtual Partition& partition(PartitionId id) noexcept = 0;
  /// Stops background work, makes everything appended durable and closes every partition. Runs on any shard;
  /// no other task may use the store any more. Errors of the last sync.
  virtual Task<Result<>> close() = 0;

  std::uint32_t partitions() const noexcept { return partitioner().partitions(); }
  StoredKey stored(Bytes user_key, KeyType type = KeyType::value) const {
    return partitioner().stored(user_key, type);
  }
  PartitionId partition_of(const StoredKey& key) const noexcept { return partitioner().partition_of(key); }
  Partition& partition_for(const StoredKey& key) noexcept { return partition(partition_of(key)); }
};

}  // namespace ashlar::kv
