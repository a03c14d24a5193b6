#pragma once

/// What a partition was asked to hold, and what it has promised: the oracle of the power-cut tests.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
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

/// What a partition holds, by stored key.
using State = std::map<std::string, Version>;
/// The first difference of two states, for messages; empty where they are the same.
std::string difference(const State& found, const State& expected);

/// One change of a batch.
struct Change {
  std::string key;
  std::optional<std::string> value;
};

/// Keeps every write since the partition was opened, in order, with the state before them. Promises are
/// acknowledged writes, and whatever a read has shown: both must survive. What a restart finds must be the
/// state after some prefix of the writes that contains all promises; so that no acknowledged write is
/// missing, none is half there, and none overtook another.
class PartitionModel {
 public:
  void append(Sequence sequence, std::vector<Change> changes);
  /// Every key is absent from here on.
  void clear(Sequence sequence);
  void promise(Sequence up_to) { promised_ = std::max(promised_, up_to); }
  Sequence promised() const noexcept { return promised_; }

  /// The newest state of a key, and its state at a sequence.
  const Version* newest(const std::string& key) const;
  const Version* at(const std::string& key, Sequence sequence) const;
  /// All that is present at a sequence.
  State all_at(Sequence sequence) const;

  /// A read began when `since` was promised, and has shown `value` with the sequence that decided (zero where
  /// the engine knew of none). Makes it a promise.
  testing::AssertionResult shown(const std::string& key, const std::optional<std::string>& value,
                                 Sequence seen, Sequence since);

  /// What a restart found. Takes it over as the state that the next life begins with.
  testing::AssertionResult adopt(const State& found);

  std::size_t writes() const noexcept { return writes_.size(); }

 private:
  struct Write {
    Sequence sequence;
    bool clear;
    std::vector<Change> changes;
  };

  State base_;
  std::vector<Write> writes_;
  std::map<std::string, std::vector<Version>> versions_;  // of each key, oldest first; the base's first
  Sequence promised_;
};

}  // namespace ashlar::crash
