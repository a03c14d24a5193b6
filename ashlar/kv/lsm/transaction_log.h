#pragma once

/// What one partition remembers of transactions across partitions: those that it has prepared, and the
/// commits that another participant may still ask for. Rules: docs/formats/transaction.md, "Who knows the
/// outcome".

#include <deque>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "ashlar/kv/lsm/store_state.h"
#include "ashlar/kv/lsm/transaction_record.h"

namespace ashlar::lsm {

/// One transaction, as the log of this partition knows it.
struct TransactionTrace {
  kv::TransactionId id;
  std::vector<kv::PartitionId> participants;
  std::uint64_t prepare_index = 0;  ///< of its prepare record; 0: it is not in the log any more
  std::uint64_t commit_index = 0;   ///< of its newest commit record; 0: none
  std::uint64_t applied_index = 0;  ///< of the commit record at which its entries went into a memtable
  bool committed = false;
  bool straddles = false;  ///< a memtable was frozen after the prepare record and before the commit record
  /// What it writes, until it is decided: of one in doubt, as recovery found it; of others only where it is
  /// not what the caller of decide() has.
  std::vector<std::byte> batch = {};
};

/// What a participant says of one transaction when the partitions of a store are joined.
struct TransactionVote {
  kv::TransactionId id;
  std::vector<kv::PartitionId> participants;
  bool committed;  ///< else in doubt
};

/// The writes of a transaction in doubt. Views of its trace, which stays where it is; movable.
class InDoubtWrites {
 public:
  static Result<InDoubtWrites> decode(const TransactionTrace& trace);
  std::span<const kv::Write> writes() const noexcept { return writes_; }

 private:
  std::deque<StoredKey> keys_;  // stays in place
  std::vector<kv::Write> writes_;
};

/// Owner: the partition's shard. Every step is O(log n) of the transactions it remembers.
class TransactionLog {
 public:
  bool empty() const noexcept { return traces_.empty(); }
  TransactionTrace* find(const kv::TransactionId& id) noexcept;
  void add(TransactionTrace trace);
  /// Its first commit record is at `index`, with this sequence of the partition.
  void commit(TransactionTrace& trace, std::uint64_t index, Sequence record);
  void erase(const kv::TransactionId& id) noexcept;

  /// The log has everything up to here. What the floor becomes must be told before forget().
  void settle(Sequence durable) noexcept;
  /// What the others must know of: see UndecidedFloors.
  Sequence undecided_floor() const noexcept {
    return undecided_.empty() ? kv::sequence_max : *undecided_.begin();
  }
  /// The memtable was frozen: what is undecided will be in a later one than its prepare record.
  void freeze() noexcept;
  /// Forgets what every participant has durably decided. A prepare record that is the only one to have what a
  /// later memtable holds is not forgotten before that is in tables, with all that stands before `in_tables`.
  void forget(const UndecidedFloors& floors, std::uint64_t in_tables) noexcept;

  /// The first log record that is needed still, where a flush has put what stands before `log_end` into
  /// tables.
  std::uint64_t log_needed(std::uint64_t log_end) const noexcept;
  /// Commits that are in tables, and whose record stands before `index`.
  std::vector<TransactionTrace*> left_behind(std::uint64_t index);
  /// All, by sequence.
  std::vector<TransactionTrace*> all();

 private:
  using Key = std::pair<Sequence, kv::LockOwner>;
  static Key key_of(const kv::TransactionId& id) noexcept { return {id.sequence, id.number}; }

  std::map<Key, TransactionTrace> traces_;
  std::multiset<Sequence> undecided_;                // sequences of those whose outcome is not durable
  std::deque<std::pair<Sequence, Key>> committing_;  // by their commit records, which are not durable yet
};

}  // namespace ashlar::lsm
