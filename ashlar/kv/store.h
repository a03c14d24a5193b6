#pragma once

/// A key-value store: all partitions of one data directory, and where each of them lives.
///
///   const StoredKey key = store.stored(as_bytes("user:1"));
///   const PartitionId id = store.partition_of(key);
///   if (store.home_of(id) == Shard::current().id()) … store.partition(id).get(key) …

#include "ashlar/base/result.h"
#include "ashlar/kv/partition.h"
#include "ashlar/kv/partitioner.h"
#include "ashlar/kv/store_clock.h"
#include "ashlar/runtime/shard/shard_id.h"
#include "ashlar/runtime/task/task.h"

namespace ashlar::kv {

/// What a reader may rely on, weakest first. A store that serves one level serves those before it as well.
enum class ReadLevel : std::uint8_t {
  eventual,  ///< some earlier state, by a stated bound
  session,   ///< one's own writes, and never an older state than one has seen
  causal,    ///< everything up to a sequence that one has been told of (Store::reached())
  strong,    ///< every write acknowledged before the read began
};

/// How many copies have a write when it is acknowledged.
enum class WriteLevel : std::uint8_t { one, quorum, all };

/// How a store is addressed and what its readers may rely on.
struct StoreDescription {
  const char* engine;  ///< "lsm", "slab"
  bool sorted;         ///< keys of a partition can be scanned in order
  Partitioner::Scheme scheme;
  std::uint32_t partitions;
  /// Of a read of one key, and of a snapshot over all of them. A partition has one copy, on one shard, which
  /// answers every read: there is no older copy to read from, so a weaker level would not be faster, and
  /// nothing here offers one.
  ReadLevel reads = ReadLevel::strong;
  WriteLevel writes = WriteLevel::one;          ///< the only copy, hence all as well
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
  /// What snapshots of the store are numbers of: `Snapshot snapshot(store.clock());`, on any shard.
  virtual StoreClock& clock() noexcept = 0;
  /// What `operands`, the oldest first, make of `base` (nothing: the key is absent), by the operator of the
  /// key's type. On the shard of the key's partition. `unsupported` where such keys take no operands; the
  /// operator's errors.
  virtual Result<> merge(const StoredKey& key, std::optional<Bytes> base, std::span<const Bytes> operands,
                         std::vector<std::byte>& result);
  /// Stops background work, makes everything appended durable and closes every partition. Runs on any shard;
  /// no other task may use the store any more. Errors of the last sync.
  virtual Task<Result<>> close() = 0;

  /// Writes all or none, whichever partitions the keys are in; what other transactions hold is waited for
  /// until `deadline`. On any shard; views, and the receipt that what it cost is added to, live until it
  /// returns. Its sequence, and errors, as commit() in commit.h.
  Task<Result<Sequence>> write(std::span<const Write> writes, Durability durability = Durability::durable,
                               Instant deadline = never, Receipt* receipt = nullptr);
  /// Returns when everything that was ordered before, in any partition, survives power loss. On any shard.
  Task<Result<>> sync();
  /// The dependency token of a causal read: waits until everything up to `sequence` that this store has
  /// ordered survives power loss and is shown. A snapshot that begins now sees it anyway; this is for telling
  /// others.
  Task<Result<>> reached(Sequence sequence);

  std::uint32_t partitions() const noexcept { return partitioner().partitions(); }
  StoredKey stored(Bytes user_key, KeyType type = KeyType::value) const {
    return partitioner().stored(user_key, type);
  }
  PartitionId partition_of(const StoredKey& key) const noexcept { return partitioner().partition_of(key); }
  Partition& partition_for(const StoredKey& key) noexcept { return partition(partition_of(key)); }
};

}  // namespace ashlar::kv
