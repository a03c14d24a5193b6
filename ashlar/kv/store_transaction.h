#pragma once

/// Transactions over a whole store, whichever partitions and shards its keys are on.
///
///   StoreTransaction transfer(store);
///   auto from = CO_TRY(co_await transfer.get(a));
///   CO_TRY(co_await transfer.put(a, less(from)));
///   CO_TRY(co_await transfer.put(b, more(…)));
///   auto committed = co_await transfer.commit();
///   if (!committed && committed.error().code == Errc::conflict) …begin again…

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ashlar/kv/commit.h"
#include "ashlar/kv/store_scan.h"

namespace ashlar::kv {

enum class Isolation : std::uint8_t {
  /// Reads see one snapshot; the writes do not rest on it, and of two that write one key the later one
  /// counts.
  none,
  /// Reads see one snapshot; of two that write one key and overlap, the first to commit wins.
  snapshot,
  /// As if one after the other: what was read by key must be unchanged at commit, too. There is no scan: what
  /// it did not find could not be checked.
  serializable,
};

enum class Locking : std::uint8_t {
  optimistic,  ///< conflicts are found at commit
  row_locks,   ///< a key is locked when it is written or lock()ed, and others wait for it
};

struct TransactionOptions {
  Isolation isolation = Isolation::snapshot;
  Locking locking = Locking::optimistic;
  Durability durability = Durability::durable;  ///< of a commit in one partition; otherwise always durable
  /// Longest wait for a lock; it also ends deadlocks, which nothing else detects.
  Duration lock_wait = std::chrono::seconds(1);
  Instant deadline = never;  ///< for all waits together
};

/// Owner: one task, on the shard where it began. Lifecycle: begins with the constructor; ends with commit()
/// or rollback(), one of which must be awaited once a lock was taken. Nothing is written before commit(). Not
/// movable: its snapshot is registered.
class StoreTransaction {
 public:
  explicit StoreTransaction(Store& store, TransactionOptions options = {});
  StoreTransaction(const StoreTransaction&) = delete;
  StoreTransaction& operator=(const StoreTransaction&) = delete;
  ~StoreTransaction();

  /// What this transaction wrote to the key, else what the snapshot has. `key` outlives the task.
  Task<Result<std::optional<OwnedValue>>> get(const StoredKey& key);
  /// Several at once, in their order. `keys` outlive the task.
  Task<Result<std::vector<std::optional<OwnedValue>>>> multi_get(std::span<const StoredKey> keys);
  /// The range as the snapshot and this transaction have it, over all partitions, in order of stored keys.
  /// `unsupported` where it is serializable. The transaction outlives it.
  Result<std::unique_ptr<StoreScan>> scan(const StoreScanOptions& options);

  /// Key and value are copied. With row locks the key is locked first: `timed_out`, or `conflict` where it
  /// was written since the snapshot; the transaction can then only be rolled back.
  Task<Result<>> put(const StoredKey& key, Bytes value, std::uint64_t expiry_ms = no_expiry);
  Task<Result<>> erase(const StoredKey& key);
  /// An operand for the merge operator of the key's type. Nothing is read unless the key is; it conflicts as
  /// a put does.
  Task<Result<>> merge(const StoredKey& key, Bytes operand);
  /// The same without a lock: conflicts are found at commit, whatever the options say. A put, an erase or a
  /// merge.
  void stage(const Write& write);
  /// Locks a key until the end: nobody else writes it. The first lock renews the snapshot if nothing was
  /// read.
  Task<Result<>> lock(const StoredKey& key);
  /// Makes commit() fail if the key was written after `since`.
  void expect_unchanged(const StoredKey& key, Sequence since) { checks_.emplace_back(key, since); }

  /// A place to roll back to; locks are kept.
  using Savepoint = std::size_t;
  Savepoint savepoint() const noexcept { return undo_.size(); }
  void roll_back_to(Savepoint savepoint);

  /// All writes or none. `conflict`: nothing was written, and it may be tried again from the beginning. Other
  /// errors, and what the sequence says, as commit() in commit.h. Ends the transaction in any case.
  Task<Result<Sequence>> commit();
  /// Ends it; nothing was written.
  Task<> rollback();

  const Snapshot& snapshot() const noexcept { return *snapshot_; }
  std::uint64_t now_ms() const noexcept { return snapshot_->now_ms(); }

 private:
  friend class StoreScan;
  /// A put or an erase, if `kind` is no merge; then operands, the oldest first.
  struct Pending {
    StoredKey key;
    std::string value;
    Kind kind;
    std::uint64_t expiry_ms;
    std::vector<std::string> operands = {};
  };
  struct Undo {
    std::string key;
    std::optional<Pending> before;
    bool operand = false;  // it was added to what was there
  };
  using Writes = std::map<std::string, Pending, std::less<>>;  // by stored key

  const Pending* written(const StoredKey& key) const;
  Task<Result<>> write(const StoredKey& key, Bytes value, Kind kind, std::uint64_t expiry_ms);
  Task<Result<std::optional<OwnedValue>>> read(const StoredKey& key);
  Task<Result<OwnedValue>> merged(const Pending& own, const std::optional<OwnedValue>& stored);
  std::optional<OwnedValue> plain_value(const Pending& own) const;
  Instant lock_deadline() const noexcept;
  std::vector<CommitPart> parts() const;

  Store& store_;
  TransactionOptions options_;
  std::optional<Snapshot> snapshot_;
  bool used_ = false;  // the snapshot was read, or a lock checked against it
  LockOwner owner_ = no_owner;
  std::set<PartitionId> locked_;
  Writes writes_;
  std::vector<Undo> undo_;
  std::deque<std::pair<StoredKey, Sequence>> checks_;
};

}  // namespace ashlar::kv
