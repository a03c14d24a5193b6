#pragma once

/// Reads and writes of one partition as one step, optimistically: what was read must be unchanged at commit.
/// A transaction that never suspended between its first read and its commit cannot fail; one that had to read
/// from the device may, and then runs again, with what it needs in memory.
///
///   for (;;) {
///     Transaction step(partition);
///     auto old = CO_TRY(co_await step.get(key));
///     step.put(key, increment(old));
///     auto ticket = step.commit(Durability::durable);
///     if (!ticket && ticket.error().code == Errc::conflict) continue;
///     …co_await *ticket…
///   }

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "ashlar/kv/partition.h"

namespace ashlar::kv {

/// Owner shard only; used by one task, for one attempt. Nothing is written before commit().
class Transaction {
 public:
  /// What its reads cost is added to `receipt`, if any.
  explicit Transaction(Partition& partition, Receipt* receipt = nullptr) noexcept
      : partition_(partition),
        begin_(partition.last_sequence()),
        now_ms_(partition.now_ms()),
        receipt_(receipt) {}
  /// Continues what began at `begin`: a key counts as changed if it was written after that (Redis' WATCH).
  Transaction(Partition& partition, Sequence begin) noexcept
      : partition_(partition), begin_(begin), now_ms_(partition.now_ms()) {}

  /// What this transaction wrote to the key, else the partition's newest version, durable or not: commit()'s
  /// ticket covers it. `key` must live until the transaction ends. Suspends only where a device must be read.
  class Read;
  Read get(const StoredKey& key) noexcept;
  /// Makes a later commit fail if the key was written since the transaction began.
  void watch(const StoredKey& key) { watched_.push_back(key.hash()); }

  /// Keys must live until commit(); values are copied.
  void put(const StoredKey& key, Bytes value, std::uint64_t expiry_ms = no_expiry);
  void erase(const StoredKey& key);
  /// Every key of the partition is absent from here on, but for what is written after it.
  void clear();
  std::size_t write_count() const noexcept { return writes_.size(); }
  std::span<const Write> writes() const noexcept { return writes_; }

  /// Appends all writes as one batch, or fails with `conflict` where a key that was read or watched has
  /// changed, or is about to, and with `busy` where another transaction has locked a key that is written:
  /// wait on writes() before the next attempt. The ticket covers what was read too, so that no answer rests
  /// on what may vanish; with nothing read and nothing written it is settled. Errors of Partition::append()
  /// otherwise.
  Result<Ticket> commit(const WriteOptions& options);
  Result<Ticket> commit(Durability durability) { return commit(WriteOptions{.durability = durability}); }

  std::uint64_t now_ms() const noexcept { return now_ms_; }

 private:
  const Write* written(const StoredKey& key) const noexcept;
  void write(const Write& write);
  void index(std::uint32_t position) noexcept;

  Partition& partition_;
  Sequence begin_;
  std::uint64_t now_ms_;
  Receipt* receipt_ = nullptr;
  Sequence seen_;                       // newest version any read rested on
  std::vector<std::uint64_t> watched_;  // hashes of keys read
  std::vector<Write> writes_;           // at most one per key
  bool cleared_ = false;                // before all of `writes_`
  std::vector<std::uint32_t> index_;    // of many writes: by hash, open addressing, position + 1 or 0
  std::deque<std::string> values_;      // stable storage of what writes_ refer to
};

/// Awaiter of Transaction::get().
class Transaction::Read {
 public:
  Read(Transaction& transaction, const StoredKey& key) noexcept
      : transaction_(transaction),
        key_(key),
        get_(transaction.partition_, key,
             {.durability = Durability::none,
              .now_ms = transaction.now_ms_,
              .receipt = transaction.receipt_}) {}
  bool await_ready() noexcept;
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> suspended) {
    return get_.await_suspend(suspended);
  }
  Result<std::optional<Value>> await_resume();

 private:
  Transaction& transaction_;
  const StoredKey& key_;
  Get get_;
  const Write* own_ = nullptr;
  bool cleared_ = false;
};

inline Transaction::Read Transaction::get(const StoredKey& key) noexcept {
  return Read(*this, key);
}

/// Sets `key` to `desired` (nothing: erases it) if it holds `expected` (nothing: is absent). True: it was so
/// and is durable as asked. False: it was not, and what was found instead is durable. `timed_out` where
/// another's lock or the log keep it until the deadline; what was written may still become durable.
/// `on_commit` hears of what was written, if anything was: then `ordered` is set to true. Keys and views must
/// outlive the task.
Task<Result<bool>> compare_and_swap(Partition& partition, const StoredKey& key, std::optional<Bytes> expected,
                                    std::optional<Bytes> desired, WriteOptions options = {},
                                    bool* ordered = nullptr);

}  // namespace ashlar::kv
