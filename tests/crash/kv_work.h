#pragma once

/// What the power-cut tests do to one partition: everything that its interface offers, checked against a
/// model.

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "ashlar/base/random.h"
#include "ashlar/kv/partition.h"
#include "ashlar/kv/transaction.h"
#include "ashlar/runtime/sync/scope.h"
#include "ashlar/runtime/task/task.h"
#include "tests/crash/kv_model.h"

namespace ashlar::crash {

/// Owner: the partition's shard; lives as long as the partition is open. Every check that fails is kept as
/// the verdict.
class PartitionWork {
 public:
  /// `keys`: those that belong to the partition.
  PartitionWork(kv::Partition& partition, PartitionModel& model, std::vector<kv::StoredKey> keys,
                std::uint64_t seed)
      : partition_(partition), model_(model), keys_(std::move(keys)), random_(seed) {}

  /// Reads everything and asks the model whether it may be so. An error where reading failed: nothing is
  /// known then.
  Task<Result<>> verify();
  /// Writers and readers at once, until each has done its share or writing has failed.
  Task<> run(unsigned rounds);
  /// A look from outside of the partition's shard.
  void peek(Random& random);

  const testing::AssertionResult& verdict() const noexcept { return verdict_; }

 private:
  Task<> write(unsigned rounds);
  Task<bool> write_once();
  std::string make_operand(Change& change);
  Task<bool> transact();
  Task<bool> settle(kv::Ticket ticket);
  Task<> read(unsigned rounds);
  Task<> read_several(unsigned rounds);
  Task<> scan(unsigned rounds);
  Task<Result<State>> collect(kv::ScanOptions options);
  void check(testing::AssertionResult result) {
    if (verdict_ && !result) verdict_ = std::move(result);
  }
  bool going() const noexcept { return static_cast<bool>(verdict_) && !failed_; }
  const kv::StoredKey& any_key() { return keys_[random_.below(keys_.size())]; }
  void check_expiry(std::string_view value, std::uint64_t expiry_ms);
  std::string new_value();
  void saw(const kv::StoredKey& key, const kv::Read& read, Sequence since);

  kv::Partition& partition_;
  PartitionModel& model_;
  std::vector<kv::StoredKey> keys_;
  Random random_;
  std::uint64_t values_ = 0;
  bool failed_ = false;
  testing::AssertionResult verdict_ = testing::AssertionSuccess();
};

}  // namespace ashlar::crash
