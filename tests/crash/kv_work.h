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

/// A value of some random bytes, which a third of the time expires: see expiry_of().
std::string make_value(Random& random, std::uint64_t number, std::uint64_t life);

/// Owner: the partition's shard; lives as long as the partition is open. Every check that fails is kept as
/// the verdict.
class PartitionWork {
 public:
  /// `id`: of the partition, in `store`. `keys`: those that belong to it. `life`: of the machine.
  PartitionWork(kv::Partition& partition, StoreModel& store, std::size_t id, std::vector<kv::StoredKey> keys,
                std::uint64_t seed, std::uint64_t life = 0)
      : partition_(partition),
        store_(store),
        model_(store.partition(id)),
        id_(id),
        keys_(std::move(keys)),
        random_(seed),
        life_(life) {}

  /// Reads everything, in every way, into found(). An error where reading failed: nothing is known then.
  Task<Result<>> verify();
  const State& found() const noexcept { return found_; }
  /// Writers and readers at once, until each has done its share or writing has failed.
  Task<> run(unsigned rounds);
  /// A look from outside of the partition's shard.
  void peek(Random& random);

  const testing::AssertionResult& verdict() const noexcept { return verdict_; }
  /// Calls of the partition's interface: one for a batch, a scan, a look-up of several keys.
  std::uint64_t operations() const noexcept { return operations_; }

 private:
  struct Batch;

  Task<> write(unsigned rounds);
  Task<bool> write_once();
  void fill(Batch& batch);
  void fill_range(Batch& batch);
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
  bool passes(const Error& error);
  const kv::StoredKey& any_key() { return keys_[random_.below(keys_.size())]; }
  void check_expiry(std::string_view value, std::uint64_t expiry_ms);
  std::string new_value() { return make_value(random_, ++values_, life_); }
  void saw(const kv::StoredKey& key, const std::optional<kv::Value>& value, Sequence seen, Sequence since);

  kv::Partition& partition_;
  StoreModel& store_;
  PartitionModel& model_;
  std::size_t id_;
  std::vector<kv::StoredKey> keys_;
  Random random_;
  std::uint64_t life_;
  State found_;
  std::uint64_t values_ = 0;
  std::uint64_t operations_ = 0;
  bool failed_ = false;
  testing::AssertionResult verdict_ = testing::AssertionSuccess();
};

}  // namespace ashlar::crash
