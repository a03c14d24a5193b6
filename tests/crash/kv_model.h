#pragma once

/// What a store was asked to hold, and what it has promised: the oracle of the power-cut tests.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ashlar/kv/key.h"

namespace ashlar::crash {

using kv::Sequence;

/// A key's state: a value, or nothing, since a sequence.
struct Version {
  Sequence sequence;
  std::optional<std::string> value;
  bool operator==(const Version&) const = default;
};

/// A stored key as the model knows it.
std::string text_of(const kv::StoredKey& key);

/// What a partition holds, by stored key.
using State = std::map<std::string, Version>;
/// The first difference of two states, for messages; empty where they are the same.
std::string difference(const State& found, const State& expected);

/// One change of a batch.
struct Change {
  std::string key;
  std::optional<std::string> value;
};

/// A value tells when it expires, so that an expiry which is lost or mixed up shows: it begins with a number,
/// then `f` where it expires in the far future, or `x` and the life of its machine in whose middle of the
/// night it expires, and a colon.
std::uint64_t expiry_of(std::string_view value);
/// Lives of a machine begin so far apart. What expires does so half-way between, never while it runs.
constexpr std::uint64_t life_ms = std::uint64_t{12} * 3600 * 1000;
constexpr std::uint64_t first_life_ms = 1'700'000'000'000;

/// Keeps every write since the partition was opened, in order, with the state before them. Promises are
/// acknowledged writes, and whatever a read has shown: both must survive. What a restart finds must be the
/// state after some prefix of the writes that contains all promises; so that no acknowledged write is
/// missing, none is half there, and none overtook another.
///
/// A transaction over several partitions is no part of that order: it is there as a whole, or not at all. It
/// is staged before it commits, and open until something tells that it is committed.
class PartitionModel {
 public:
  void append(Sequence sequence, std::vector<Change> changes);
  /// Every key is absent from here on.
  void clear(Sequence sequence);
  void promise(Sequence up_to) { promised_ = std::max(promised_, up_to); }
  Sequence promised() const noexcept { return promised_; }

  /// This partition's part of a transaction that is about to commit.
  void stage(std::uint64_t transaction, std::vector<Change> changes);
  /// It is committed, at this sequence, and must survive.
  void reveal(std::uint64_t transaction, Sequence at);
  /// It wrote nothing.
  void withdraw(std::uint64_t transaction) { staged_.erase(transaction); }
  /// Whether an open transaction writes the key: then its state is one of two.
  bool open(const std::string& key) const;
  /// The open transaction that writes this value to the key.
  std::optional<std::uint64_t> writer_of(const std::string& key, const std::string& value) const;

  /// All that were ever heard of, in order.
  std::vector<std::string> keys() const;
  /// The newest state of a key, and its state at a sequence.
  const Version* newest(const std::string& key) const;
  const Version* at(const std::string& key, Sequence sequence) const;
  /// All that is present at a sequence.
  State all_at(Sequence sequence) const;
  /// Whether anything was written to the key after `since` and before `until`.
  bool written_between(const std::string& key, Sequence since, Sequence until) const;

  /// A scan at `sequence` found this in the range; an empty `last` has no end.
  testing::AssertionResult scanned(const State& found, Sequence sequence, const std::string& first = "",
                                   const std::string& last = "") const;
  /// The transactions that are known to be committed.
  std::set<std::uint64_t> committed() const;
  /// The same of all keys of a copy, which decides for itself what was not `committed` when it began.
  testing::AssertionResult copied(State found, Sequence sequence,
                                  const std::set<std::uint64_t>& committed) const;
  /// A read began when `since` was promised, and has shown `value` with the sequence that decided (zero where
  /// the engine knew of none). Makes it a promise.
  testing::AssertionResult shown(const std::string& key, const std::optional<std::string>& value,
                                 Sequence seen, Sequence since);

  /// The keys of this type are gone, and not looked at any more. While nothing is written.
  void forget(std::uint8_t type);

  /// What a restart found, at a wall clock. Takes it over as the state that the next life begins with.
  testing::AssertionResult adopt(const State& found, std::uint64_t now_ms);

 private:
  struct Write {
    Sequence sequence;
    bool clear;
    std::vector<Change> changes;
  };
  struct Staged {
    std::vector<Change> changes;
    std::optional<Sequence> at;  // nothing: open
  };
  class Comparison;

  State base_;
  std::vector<Write> writes_;
  std::map<std::uint64_t, Staged> staged_;
  std::map<std::string, std::vector<Version>> versions_;  // of each key, oldest first; the base's first
  Sequence promised_;
};

/// The models of all partitions of a store, and its transactions.
class StoreModel {
 public:
  explicit StoreModel(std::size_t partitions = 1) : partitions_(partitions) {}

  std::size_t size() const noexcept { return partitions_.size(); }
  PartitionModel& partition(std::size_t id) { return partitions_[id]; }
  const PartitionModel& partition(std::size_t id) const { return partitions_[id]; }

  /// Of the column families that there are, the types of their keys.
  using Families = std::set<std::uint8_t>;
  const Families& families() const noexcept { return families_; }
  void set_families(Families families) { families_ = std::move(families); }
  void drop_family(std::uint8_t type);
  /// Not of a dropped family: what is left of those nobody asks for, nor says when it goes.
  bool counts(const std::string& key) const;

  /// A transaction is about to commit these changes, by partition. Returns its number.
  std::uint64_t stage(const std::map<std::size_t, std::vector<Change>>& parts);
  void reveal(std::uint64_t transaction, Sequence at);
  void withdraw(std::uint64_t transaction);
  /// A read found this: if an open transaction wrote it, the transaction is committed.
  void saw(std::size_t partition, const std::string& key, const std::string& value, Sequence at);
  void saw(std::size_t partition, const State& found);

  /// As for one partition: what a restart found in each. Open transactions are then decided.
  testing::AssertionResult adopt(const std::vector<State>& found, std::uint64_t now_ms);

 private:
  std::vector<PartitionModel> partitions_;
  Families families_;
  std::uint64_t last_transaction_ = 0;
  std::map<std::uint64_t, std::vector<std::size_t>> open_;  // partitions of each
};

}  // namespace ashlar::crash
