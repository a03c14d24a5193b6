#include "ashlar/kv/lsm/store.h"

#include <algorithm>
#include <cassert>
#include <map>
#include <utility>

#include "ashlar/base/log.h"
#include "ashlar/kv/commit.h"
#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/sync/sleep.h"
#include "ashlar/runtime/sync/when.h"

namespace ashlar::lsm {

namespace {

Result<> first_error(const std::vector<Result<>>& results) {
  for (const Result<>& result : results) {
    if (!result) return result;
  }
  return {};
}

}  // namespace

LsmStore::~LsmStore() {
  assert(blobs_ == nullptr && "close() it first");
}

kv::StoreDescription LsmStore::describe() const noexcept {
  return {.engine = "lsm",
          .sorted = true,
          .scheme = partitioner().scheme(),
          .partitions = partitioner().partitions()};
}

Task<Result<std::unique_ptr<LsmStore>>> LsmStore::open(std::string path, LsmOptions options, unsigned shards,
                                                       const kv::Partitioner* partitioner) {
  return open(blob::directory_home(std::move(path), options.directory), options, shards, partitioner);
}

Task<Result<std::unique_ptr<LsmStore>>> LsmStore::open(std::unique_ptr<blob::Home> home, LsmOptions options,
                                                       unsigned shards, const kv::Partitioner* partitioner) {
  std::unique_ptr<LsmStore> store(new LsmStore(std::move(home), options, shards));
  Result<> opened = co_await store->open_root(partitioner);
  if (opened) opened = co_await store->open_partitions();
  if (opened) opened = co_await store->join_transactions();
  if (opened) co_await store->finish_drops();
  if (!opened) {
    (void)co_await store->close();
    co_return std::unexpected(opened.error());
  }
  co_return std::move(store);
}

Task<Result<>> LsmStore::open_root(const kv::Partitioner* partitioner) {
  blobs_ = CO_TRY(co_await home_->open_root());
  const auto stored = CO_TRY(co_await blobs_->read_root(root_number));
  if (!stored) co_return co_await create(partitioner);
  root_ = CO_TRY(kv::RootRecord::decode(*stored));
  if (root_.engine != "lsm") co_return fail(Errc::unsupported, "engine of the data directory");
  if (CO_TRY(choose_operator())) co_return co_await blobs_->write_root(root_number, root_.encode());
  co_return Result<>{};
}

/// The root record comes last: a directory without one was never used, whatever is in it.
Task<Result<>> LsmStore::create(const kv::Partitioner* partitioner) {
  CO_TRY(choose_operator());
  Backend& backend = Shard::current().backend();
  root_.directory_id = backend.random();
  root_.created_ms = backend.wall_ms();
  root_.partitioner = partitioner != nullptr
                          ? *partitioner
                          : kv::Partitioner::hashed(options_.partitions != 0 ? options_.partitions : shards_);
  for (std::uint32_t id = 0; id < root_.partitioner.partitions(); ++id) {
    CO_TRY(co_await home_->prepare_partition(id));
    CO_TRY(co_await LsmPartition::create(CO_TRY(co_await home_->open_partition(id)), id));
  }
  co_return co_await blobs_->write_root(root_number, root_.encode());
}

Task<Result<>> LsmStore::open_partitions() {
  const unsigned set_aside =
      std::min(options_.background_shards, Shard::current().mesh().shard_count() - shards_);
  state_ = std::make_unique<StoreState>(shards_, set_aside, std::min(shards_, options_.idle_shards));
  state_->undecided.resize(root_.partitioner.partitions());
  contexts_.resize(shards_);
  partitions_.resize(root_.partitioner.partitions());
  for (unsigned shard = 0; shard < shards_; ++shard) {
    co_await invoke(ShardId{shard}, [&] {
      contexts_[shard] =
          std::make_unique<ShardContext>(options_, cache_bytes_of(options_) / shards_, state_.get());
      state_->helpers.measure();
    });
  }
  std::vector<Task<Result<>>> opening;
  for (std::uint32_t id = 0; id < partitions_.size(); ++id) opening.push_back(open_partition(id));
  co_return first_error(co_await when_all(std::move(opening)));
}

Task<Result<std::unique_ptr<LsmPartition>>> LsmStore::open_on_shard(LsmStore& store, std::uint32_t id) {
  const KeyRuleTable rules = CO_TRY(store.rules());
  auto blobs = CO_TRY(co_await store.home_->open_partition(id));
  ShardContext& shard = *store.contexts_[Shard::current().id().value];
  co_return co_await LsmPartition::open(std::move(blobs), store.options_, shard, id, rules);
}

Task<Result<>> LsmStore::open_partition(std::uint32_t id) {
  const ShardId home = home_of(kv::PartitionId{static_cast<std::uint16_t>(id)});
  auto opened = co_await invoke(home, [&] { return open_on_shard(*this, id); });
  if (!opened) {
    log::error("{}: {}", home_->partition_name(id), opened.error());
    co_return std::unexpected(opened.error());
  }
  partitions_[id] = std::move(*opened);
  co_return Result<>{};
}

namespace {

/// What all partitions say of one transaction.
struct Votes {
  std::vector<kv::PartitionId> participants;
  std::vector<kv::PartitionId> in_doubt;
  std::size_t traces = 0;
  bool committed = false;  ///< somewhere
};

}  // namespace

/// The join of recovery: docs/formats/transaction.md. The clock goes on above everything that was found.
Task<Result<>> LsmStore::join_transactions() {
  std::map<std::pair<Sequence, kv::LockOwner>, Votes> transactions;
  Sequence newest;
  for (std::uint16_t i = 0; i < partitions_.size(); ++i) {
    const kv::PartitionId id{i};
    newest = std::max(newest, partitions_[i]->durable_sequence());
    for (TransactionVote& vote :
         co_await invoke(home_of(id), [&] { return partitions_[id.value]->votes(); })) {
      Votes& votes = transactions[{vote.id.sequence, vote.id.number}];
      votes.participants = std::move(vote.participants);
      ++votes.traces;
      votes.committed |= vote.committed;
      if (!vote.committed) votes.in_doubt.push_back(id);
    }
  }
  state_->clock.raise(newest);
  for (const auto& [key, votes] : transactions) {
    const bool commit = votes.committed || votes.traces == votes.participants.size();
    if (!votes.in_doubt.empty()) ++(commit ? joined_.committed : joined_.aborted);
    const kv::Outcome outcome = commit ? kv::Outcome::committed : kv::Outcome::aborted;
    for (const kv::PartitionId id : votes.in_doubt)
      CO_TRY(co_await decide(id, {.number = key.second, .sequence = key.first}, outcome));
  }
  if (joined_.committed + joined_.aborted != 0) {
    log::info("{} transactions across partitions were in doubt: {} committed, {} aborted",
              joined_.committed + joined_.aborted, joined_.committed, joined_.aborted);
  }
  co_return Result<>{};
}

/// The log may wait for a flush: then again, for some seconds.
Task<Result<>> LsmStore::decide(kv::PartitionId id, kv::TransactionId transaction, kv::Outcome outcome) {
  for (int attempts = 1;; ++attempts) {
    const Result<> decided = co_await invoke(
        home_of(id), [&] { return partitions_[id.value]->decide_in_doubt(transaction, outcome); });
    if (decided || !kv::decides_later(decided.error()) || attempts == 500) co_return decided;
    CO_TRY(co_await sleep_for(kv::decide_again_after));
  }
}

Task<Result<>> LsmStore::close_partition(std::uint32_t id) {
  const ShardId home = home_of(kv::PartitionId{static_cast<std::uint16_t>(id)});
  const Result<> closed = co_await invoke(home, [&] { return partitions_[id]->close(); });
  co_await invoke(home, [&] { partitions_[id].reset(); });
  co_return closed;
}

Task<Result<>> LsmStore::close() {
  std::vector<Task<Result<>>> closing;
  for (std::uint32_t id = 0; id < partitions_.size(); ++id) {
    if (partitions_[id] != nullptr) closing.push_back(close_partition(id));
  }
  Result<> result = first_error(co_await when_all(std::move(closing)));
  for (unsigned shard = 0; shard < contexts_.size(); ++shard) {
    co_await invoke(ShardId{shard}, [&] { contexts_[shard].reset(); });
  }
  if (blobs_ != nullptr) {
    const Result<> closed = co_await blobs_->close();
    if (result) result = closed;
    blobs_.reset();
  }
  co_await home_->close();
  co_return result;
}

}  // namespace ashlar::lsm
