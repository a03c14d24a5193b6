/// A commit across partitions, step by step:
///
///  1. Reserve: in each partition lock the keys, check them, and name a sequence above all before. First all
///     partitions at once, without waiting for locks; where one is held, again in order, waiting.
///  2. The transaction's sequence is the greatest of those.
///  3. Prepare: a record in each log that writes, durable.
///  4. Decide: committed if all are durable. Each partition appends the outcome, shows the writes and
///  unlocks.
///
/// From step 3 on nothing waits for anything but the logs of the participants; one that has failed says so.

#include "ashlar/kv/commit.h"

#include <algorithm>
#include <cassert>

#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/sync/sleep.h"
#include "ashlar/runtime/sync/when.h"

namespace ashlar::kv {

/// The table of last writes tells at once where nothing has changed; else the newest version decides.
Task<Result<>> check(Partition& partition, Check check) {
  if (!partition.changed_since(check.key->hash(), check.since)) co_return Result<>{};
  Get newest = partition.get(*check.key, {.durability = Durability::none});
  CO_TRY(co_await newest);
  if (newest.seen() > check.since || partition.appeared_after(newest.seen(), check.since))
    co_return fail(Errc::conflict, "transaction: a key was written since it began");
  co_return Result<>{};
}

namespace {

enum class Patience : std::uint8_t { none, waits };

/// Keys of a part in order, each once: waiters for several never wait for each other in a circle.
std::vector<const StoredKey*> keys_of(const CommitPart& part) {
  std::vector<const StoredKey*> keys;
  for (const Write& write : part.writes) {
    if (write.key != nullptr) keys.push_back(write.key);
  }
  for (const Check& check : part.checks) keys.push_back(check.key);
  std::ranges::sort(
      keys, [](const StoredKey* a, const StoredKey* b) { return compare(a->bytes(), b->bytes()) < 0; });
  const auto repeated = std::ranges::unique(
      keys, [](const StoredKey* a, const StoredKey* b) { return equal(a->bytes(), b->bytes()); });
  keys.erase(repeated.begin(), repeated.end());
  return keys;
}

/// Without a receipt: the parts are under way together, and who waits for all of them notes for how long.
Task<Result<>> lock_and_check(Partition& partition, const CommitPart& part, Patience patience,
                              const CommitOptions& options) {
  CO_TRY(co_await Ticket(partition, Sequence{}, Durability::durable));  // not while writers are slowed down
  for (const StoredKey* key : keys_of(part)) {
    if (patience == Patience::waits) {
      CO_TRY(co_await partition.locks().lock(*key, options.owner, options.deadline));
    } else if (!partition.locks().try_lock(*key, options.owner)) {
      co_return fail(Errc::busy, "transaction: another has locked a key");
    }
  }
  for (const Check& one : part.checks) CO_TRY(co_await check(partition, one));
  co_return Result<>{};
}

/// The whole commit where one partition is concerned: one batch, one record. On its shard.
Task<Result<Sequence>> commit_here(Partition& partition, const CommitPart& part,
                                   const CommitOptions& options) {
  const auto untouched = [&](const Check& one) {
    return !partition.changed_since(one.key->hash(), one.since);
  };
  const WriteOptions how{.durability = options.durability, .receipt = options.receipt};
  Result<Ticket> ticket;
  if (partition.locks().empty() && std::ranges::all_of(part.checks, untouched)) {
    ticket = partition.append(part.writes, how);
  } else {
    Result<> locked;
    {
      const Receipt::Time waited(options.receipt, &Receipt::queue_time);
      locked = co_await lock_and_check(partition, part, Patience::waits, options);
    }
    if (locked) {
      const LockTable::ActAs owner(partition.locks(), options.owner);
      ticket = partition.append(part.writes, how);
    } else {
      ticket = std::unexpected(locked.error());
    }
    partition.locks().unlock_all(options.owner);
  }
  const Ticket written = CO_TRY(ticket);
  const Receipt::Time waited(options.receipt, &Receipt::queue_time);
  CO_TRY(co_await written);
  co_return written.sequence();
}

/// One commit across partitions. Lives in the frame of commit().
class Commit {
 public:
  Commit(Store& store, std::span<CommitPart> parts, const CommitOptions& options)
      : store_(store), options_(options), reserved_(parts.size()), costs_(parts.size()) {
    for (CommitPart& part : parts) parts_.push_back(&part);
    for (const CommitPart& part : parts) {
      if (!part.writes.empty()) writers_.push_back(part.id);
    }
  }

  Task<Result<Sequence>> run() {
    Result<Sequence> committed;
    {
      const Receipt::Time waited(options_.receipt, &Receipt::queue_time);  // for the participants' shards
      committed = co_await commit_all();
    }
    if (options_.receipt != nullptr)
      for (const Receipt& cost : costs_) options_.receipt->add(cost);
    co_return committed;
  }

 private:
  using Step = Task<Result<>> (Commit::*)(std::size_t part);

  Task<Result<Sequence>> commit_all() {
    const Result<> reserved = co_await reserve_all();
    if (!reserved) {
      co_await release_all();
      co_return std::unexpected(reserved.error());
    }
    if (writers_.size() == 1) co_return co_await write_one();
    id_ = {.number = options_.owner, .sequence = *std::ranges::max_element(reserved_)};
    const Result<> prepared = co_await on_writers(&Commit::prepare);
    outcome_ = prepared ? Outcome::committed : Outcome::aborted;
    (void)co_await on_writers(&Commit::decide);
    if (writers_.size() != parts_.size()) co_await release_all();
    if (!prepared) co_return std::unexpected(prepared.error());
    co_return id_.sequence;
  }

  Partition& partition(std::size_t part) { return store_.partition(parts_[part]->id); }
  Receipt* cost_of(std::size_t part) noexcept {
    return options_.receipt != nullptr ? &costs_[part] : nullptr;
  }
  Prepare prepare_of(std::size_t part) {
    return {.id = id_, .participants = writers_, .writes = parts_[part]->writes, .receipt = cost_of(part)};
  }

  Task<Result<>> reserve_all() {
    const Result<> reserved = co_await on_all(&Commit::reserve);
    if (reserved || reserved.error().code != Errc::busy) co_return reserved;
    // Nobody waits for an outcome while locks are waited for: a circle would close, first of all by the
    // checks of this very commit.
    (void)co_await on_all(options_.holds_locks ? &Commit::recall : &Commit::release);
    for (std::size_t part = 0; part < parts_.size(); ++part)
      CO_TRY(co_await there(part, &Commit::wait_for_locks));
    co_return co_await on_all(&Commit::reserve);
  }
  Task<> release_all() { (void)co_await on_all(&Commit::release); }

  Task<Result<>> wait_for_locks(std::size_t part) {
    return lock_and_check(partition(part), *parts_[part], Patience::waits, options_);
  }
  Task<Result<>> reserve(std::size_t part) {
    Partition& here = partition(part);
    CO_TRY(co_await lock_and_check(here, *parts_[part], Patience::none, options_));
    Sequence seen;
    for (const Check& check : parts_[part]->checks) seen = std::max(seen, check.since);
    reserved_[part] = here.reserve(seen);
    if (writers_.size() > 1) here.locks().commits_at(options_.owner, parts_[part]->writes, reserved_[part]);
    co_return Result<>{};
  }
  Task<Result<>> recall(std::size_t part) {
    partition(part).locks().recall(options_.owner);
    co_return Result<>{};
  }
  Task<Result<>> release(std::size_t part) {
    partition(part).locks().unlock_all(options_.owner);
    co_return Result<>{};
  }
  Task<Result<>> prepare(std::size_t part) {
    const Ticket ticket = CO_TRY(partition(part).prepare(prepare_of(part)));
    co_return co_await ticket;
  }
  /// Before an abort is durable nobody may rest on it.
  Task<Result<>> decide(std::size_t part) {
    Result<Ticket> decided;
    while (!(decided = partition(part).decide(prepare_of(part), outcome_)) &&
           decides_later(decided.error())) {
      (void)co_await sleep_for(decide_again_after);
    }
    if (outcome_ == Outcome::aborted) {
      if (decided) (void)co_await *decided;
      partition(part).locks().unlock_all(options_.owner);
    }
    co_return Result<>{};
  }

  /// The others were only read.
  Task<Result<Sequence>> write_one() {
    const auto writer = static_cast<std::size_t>(
        std::ranges::find(parts_, writers_[0], [](const CommitPart* part) { return part->id; }) -
        parts_.begin());
    const Result<> written = co_await there(writer, &Commit::append);
    co_await release_all();
    CO_TRY(written);
    CO_TRY(co_await there(writer, &Commit::settle));
    co_return ticket_.sequence();
  }
  Task<Result<>> append(std::size_t part) {
    const LockTable::ActAs owner(partition(part).locks(), options_.owner);
    ticket_ = CO_TRY(partition(part).append(parts_[part]->writes,
                                            {.durability = options_.durability, .receipt = cost_of(part)}));
    co_return Result<>{};
  }
  Task<Result<>> settle(std::size_t) { co_return co_await ticket_; }

  /// On the part's shard.
  Task<Result<>> there(std::size_t part, Step step) {
    const ShardId home = store_.home_of(parts_[part]->id);
    co_return co_await invoke(home, [this, part, step] { return (this->*step)(part); });
  }
  Task<Result<>> on_all(Step step) { return on(step, false); }
  Task<Result<>> on_writers(Step step) { return on(step, true); }
  /// All at once; the first error.
  Task<Result<>> on(Step step, bool only_writers) {
    std::vector<Task<Result<>>> steps;
    for (std::size_t part = 0; part < parts_.size(); ++part) {
      if (!only_writers || !parts_[part]->writes.empty()) steps.push_back(there(part, step));
    }
    for (const Result<>& done : co_await when_all(std::move(steps))) {
      if (!done) co_return done;
    }
    co_return Result<>{};
  }

  Store& store_;
  CommitOptions options_;
  std::vector<CommitPart*> parts_;
  std::vector<PartitionId> writers_;
  std::vector<Sequence> reserved_;  // by part
  std::vector<Receipt> costs_;      // by part, each its shard's until run() has joined them
  TransactionId id_;
  Outcome outcome_ = Outcome::aborted;
  Ticket ticket_;
};

}  // namespace

LockOwner new_lock_owner() noexcept {
  LockOwner owner = no_owner;
  while (owner == no_owner) owner = Shard::current().random();
  return owner;
}

Task<Result<Sequence>> commit(Store& store, std::span<CommitPart> parts, CommitOptions options) {
  assert(std::ranges::is_sorted(parts, {}, &CommitPart::id));
  const bool writes = std::ranges::any_of(parts, [](const CommitPart& part) { return !part.writes.empty(); });
  if (parts.empty() || (!writes && parts.size() == 1 && parts[0].checks.empty())) co_return Sequence{};
  if (options.owner == no_owner) options.owner = new_lock_owner();
  if (parts.size() == 1) {
    CommitPart& part = parts[0];
    Partition& partition = store.partition(part.id);
    co_return co_await invoke(store.home_of(part.id), [&] { return commit_here(partition, part, options); });
  }
  Commit across(store, parts, options);
  co_return co_await across.run();
}

namespace {

Task<> unlock_there(Store& store, PartitionId id, LockOwner owner) {
  co_await invoke(store.home_of(id), [&store, id, owner] { store.partition(id).locks().unlock_all(owner); });
}

}  // namespace

Task<> unlock(Store& store, std::vector<PartitionId> partitions, LockOwner owner) {
  std::vector<Task<>> unlocking;
  for (const PartitionId id : partitions) unlocking.push_back(unlock_there(store, id, owner));
  (void)co_await when_all(std::move(unlocking));
}

}  // namespace ashlar::kv
