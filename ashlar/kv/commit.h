#pragma once

/// Committing what a transaction did, in one partition or across several. Steps and crash points:
/// docs/formats/transaction.md.

#include <span>
#include <vector>

#include "ashlar/kv/store.h"

namespace ashlar::kv {

/// A key that must not have been written after `since`.
struct Check {
  const StoredKey* key;
  Sequence since;
};

/// On the partition's shard: `conflict` where the check does not hold. The key outlives the task.
Task<Result<>> check(Partition& partition, Check check);

/// What is done to one partition. Views: they must live until commit() returns.
struct CommitPart {
  PartitionId id;
  /// One for each key, and operands behind it; a clear or a range only where it is the only part.
  std::vector<Write> writes;
  std::vector<Check> checks;
};

struct CommitOptions {
  LockOwner owner = no_owner;  ///< whose row locks the keys may have; no_owner: nobody's yet
  /// Of a commit in one partition. One across partitions is always durable before anyone sees it.
  bool holds_locks = false;  ///< … and it has some: they are kept while it waits for others
  Durability durability = Durability::durable;
  Instant deadline = never;    ///< for locks that others hold
  Receipt* receipt = nullptr;  ///< what it cost is added here, before commit() returns
};

/// All writes of all parts, or none; `parts` ascend by partition. Its sequence: every snapshot at or above it
/// sees the writes, none below does. On return each partition shows them. Any shard. Locks of the owner are
/// released in any case.
///
/// `conflict`: a check did not hold; `timed_out`: a lock was not to be had in time. Errors of append(), from
/// any part: nothing was done; but `stopped` after a failed log write leaves open what the next open of the
/// store will find, all or nothing.
Task<Result<Sequence>> commit(Store& store, std::span<CommitPart> parts, CommitOptions options);

/// Releases every lock of `owner` in these partitions.
Task<> unlock(Store& store, std::vector<PartitionId> partitions, LockOwner owner);

/// A random number for an owner of locks. On a shard.
LockOwner new_lock_owner() noexcept;

/// Whether Partition::decide() may succeed if it is repeated, after a while.
constexpr Duration decide_again_after = std::chrono::milliseconds(10);
inline bool decides_later(const Error& why) noexcept {
  return why.code == Errc::no_memory || why.code == Errc::no_space;
}

}  // namespace ashlar::kv
