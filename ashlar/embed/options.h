#pragma once

/// Options of an embedded database, of its reads and of its writes.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ashlar/base/error.h"
#include "ashlar/embed/family.h"
#include "ashlar/embed/receipt.h"
#include "ashlar/kv/durability.h"

namespace ashlar {

using kv::Durability;

class MergeOperator;
class Snapshot;

/// When a call gives up: `steady_clock::now() + 50ms`. Its time is the shard's: a call that has to wait for
/// something (a lock, a disk) ends with `timed_out`, soon after.
using Deadline = std::chrono::steady_clock::time_point;
constexpr Deadline no_deadline = Deadline::max();

struct DbOptions {
  /// Threads of the database, each with its event loop. More than one serves more than one partition.
  unsigned shards = 1;
  /// Bind each to a core of its own, where there are enough.
  bool pin = false;
  /// The last of the shards has no thread of its own: it is the one that opens the database, which drives it
  /// from its own event loop (Db::poll()).
  bool drive = false;
  /// Of everything: memtables, cache, buffers. 0: three quarters of what this process may use.
  std::uint64_t memory_cap_bytes = 0;

  /// Make what is missing; without it, `not_found`. A device is made ready by `ashlar format`.
  bool create = true;
  /// Partitions of a new database: one more than there are boundaries, each holding the keys from one
  /// boundary (included) to the next. Fixed from then on.
  std::vector<std::string> boundaries = {};

  /// Of the family that every database has, by name; recorded when it is first given. Empty: the recorded
  /// one, or none.
  std::string merge_operator = {};
  /// The program's own operators, beside those that are built in (merge_operator.h).
  std::vector<std::shared_ptr<const MergeOperator>> merge_operators = {};

  /// How long a thread that waits for an answer, and is the only one, spins before it sleeps.
  std::chrono::microseconds spin{150};

  /// Any option of docs/options.md by name: {{"kv.cache-bytes", "1GiB"}, {"kv.compression", "lz4"}}.
  std::vector<std::pair<std::string, std::string>> settings = {};
};

struct ReadOptions {
  /// durable: waits where it meets what might yet vanish. Others show the newest, and never wait for a disk
  /// to confirm a write.
  Durability durability = Durability::durable;
  /// Null: the newest state.
  const Snapshot* snapshot = nullptr;
  /// A read of the device that is under way then goes on without the caller.
  Deadline deadline = no_deadline;
  /// Whether what must be read from the device may take the place of cached data.
  bool fill_cache = true;
  Receipt* receipt = nullptr;
  Family family = {};
};

struct WriteOptions {
  /// When the call returns: `durable`, once the write survives power loss.
  Durability durability = Durability::durable;
  /// `timed_out` where it has passed before the write was ordered: then nothing was done. Where it passes
  /// later, the write may have been made, and may become durable.
  Deadline deadline = no_deadline;
  Receipt* receipt = nullptr;
  /// Of put(), erase() and their like; the entries of a batch have their own.
  Family family = {};
  /// Called once, on a shard, when the write survives power loss (whatever durability it asked for) or never
  /// will; not where nothing was done. Short, and no call of this database that waits.
  std::function<void(const Result<>&)> on_durable = {};
};

enum class Isolation : std::uint8_t {
  none,          ///< reads see one snapshot; of two that write one key, the later one counts
  snapshot,      ///< reads see one snapshot; of two that write one key and overlap, the first to commit wins
  serializable,  ///< as if one after the other: what was read by key is unchanged at commit, too
};

enum class Locking : std::uint8_t {
  optimistic,  ///< conflicts are found at commit
  row_locks,   ///< a key is locked when it is written or locked, and others wait for it
};

struct TransactionOptions {
  Isolation isolation = Isolation::snapshot;
  Locking locking = Locking::optimistic;
  Durability durability = Durability::durable;  ///< of a commit in one partition; otherwise always durable
  /// Longest wait for one lock; it also ends deadlocks, which nothing else detects.
  std::chrono::nanoseconds lock_wait = std::chrono::seconds(1);
  Deadline deadline = no_deadline;  ///< of all waits for locks together
};

/// A key that is put stays until it is erased.
constexpr std::uint64_t no_expiry = 0;

}  // namespace ashlar
