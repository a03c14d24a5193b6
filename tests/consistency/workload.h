#pragma once

/// What the history tests do to a store: transactions that append to lists, and reads and writes of single
/// keys, by tasks on every shard at once.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ashlar/base/random.h"
#include "ashlar/kv/store_transaction.h"
#include "tests/consistency/lists.h"
#include "tests/consistency/registers.h"

namespace ashlar::consistency {

/// One task, which does one thing after the other and records each. Owner: the shard it runs on.
class Worker {
 public:
  /// `number` is the worker's own in the history; `time_base` is added to every time.
  Worker(kv::Store& store, std::uint64_t number, std::uint64_t time_base, std::uint64_t seed)
      : store_(store), number_(number << 32), time_base_(time_base), random_(seed) {}

  /// Until it has done its share, or something failed as a store that stops lets it fail.
  Task<> run(unsigned rounds);

  /// What it saw, for the histories; whatever it does not know the end of has ended by `last`.
  void record(ListHistory& lists, RegisterHistory& registers, std::uint64_t last);
  /// An error that is none of those that concurrency and failing logs explain; nothing: there was none.
  const std::optional<std::string>& wrong() const noexcept { return wrong_; }
  std::uint64_t conflicts() const noexcept { return conflicts_; }

 private:
  struct Register {
    std::string key;
    RegisterOperation operation;
  };

  Task<> transact();
  Task<Result<>> do_reads(kv::StoreTransaction& step, ListTransaction& record);
  Task<Result<>> append(kv::StoreTransaction& step, ListTransaction& record);
  Task<> write_register();
  Task<> read_register();
  bool explains(const Error& error);
  std::uint64_t now() const;

  kv::Store& store_;
  std::uint64_t number_;  // of the newest value
  std::uint64_t time_base_;
  Random random_;
  std::vector<ListTransaction> transactions_;
  std::vector<Register> registers_;
  bool failed_ = false;
  std::uint64_t conflicts_ = 0;
  std::optional<std::string> wrong_;
};

/// All lists, in one snapshot.
Task<Result<std::map<std::string, List>>> read_lists(kv::Store& store);

/// Workers on shards 0 to shards − 1, until all have ended. The lists as they are then, where they can be
/// read.
struct Crowd {
  kv::Store& store;
  unsigned shards;
  unsigned workers;
  unsigned rounds;
  std::uint64_t first_number;  ///< of the workers, in the history
  std::uint64_t time_base;
  std::uint64_t seed;
};
/// `made` keeps the workers, so that what they did is known whatever becomes of the store.
Task<> run_crowd(Crowd crowd, std::vector<std::unique_ptr<Worker>>& made);

}  // namespace ashlar::consistency
