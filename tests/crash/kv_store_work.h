#pragma once

/// What the power-cut tests do to a whole store: transactions over its partitions, and scans of one snapshot
/// of all.

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "ashlar/base/random.h"
#include "ashlar/kv/store_transaction.h"
#include "ashlar/runtime/task/task.h"
#include "tests/crash/kv_model.h"

namespace ashlar::crash {

/// The keys that the tests use, by partition.
using Keys = std::vector<std::vector<kv::StoredKey>>;

/// One task. Owner: any shard; lives as long as the store is open.
class StoreWork {
 public:
  /// `number`: other tasks of this life have others.
  StoreWork(kv::Store& store, StoreModel& model, const Keys& keys, std::uint64_t seed, std::uint64_t number,
            std::uint64_t life)
      : store_(store), model_(model), keys_(keys), random_(seed), values_(number << 40), life_(life) {}

  /// Until its share is done or writing has failed.
  Task<> run(unsigned rounds);

  const testing::AssertionResult& verdict() const noexcept { return verdict_; }
  /// Calls of the store's interface: one for each read, write and commit of a transaction, one for a scan.
  std::uint64_t operations() const noexcept { return operations_; }
  std::uint64_t committed() const noexcept { return committed_; }

 private:
  struct Step;

  Task<> transact();
  Task<Result<>> do_reads(kv::StoreTransaction& transaction, Step& step);
  Task<Result<>> do_writes(kv::StoreTransaction& transaction, Step& step);
  void check_isolation(const Step& step, Sequence since, Sequence at);
  Task<> scan();
  void check(testing::AssertionResult result) {
    if (verdict_ && !result) verdict_ = std::move(result);
  }
  bool nothing_done(const Error& error);
  std::pair<std::size_t, const kv::StoredKey*> any_key();

  kv::Store& store_;
  StoreModel& model_;
  const Keys& keys_;
  Random random_;
  std::uint64_t values_;
  std::uint64_t life_;
  std::uint64_t operations_ = 0, committed_ = 0;
  bool failed_ = false;
  testing::AssertionResult verdict_ = testing::AssertionSuccess();
};

}  // namespace ashlar::crash
