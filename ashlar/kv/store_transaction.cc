#include "ashlar/kv/store_transaction.h"

#include <algorithm>
#include <cassert>

#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/sync/when.h"

namespace ashlar::kv {

namespace {

OwnedValue copy_of(const Value& value) {
  return {
      .bytes = std::string(as_text(value.bytes)), .expiry_ms = value.expiry_ms, .sequence = value.sequence};
}

/// On the partition's shard, where pins live and die.
Task<Result<std::optional<OwnedValue>>> read_here(Partition& partition, const StoredKey& key,
                                                  const Snapshot& snapshot) {
  const auto value = CO_TRY(co_await partition.get(key, {.snapshot = &snapshot}));
  if (!value) co_return std::nullopt;
  co_return copy_of(*value);
}

struct ReadOfMany {
  std::vector<std::size_t> places;  // in the caller's order
  std::vector<Read> reads;
  std::vector<std::optional<OwnedValue>> found;
};

Task<Result<>> read_many_here(Partition& partition, ReadOfMany& many) {
  co_await partition.multi_get(many.reads);
  for (Read& read : many.reads) {
    const std::optional<Value> value = CO_TRY(std::move(read.result));
    many.found.push_back(value ? std::optional(copy_of(*value)) : std::nullopt);
  }
  many.reads.clear();
  co_return Result<>{};
}

Task<Result<>> read_many(Store& store, PartitionId id, ReadOfMany& many) {
  Partition& partition = store.partition(id);
  co_return co_await invoke(store.home_of(id), [&] { return read_many_here(partition, many); });
}

}  // namespace

StoreTransaction::StoreTransaction(Store& store, TransactionOptions options)
    : store_(store), options_(options), snapshot_(std::in_place, store.clock()) {}

StoreTransaction::~StoreTransaction() {
  assert(locked_.empty() && "commit or roll back a transaction that has locks");
}

const StoreTransaction::Pending* StoreTransaction::written(const StoredKey& key) const {
  const auto found = writes_.find(as_text(key.bytes()));
  return found == writes_.end() ? nullptr : &found->second;
}

/// What the transaction's own put or erase says, without operands behind it.
std::optional<OwnedValue> StoreTransaction::plain_value(const Pending& own) const {
  if (own.kind == Kind::merge || is_absent(own.kind, own.expiry_ms, now_ms())) return std::nullopt;
  return OwnedValue{.bytes = own.value, .expiry_ms = own.expiry_ms, .sequence = sequence_max};
}

/// `stored` is what the operands rest on where the transaction wrote nothing before them.
Task<Result<OwnedValue>> StoreTransaction::merged(const Pending& own,
                                                  const std::optional<OwnedValue>& stored) {
  std::optional<OwnedValue> base = own.kind == Kind::merge ? stored : plain_value(own);
  std::vector<Bytes> operands;
  for (const std::string& operand : own.operands) operands.push_back(as_bytes(operand));
  std::vector<std::byte> result;
  CO_TRY(co_await invoke(store_.home_of(store_.partition_of(own.key)), [&] {
    return store_.merge(own.key, base ? std::optional(as_bytes(base->bytes)) : std::nullopt, operands,
                        result);
  }));
  const bool own_base = own.kind == Kind::put && base;  // else it has expired
  co_return OwnedValue{.bytes = std::string(as_text(result)),
                       .expiry_ms = own_base ? own.expiry_ms : no_expiry,
                       .sequence = sequence_max};
}

Task<Result<std::optional<OwnedValue>>> StoreTransaction::get(const StoredKey& key) {
  const Pending* own = written(key);
  if (own == nullptr) co_return co_await read(key);
  if (own->operands.empty()) co_return plain_value(*own);
  std::optional<OwnedValue> stored;
  if (own->kind == Kind::merge) stored = CO_TRY(co_await read(key));
  co_return CO_TRY(co_await merged(*own, stored));
}

/// What the snapshot has.
Task<Result<std::optional<OwnedValue>>> StoreTransaction::read(const StoredKey& key) {
  used_ = true;
  if (options_.isolation == Isolation::serializable) expect_unchanged(key, snapshot_->sequence());
  const PartitionId id = store_.partition_of(key);
  Partition& partition = store_.partition(id);
  const Snapshot& snapshot = *snapshot_;
  co_return co_await invoke(store_.home_of(id), [&] { return read_here(partition, key, snapshot); });
}

Task<Result<std::vector<std::optional<OwnedValue>>>> StoreTransaction::multi_get(
    std::span<const StoredKey> keys) {
  std::vector<std::optional<OwnedValue>> values(keys.size());
  std::vector<std::size_t> merges;
  std::map<PartitionId, ReadOfMany> parts;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (const Pending* own = written(keys[i])) {
      if (own->operands.empty()) {
        values[i] = plain_value(*own);
      } else {
        merges.push_back(i);
      }
      continue;
    }
    used_ = true;
    if (options_.isolation == Isolation::serializable) expect_unchanged(keys[i], snapshot_->sequence());
    ReadOfMany& part = parts[store_.partition_of(keys[i])];
    part.places.push_back(i);
    part.reads.push_back({.key = &keys[i], .options = {.snapshot = &*snapshot_}});
  }
  std::vector<Task<Result<>>> reading;
  for (auto& [id, part] : parts) reading.push_back(read_many(store_, id, part));
  for (const Result<>& read : co_await when_all(std::move(reading))) CO_TRY(read);
  for (auto& [id, part] : parts) {
    for (std::size_t i = 0; i < part.places.size(); ++i) values[part.places[i]] = std::move(part.found[i]);
  }
  for (const std::size_t i : merges) values[i] = CO_TRY(co_await get(keys[i]));
  co_return values;
}

Result<std::unique_ptr<StoreScan>> StoreTransaction::scan(const StoreScanOptions& options) {
  if (options_.isolation == Isolation::serializable)
    return fail(Errc::unsupported, "scan in a serializable transaction");
  used_ = true;
  return std::make_unique<StoreScan>(*this, options);
}

void StoreTransaction::stage(const Write& write) {
  std::string text(as_text(write.key->bytes()));
  const auto [at, added] = writes_.try_emplace(text);
  if (write.kind == Kind::merge) {
    if (added) at->second = {.key = *write.key, .value = {}, .kind = Kind::merge, .expiry_ms = no_expiry};
    at->second.operands.emplace_back(as_text(write.value));
    undo_.push_back({.key = std::move(text), .before = std::nullopt, .operand = !added});
    return;
  }
  undo_.push_back({std::move(text), added ? std::nullopt : std::optional(std::move(at->second))});
  at->second = {.key = *write.key,
                .value = std::string(as_text(write.value)),
                .kind = write.kind,
                .expiry_ms = write.expiry_ms};
}

void StoreTransaction::roll_back_to(Savepoint savepoint) {
  while (undo_.size() > savepoint) {
    Undo& last = undo_.back();
    if (last.operand) {
      writes_.find(last.key)->second.operands.pop_back();
    } else if (last.before) {
      writes_.insert_or_assign(std::move(last.key), *std::move(last.before));
    } else {
      writes_.erase(last.key);
    }
    undo_.pop_back();
  }
}

Task<Result<>> StoreTransaction::put(const StoredKey& key, Bytes value, std::uint64_t expiry_ms) {
  return write(key, value, Kind::put, expiry_ms);
}
Task<Result<>> StoreTransaction::erase(const StoredKey& key) {
  return write(key, {}, Kind::erase, no_expiry);
}
Task<Result<>> StoreTransaction::merge(const StoredKey& key, Bytes operand) {
  return write(key, operand, Kind::merge, no_expiry);
}
Task<Result<>> StoreTransaction::write(const StoredKey& key, Bytes value, Kind kind,
                                       std::uint64_t expiry_ms) {
  if (options_.locking == Locking::row_locks) CO_TRY(co_await lock(key));
  stage({.key = &key, .value = value, .kind = kind, .expiry_ms = expiry_ms});
  co_return Result<>{};
}

Instant StoreTransaction::lock_deadline() const noexcept {
  const Instant now = Shard::current().now();
  return std::min(options_.deadline, options_.lock_wait < never - now ? now + options_.lock_wait : never);
}

Task<Result<>> StoreTransaction::lock(const StoredKey& key) {
  if (owner_ == no_owner) owner_ = new_lock_owner();
  const PartitionId id = store_.partition_of(key);
  Partition& partition = store_.partition(id);
  const Instant deadline = lock_deadline();
  const LockOwner owner = owner_;
  CO_TRY(co_await invoke(store_.home_of(id), [&] { return partition.locks().lock(key, owner, deadline); }));
  locked_.insert(id);
  if (!used_) snapshot_.emplace(store_.clock());
  used_ = true;
  const Check since{&key, snapshot_->sequence()};
  co_return co_await invoke(store_.home_of(id), [&] { return check(partition, since); });
}

std::vector<CommitPart> StoreTransaction::parts() const {
  std::map<PartitionId, CommitPart> parts;
  const auto part_of = [&](const StoredKey& key) -> CommitPart& {
    const PartitionId id = store_.partition_of(key);
    CommitPart& part = parts[id];
    part.id = id;
    return part;
  };
  for (const auto& [text, pending] : writes_) {
    CommitPart& part = part_of(pending.key);
    if (pending.kind != Kind::merge) {
      part.writes.push_back({.key = &pending.key,
                             .value = as_bytes(pending.value),
                             .kind = pending.kind,
                             .expiry_ms = pending.expiry_ms});
    }
    for (const std::string& operand : pending.operands)
      part.writes.push_back({.key = &pending.key, .value = as_bytes(operand), .kind = Kind::merge});
    if (options_.isolation != Isolation::none) part.checks.push_back({&pending.key, snapshot_->sequence()});
  }
  for (const auto& [key, since] : checks_) part_of(key).checks.push_back({&key, since});
  std::vector<CommitPart> ordered;
  for (auto& [id, part] : parts) ordered.push_back(std::move(part));
  return ordered;
}

/// Reads alone need no check where the snapshot is what they rest on.
Task<Result<Sequence>> StoreTransaction::commit() {
  std::vector<CommitPart> commits = parts();
  Result<Sequence> committed = co_await kv::commit(store_, commits,
                                                   {.owner = owner_,
                                                    .holds_locks = !locked_.empty(),
                                                    .durability = options_.durability,
                                                    .deadline = lock_deadline()});
  co_await rollback();
  co_return committed;
}

Task<> StoreTransaction::rollback() {
  if (!locked_.empty()) co_await unlock(store_, {locked_.begin(), locked_.end()}, owner_);
  locked_.clear();
  writes_.clear();
  undo_.clear();
  checks_.clear();
}

}  // namespace ashlar::kv
