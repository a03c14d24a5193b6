#pragma once

/// The log-structured store of a data directory: its root record, and its partitions on their shards.
/// Layout: docs/formats/directory.md.

#include <memory>
#include <string>
#include <vector>

#include "ashlar/blob/home.h"
#include "ashlar/kv/lsm/partition.h"
#include "ashlar/kv/lsm/shard_context.h"
#include "ashlar/kv/root_record.h"
#include "ashlar/kv/store.h"
#include "ashlar/runtime/sync/mutex.h"

namespace ashlar::lsm {

/// Thread safety and lifecycle as kv::Store says; close() on the shard that opened it, before it is
/// destroyed.
class LsmStore final : public kv::Store {
 public:
  /// Opens the data set at `home` on shards 0 to shards − 1; runs on the home's shard, which is one of them.
  /// Of those that follow, options.background_shards, or as many as there are, do nothing but compact.
  /// Creates it where it is missing or was never finished, with options.partitions and `partitioner` (by
  /// slots, where that is null). `busy` where another process has it open; `corrupt`, `unsupported`,
  /// `not_found` (the parent of a new directory) as they are found.
  static Task<Result<std::unique_ptr<LsmStore>>> open(std::unique_ptr<blob::Home> home, LsmOptions options,
                                                      unsigned shards,
                                                      const kv::Partitioner* partitioner = nullptr);
  /// The same in a directory.
  static Task<Result<std::unique_ptr<LsmStore>>> open(std::string path, LsmOptions options, unsigned shards,
                                                      const kv::Partitioner* partitioner = nullptr);
  ~LsmStore() override;

  kv::StoreDescription describe() const noexcept override;
  const kv::Partitioner& partitioner() const noexcept override { return root_.partitioner; }
  ShardId home_of(kv::PartitionId id) const noexcept override { return ShardId{id.value % shards_}; }
  LsmPartition& partition(kv::PartitionId id) noexcept override { return *partitions_[id.value]; }
  kv::StoreClock& clock() noexcept override { return state_->clock; }
  Result<> merge(const StoredKey& key, std::optional<Bytes> base, std::span<const Bytes> operands,
                 std::vector<std::byte>& result) override;
  Task<Result<>> close() override;

  /// What the last open made of transactions across partitions that it found in doubt.
  struct Joined {
    std::uint64_t committed = 0, aborted = 0;
  };
  const Joined& joined() const noexcept { return joined_; }
  /// Column families. On the shard that opened the store. What is returned as ok survives power loss; a
  /// change that failed was made whole or not at all, as the next open will show.
  ///
  /// `exists`; `invalid` for a name that is empty or too long and for a merge operator that is not
  /// registered; `no_space` where every number is taken.
  Task<Result<kv::Family>> create_family(std::string name, kv::FamilyOptions options = {});
  /// Its keys are gone at once, but to snapshots; their space comes back with compaction. `not_found`.
  Task<Result<>> drop_family(std::string name);
  /// In no order.
  std::vector<kv::Family> families() const;
  /// `not_found` where there is none of that name.
  Result<kv::Family> family(std::string_view name) const;

  const kv::RootRecord& root() const noexcept { return root_; }
  const LsmOptions& options() const noexcept { return options_; }

 private:
  LsmStore(std::unique_ptr<blob::Home> home, LsmOptions options, unsigned shards)
      : home_(std::move(home)), options_(options), shards_(shards) {}

  Task<Result<>> open_root(const kv::Partitioner* partitioner);
  Task<Result<>> create(const kv::Partitioner* partitioner);
  Task<Result<>> open_partitions();
  Task<Result<>> open_partition(std::uint32_t id);
  Task<Result<>> close_partition(std::uint32_t id);
  Task<Result<>> join_transactions();
  Task<Result<>> decide(kv::PartitionId id, kv::TransactionId transaction, kv::Outcome outcome);
  static Task<Result<std::unique_ptr<LsmPartition>>> open_on_shard(LsmStore& store, std::uint32_t id);

  // store_families.cc
  Result<const kv::MergeOperator*> find_operator(const std::string& name) const;
  Result<bool> choose_operator();
  Result<KeyRuleTable> rules() const;
  Task<Result<>> write_families(std::vector<kv::FamilyRecord> families);
  Task<> set_rules(std::uint8_t type, KeyRules rules);
  Task<Result<std::uint8_t>> free_number(std::vector<kv::FamilyRecord>& families);
  Task<bool> holds(kv::KeyRange range);
  Task<Result<>> erase_family(kv::Family family);
  Task<> finish_drops();

  static constexpr std::uint32_t root_number = 0;

  std::unique_ptr<blob::Home> home_;
  LsmOptions options_;
  unsigned shards_;
  kv::RootRecord root_;
  Joined joined_;
  Mutex families_mutex_;
  std::unique_ptr<blob::Store> blobs_;                   // the root's; while it is open, the whole is locked
  std::unique_ptr<StoreState> state_;                    // while it is open
  std::vector<std::unique_ptr<ShardContext>> contexts_;  // by shard, each made and destroyed there
  std::vector<std::unique_ptr<LsmPartition>> partitions_;  // by number
};

}  // namespace ashlar::lsm
