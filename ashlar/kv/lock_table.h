#pragma once

/// Row locks of one partition, and who waits for the outcome of a transaction across partitions.

#include <array>
#include <atomic>
#include <cassert>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "ashlar/base/result.h"
#include "ashlar/kv/key.h"
#include "ashlar/runtime/ops/clock.h"
#include "ashlar/runtime/sync/condition.h"
#include "ashlar/runtime/task/task.h"

namespace ashlar::kv {

struct Write;

/// A transaction, as locks know it: a random number, not 0.
using LockOwner = std::uint64_t;
constexpr LockOwner no_owner = 0;

/// A key is locked by one owner. A lock keeps others from writing the key. Once its owner commits across
/// partitions (commits_at()), it also keeps readers waiting, unless they have a snapshot from before.
/// Waiters for a lock get it in order; nothing detects deadlocks but their deadlines.
///
/// Owner: the partition's shard, but for may_hide(). Lifecycle: empty, and nobody waiting, when it goes.
/// Costs nothing while it is empty.
class LockTable {
 public:
  LockTable() = default;
  LockTable(const LockTable&) = delete;
  LockTable& operator=(const LockTable&) = delete;
  ~LockTable();

  bool empty() const noexcept { return locks_.empty(); }
  /// Nobody's lock.
  bool free(const StoredKey& key) const noexcept { return empty() || find(key.bytes()) == nullptr; }
  /// Another's lock keeps the writer from any of these; a clear, and a range, from all there are.
  bool blocks(std::span<const Write> writes) const noexcept;
  /// Until then append() of this shard writes as `owner`; no suspension in between.
  class ActAs;

  /// At once, or not at all: false where another holds the key or waits for it.
  bool try_lock(const StoredKey& key, LockOwner owner);
  /// Waits its turn; an owner that has the lock already has it at once. timed_out at `deadline`, cancelled.
  Task<Result<>> lock(const StoredKey& key, LockOwner owner, Instant deadline);
  /// Readers at `reserved` or above wait from now on for every key of the owner that is in `writes`.
  void commits_at(LockOwner owner, std::span<const Write> writes, Sequence reserved);
  /// They need not wait any more: the owner does not commit yet. It keeps its locks.
  void recall(LockOwner owner) noexcept;
  /// From here on nobody waits for a lock: who does, or would, gets `cancelled`. Outcomes are still waited
  /// for.
  void end_waiting() noexcept;
  /// Lets go of all that the owner has; who waited looks again.
  void unlock_all(LockOwner owner);

  /// While it is there, readers with a snapshot at `from` or above wait, whatever they read: what has that
  /// sequence cannot be seen yet. One at a time.
  class SnapshotHold;

  /// Whether a reader at `at` must wait: for the outcome of a transaction, or, with a snapshot (`at` is not
  /// sequence_max), for such a hold.
  bool hides(const StoredKey& key, Sequence at) const noexcept {
    return held_back(at) || (committing_ != 0 && hidden(key.bytes(), at) != nullptr);
  }
  bool hides_in(Bytes first, Bytes last, Sequence at) const noexcept {
    return held_back(at) || (committing_ != 0 && hidden_in(first, last, at) != nullptr);
  }
  /// Whether any transaction has reserved its sequence, or was prepared, and is not decided.
  bool committing() const noexcept { return committing_ != 0; }
  /// Whether a key with this hash waits for an outcome: what was read of it may be about to change.
  bool committing(std::uint64_t hash) const noexcept;
  /// Any thread: false where no key with this hash waits for an outcome. What a transaction wrote is
  /// published before; so a reader that has seen a part of it elsewhere is not told false here.
  bool may_hide(std::uint64_t hash) const noexcept {
    return marks_[hash % marks_count].load(std::memory_order_acquire) != 0;
  }
  /// Return once hides() does not hold any more. cancelled. `key`, `first`, `last` outlive the task.
  Task<Result<>> visible(const StoredKey& key, Sequence at);
  Task<Result<>> visible_in(Bytes first, Bytes last, Sequence at);
  /// Returns once blocks() did not hold. timed_out at `deadline`, cancelled. `writes` outlive the task.
  Task<Result<>> writable(std::span<const Write> writes, Instant deadline);

 private:
  struct Lock {
    std::string key;
    std::uint64_t hash = 0;
    LockOwner holder = no_owner;
    Sequence committing = sequence_max;  ///< readers from here on wait; sequence_max: none does
    std::deque<LockOwner> queue;
    Condition changed;
    unsigned waiting = 0;  ///< tasks that refer to it
  };
  struct HashOfKey {
    std::size_t operator()(std::string_view key) const noexcept { return key_hash(as_bytes(key)); }
  };
  static constexpr std::size_t marks_count = 1024;

  Lock* find(Bytes key) const noexcept;
  Lock& find_or_add(const StoredKey& key);
  void take(Lock& lock, LockOwner owner);
  void drop_if_unused(Lock& lock) noexcept;
  bool held_back(Sequence at) const noexcept { return at != sequence_max && at >= held_from_; }
  Lock* hidden(Bytes key, Sequence at) const noexcept;
  Lock* hidden_in(Bytes first, Bytes last, Sequence at) const noexcept;
  Lock* blocking(std::span<const Write> writes) const noexcept;
  Task<Result<>> wait(Lock& lock);
  Task<Result<>> wait_while(std::function<Lock*()> hidden, Sequence at);
  Task<Result<>> wait_for_holder(Lock& lock, Instant deadline);
  void mark(std::uint64_t hash, int change) noexcept;

  std::unordered_map<std::string_view, std::unique_ptr<Lock>, HashOfKey>
      locks_;  // by a view of their own key
  std::unordered_map<LockOwner, std::vector<Lock*>> held_;
  std::size_t committing_ = 0;         // locks that keep readers waiting
  Sequence held_from_ = sequence_max;  // by a hold
  Condition released_;                 // it has gone
  LockOwner acting_ = no_owner;
  bool ended_ = false;                                           // end_waiting()
  std::array<std::atomic<std::uint32_t>, marks_count> marks_{};  // of those, by hash
};

class LockTable::ActAs {
 public:
  ActAs(LockTable& locks, LockOwner owner) noexcept : locks_(locks) { locks.acting_ = owner; }
  ActAs(const ActAs&) = delete;
  ActAs& operator=(const ActAs&) = delete;
  ~ActAs() { locks_.acting_ = no_owner; }

 private:
  LockTable& locks_;
};

class LockTable::SnapshotHold {
 public:
  SnapshotHold(LockTable& locks, Sequence from) noexcept : locks_(locks) {
    assert(locks.held_from_ == sequence_max);
    locks.held_from_ = from;
  }
  SnapshotHold(const SnapshotHold&) = delete;
  SnapshotHold& operator=(const SnapshotHold&) = delete;
  ~SnapshotHold() {
    locks_.held_from_ = sequence_max;
    locks_.released_.notify_all();
  }

 private:
  LockTable& locks_;
};

}  // namespace ashlar::kv
