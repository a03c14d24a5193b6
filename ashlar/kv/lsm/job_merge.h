#pragma once

/// Merges the inputs of a job: every version of every key, keys ascending, the newest version of a key first.
///
/// A tree of losers: each step replays the path of the input that moved, one comparison a level. Inputs are
/// compared by eight bytes of their keys beyond what all have in common, which decides nearly always.

#include <deque>
#include <variant>
#include <vector>

#include "ashlar/kv/lsm/memtable.h"
#include "ashlar/kv/lsm/run_input.h"

namespace ashlar::lsm {

/// One task, on any shard. Lifecycle: every add(), start(), next() and, where that says so, fetch(), until
/// done; close() is awaited before it is destroyed. Memtables, tables and home outlive it.
class JobMerge {
 public:
  /// `span`: of tables, what lies outside is left out; memtables are taken whole.
  explicit JobMerge(const JobHome& home, const KeySpan& span = {}) noexcept : home_(home), span_(span) {}

  void add(Memtable& memtable) { memtables_.push_back(&memtable); }
  /// Disjoint and in order.
  void add(std::vector<TableFile*> run);

  Task<Result<>> start();
  bool done() const noexcept { return inputs_.empty() || !entry_of(winner_); }
  /// Where not done: valid until the next call of next().
  const Entry& entry() const noexcept { return *entry_of(winner_); }
  /// Where it stands: table and offset of its block; nowhere, where that is memory.
  ErrorPlace place() const noexcept;
  /// To the next entry. False: fetch() must be awaited first.
  bool next();
  /// Errors as RunInput::fetch() has them.
  Task<Result<>> fetch();
  /// Waits for reads that are under way.
  Task<> close();

 private:
  struct Memory {
    Memtable::Iterator at;
    Entry entry;
  };
  struct Input {
    explicit Input(Memtable& memtable) : source(Memory{Memtable::Iterator(memtable), {}}) {}
    Input(std::vector<TableFile*> run, const JobHome& home, const InputWindow& window, const KeySpan& span)
        : source(std::in_place_type<RunInput>, std::move(run), home, window, span) {}

    std::variant<Memory, RunInput> source;
    const Entry* entry = nullptr;  // null: at its end
    std::uint64_t head = 0;        // of the entry's key
  };

  const Entry* entry_of(std::size_t input) const noexcept { return inputs_[input].entry; }
  bool before(std::size_t a, std::size_t b) const noexcept;
  void take(Input& input) noexcept;
  void take_run(Input& input, RunInput& run) noexcept;
  void replay(std::size_t input) noexcept;
  void build() noexcept;
  void find_common() noexcept;

  const JobHome& home_;
  KeySpan span_;
  std::vector<Memtable*> memtables_;
  std::vector<std::vector<TableFile*>> runs_;
  std::deque<Input> inputs_;         // they do not move
  std::vector<std::size_t> losers_;  // of each match; [0] is not used
  std::size_t winner_ = 0;
  std::size_t common_ = 0;  // bytes that all keys begin with
};

}  // namespace ashlar::lsm
