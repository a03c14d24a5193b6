#pragma once

/// Sources merged into one order.
///
/// A tree of losers (Knuth, volume 3, 5.4.1): the winner's next entry is played against the losers on its
/// path to the root, one comparison for each level. Each source's key is at hand as a number of its first 16
/// bytes, so that a comparison looks at keys only where those agree. The best of the losers on the winner's
/// path is remembered: a source that stays in front, as the largest of them mostly does, costs a single
/// comparison.

#include <cstdint>
#include <vector>

#include "ashlar/kv/lsm/source.h"

namespace ashlar::lsm {

/// The first 16 bytes of a key as numbers that order as they do, short ones padded with zeroes.
struct KeyHead {
  std::uint64_t high = 0, low = 0;
  bool operator==(const KeyHead&) const = default;
};

/// All sources merged: every version of every key, in order of the direction (forward: newest version of a
/// key first; backward: exactly the reverse). Where sources miss blocks it says so; the caller gives them all
/// and goes on. Owner shard; the sources' memtables and tables outlive it. Copies no keys.
class Merge {
 public:
  explicit Merge(Direction direction, ReadPolicy policy = {}) noexcept
      : direction_(direction), policy_(policy) {}

  void add(Memtable& memtable) { sources_.emplace_back(memtable, direction_); }
  void add(std::vector<TableFile*> tables) { sources_.emplace_back(std::move(tables), direction_, policy_); }

  /// After every add(); again for another place. As RunIterator::start().
  SourceState start(Bytes key, Bytes bound = {});
  SourceState next();
  SourceState state() const noexcept { return state_; }
  /// In state entry: the front of the merge, valid until the next call of next().
  const Entry& entry() const noexcept { return sources_[winner_].entry(); }
  /// Of that entry's key: two that differ are of two keys.
  const KeyHead& head() const noexcept { return heads_[winner_]; }
  /// In state need_block: goes on as far as memory has the blocks.
  SourceState provide_cached();
  /// In state need_block: reads every block that is wanted, all at once, and goes on.
  Task<Result<>> load();

 private:
  bool before(std::uint32_t a, std::uint32_t b) const noexcept {
    const KeyHead &x = heads_[a], &y = heads_[b];
    if (x.high != y.high) [[likely]]
      return x.high < y.high;
    if (x.low != y.low) return x.low < y.low;
    return before_in_full(a, b);
  }
  bool before_in_full(std::uint32_t a, std::uint32_t b) const noexcept;
  void note_head(std::uint32_t source) noexcept;
  void build() noexcept;
  void replay() noexcept;
  SourceState resume();

  Direction direction_;
  ReadPolicy policy_;
  std::vector<Source> sources_;
  std::vector<KeyHead> heads_;  // complemented where the walk goes backwards; all ones where it has ended
  std::vector<std::uint32_t>
      losers_;  // [i]: who lost at node i of the tree, whose leaves are count … 2 count - 1
  std::uint32_t winner_ = 0, runner_up_ = 0;
  std::vector<std::uint32_t> missing_;  // those that need a block
  bool built_ = false;
  SourceState state_ = SourceState::end;
};

}  // namespace ashlar::lsm
