#pragma once

/// A partition: the unit of ordering, atomicity and ownership in a key-value store. One log, one sequence of
/// writes, one owner shard (D2, D3). The interface that engines implement and servers call.
///
///   auto value = CO_TRY(co_await partition.get(key));                  // no suspension where memory has the
///   answer Ticket ticket = TRY(partition.append({.key = &key, .value = v}));  // ordered and visible to
///   later writes CO_TRY(co_await ticket);                                           // durable

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "ashlar/base/intrusive_list.h"
#include "ashlar/base/result.h"
#include "ashlar/kv/key.h"
#include "ashlar/kv/lock_table.h"
#include "ashlar/kv/partition_stats.h"
#include "ashlar/kv/partitioner.h"
#include "ashlar/kv/read.h"
#include "ashlar/kv/ticket.h"
#include "ashlar/kv/write_options.h"
#include "ashlar/runtime/task/task.h"

namespace ashlar {
class IoBuffer;
}

namespace ashlar::kv {

/// One change of one key. Views: they must live until append() returns.
struct Write {
  const StoredKey* key = nullptr;  ///< null in a clear only; of an erase_range, where it begins
  Bytes value;                     ///< of an erase_range, its end
  Kind kind = Kind::put;
  std::uint64_t expiry_ms = no_expiry;
  /// Of a put: a buffer of the partition's shard that `value` fills from its start. An append that succeeds
  /// may take it over, which leaves it empty, instead of copying the value into memory; it does for values
  /// from 4 KiB on that fill half of it. Copied into the log it is in any case.
  IoBuffer* buffer = nullptr;
};

/// Names a transaction across partitions. Format: docs/formats/transaction.md.
struct TransactionId {
  LockOwner number = no_owner;  ///< random
  Sequence sequence;            ///< of all that it writes
  bool operator==(const TransactionId&) const = default;
};

/// One participant's part of such a transaction. Views: they must live until it is decided.
struct Prepare {
  TransactionId id;
  std::span<const PartitionId> participants;  ///< ascending
  std::span<const Write> writes;
  Receipt* receipt = nullptr;  ///< of this part alone: what its records cost is added here
};

enum class Outcome : std::uint8_t { committed = 1, aborted = 2 };

/// Awaiter of one look-up: suspends only where a device must be read or durability waited for.
class Get {
 public:
  Get(Partition& partition, const StoredKey& key, ReadOptions options) noexcept
      : partition_(partition), read_{.key = &key, .options = options} {}
  bool await_ready() noexcept;
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> suspended);
  Result<std::optional<Value>> await_resume() noexcept { return std::move(read_.result); }
  Sequence seen() const noexcept { return read_.seen; }

 private:
  Partition& partition_;
  Read read_;
  Task<> miss_;
};

/// Awaiter of several look-ups: what memory has not is read from the device together.
class MultiGet {
 public:
  MultiGet(Partition& partition, std::span<Read> reads) noexcept : partition_(partition), reads_(reads) {}
  bool await_ready() noexcept;
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> suspended);
  void await_resume() const noexcept {}

 private:
  Partition& partition_;
  std::span<Read> reads_;
  Task<> misses_;
};

/// Lifecycle: opened by an engine on its owner shard, closed there before the shard ends. Everything here is
/// owner shard only, except peek(). Invariants: sequences of append() strictly increase; entries become
/// durable in that order; nothing beyond durable_sequence() is shown to a reader that did not waive
/// durability.
class Partition {
 public:
  Partition() = default;
  Partition(const Partition&) = delete;
  Partition& operator=(const Partition&) = delete;
  virtual ~Partition();

  /// The newest value of `key` that `options` allow, or nothing. `key` must outlive the await.
  Get get(const StoredKey& key, ReadOptions options = {}) noexcept { return Get(*this, key, options); }
  /// Fills in each read's result. The reads need not agree on options.
  MultiGet multi_get(std::span<Read> reads) noexcept { return MultiGet(*this, reads); }
  /// A hint, which changes nothing: these keys are about to be read (`values`) or written. The engine fetches
  /// what they will touch, for all of them at once.
  virtual void expect(std::span<const StoredKey* const> keys, bool values) const noexcept;
  /// Never null. The first next() positions it.
  virtual std::unique_ptr<Cursor> scan(const ScanOptions& options) = 0;

  /// Orders a batch, all or nothing, after every append before it; later reads that waive durability see it
  /// at once. `too_large` beyond value_bytes_max in all, `no_space` while the disk is full (an erase may
  /// still succeed) or a damaged table keeps compaction from making room (its `corrupt`), `stopped` after a
  /// failed log write, `closed`, `busy` where another holds the lock of a key (locks().writable() waits for
  /// it). On an error nothing was done. An empty batch is settled at once.
  virtual Result<Ticket> append(std::span<const Write> writes, const WriteOptions& options) = 0;
  Result<Ticket> append(std::span<const Write> writes, Durability durability) {
    return append(writes, WriteOptions{.durability = durability});
  }
  Result<Ticket> append(const Write& write, Durability durability = Durability::durable) {
    return append({&write, 1}, durability);
  }
  Result<Ticket> append(const Write& write, const WriteOptions& options) {
    return append({&write, 1}, options);
  }
  /// Every key from `first` (included) to `end` (excluded; empty: the end of all keys) is absent from here
  /// on, but for what is written after it; both in stored form (key_range.h makes some). One record of the
  /// log, whatever it covers. `invalid` where the range is empty.
  Result<Ticket> erase_range(Bytes first, Bytes end, const WriteOptions& options = {});
  /// Appends and waits until it is acknowledged: errors of both. `timed_out` where the deadline has passed
  /// before (nothing was done) or passes meanwhile (the write is ordered, and may become durable). What
  /// `writes` refers to must live until it ends.
  Task<Result<Sequence>> write(std::span<const Write> writes, WriteOptions options = {});
  /// A ticket that settles when everything appended so far is durable.
  Ticket sync() noexcept;

  /// Row locks, and keys whose readers wait for the outcome of a transaction.
  LockTable& locks() noexcept { return locks_; }
  const LockTable& locks() const noexcept { return locks_; }

  /// The steps of a commit across partitions, as kv/commit.h takes them; the owner of the locks is id.number.
  ///
  /// A sequence above every one that was written or shown a snapshot of here, and not below `seen`.
  virtual Sequence reserve(Sequence seen) noexcept = 0;
  /// Orders the prepare record. Once the ticket has settled, the part survives power loss. Errors of
  /// append().
  virtual Result<Ticket> prepare(const Prepare& part) = 0;
  /// Ends what prepare() began, if it did: orders the outcome record, and where it is committed makes the
  /// writes visible and releases the locks of the transaction, in one step. After an abort the caller
  /// releases them, once the record's ticket has settled. A partition that has stopped does without a record.
  /// `no_memory`, `no_space`: not yet, try again soon.
  virtual Result<Ticket> decide(const Prepare& part, Outcome outcome) = 0;

  /// Any thread, inside an epoch: true where memory decides, and what it found is shown to every reader;
  /// false where the owner must be asked, and where the partition is closed. Options with a snapshot are the
  /// owner's business.
  virtual bool peek(const StoredKey& key, Durability durability, Peek& found) const noexcept = 0;

  /// Whether a key with this hash may have been written after `since`. Never false where one was.
  bool changed_since(std::uint64_t hash, Sequence since) const noexcept {
    return last_write_[hash % conflict_slots] > since;
  }
  /// Whether a version with the sequence `seen` was not there yet for a reader at `since`, above that.
  bool appeared_after(Sequence seen, Sequence since) const noexcept;
  /// The newest sequence appended.
  Sequence last_sequence() const noexcept { return last_sequence_; }
  /// Everything up to here survives power loss. Any thread.
  Sequence durable_sequence() const noexcept { return Sequence{durable_.load(std::memory_order_acquire)}; }
  /// Why writes fail until the partition is reopened; nothing while they work.
  const std::optional<Error>& stop_reason() const noexcept { return stop_reason_; }
  virtual std::uint64_t now_ms() const noexcept = 0;
  virtual PartitionStats stats() const noexcept = 0;

 protected:
  /// Settles `read` where memory can; false where start() must go on.
  virtual bool look_up(Read& read) noexcept = 0;
  /// The same for each; whether all are settled.
  virtual bool look_up_all(std::span<Read> reads) noexcept;
  virtual Task<> look_up_on_device(Read& read) = 0;
  virtual Task<> look_up_on_device(std::span<Read> reads) = 0;
  /// Someone waits for `sequence`, which was written with less than Durability::durable: make it durable
  /// soon.
  virtual void hurry(Sequence sequence) noexcept = 0;

  void appended(Sequence sequence, std::span<const Write> writes) noexcept;
  /// Older writes have become visible now, of a transaction that was decided: at the sequence `at`.
  void revealed(std::span<const Write> writes, Sequence at) noexcept;
  /// The same where nobody says which writes: they have the sequence `written`. `at`, which was appended, is
  /// above what any reader has that may have missed them.
  void revealed(Sequence written, Sequence at);
  /// Calls back once `sequence`, the newest, is settled.
  void call_back(CommitCallback& callback, Sequence sequence) noexcept;
  /// Nothing will become durable any more: the callbacks that are left hear so.
  void fail_callbacks(const Error& why) noexcept;
  /// The log has everything up to `sequence`: wakes who waited for it.
  void settle(Sequence sequence) noexcept;
  /// The log failed: every ticket beyond durable_sequence() fails.
  void stop(const Error& why) noexcept;
  /// While set, tickets do not settle: memory or log are used up.
  void set_stalled(bool stalled) noexcept;
  bool stalled() const noexcept { return stalled_; }
  /// Snapshots of the store are taken on this clock; it outlives the partition. Before the first append.
  void keep_for(const StoreClock& clock) noexcept { store_clock_ = &clock; }
  /// Tickets at or beyond this sequence do not settle yet; sequence_max holds none back. How writers are
  /// slowed down to what flush and compaction can do.
  void hold_from(Sequence sequence) noexcept;
  /// The oldest snapshot's sequence, and the earliest "now" of any: not always the oldest one's, because a
  /// wall clock may step back. The newest sequence and the wall clock where there is none.
  struct SnapshotHorizon {
    Sequence sequence;
    std::uint64_t now_ms;
  };
  SnapshotHorizon snapshot_horizon() noexcept;
  /// A snapshot has ended: what only it could see may be dropped.
  virtual void snapshot_released() noexcept {}
  /// What recovery found, before the first append.
  void restore(Sequence sequence) noexcept;

 private:
  friend class Get;
  friend class MultiGet;
  friend class Snapshot;
  friend class Ticket;
  friend class Ticket::Awaiter;
  static constexpr std::size_t conflict_slots = 4096;

  void wake() noexcept;

  struct Late {
    Sequence written, at;
  };

  Sequence last_sequence_;
  std::vector<Late> late_;  // what became visible after its sequence
  bool stalled_ = false;
  Sequence held_from_ = sequence_max;
  std::optional<Error> stop_reason_;
  IntrusiveList<Ticket::Awaiter> waiting_;   // ascending by sequence
  IntrusiveList<CommitCallback> callbacks_;  // ascending by sequence
  IntrusiveList<Snapshot> snapshots_;
  const StoreClock* store_clock_ = nullptr;
  LockTable locks_;
  std::unique_ptr<Sequence[]> last_write_ = std::make_unique<Sequence[]>(conflict_slots);
  alignas(64) std::atomic<std::uint64_t> durable_{0};
};

inline bool Ticket::settled() const noexcept {
  if (partition_ == nullptr || partition_->stop_reason_) return true;
  const bool enough = durability_ != Durability::durable || sequence_ <= partition_->durable_sequence();
  return enough && !(paced_ && (partition_->stalled_ || sequence_ >= partition_->held_from_));
}
inline Ticket::Awaiter Ticket::operator co_await() const noexcept {
  return Awaiter(*this);
}
inline Ticket::Awaiter Ticket::until(Instant deadline) const noexcept {
  return Awaiter(*this, deadline);
}

inline bool Get::await_ready() noexcept {
  return partition_.look_up(read_);
}

}  // namespace ashlar::kv
