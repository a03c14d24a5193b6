#include "tests/crash/kv_store_work.h"

#include <map>
#include <optional>
#include <set>

#include "ashlar/runtime/sync/sleep.h"
#include "tests/crash/kv_work.h"

namespace ashlar::crash {

using kv::StoredKey;

/// What one transaction has read and is going to write.
struct StoreWork::Step {
  bool serializable = false;
  std::vector<std::pair<std::size_t, std::string>> read;
  std::map<std::size_t, std::vector<Change>> parts;
};

std::pair<std::size_t, const StoredKey*> StoreWork::any_key() {
  const std::size_t partition = random_.below(keys_.size());
  return {partition, &keys_[partition][random_.below(keys_[partition].size())]};
}

/// Whether a transaction that ended so wrote nothing. After a failed log write only the next open knows.
bool StoreWork::nothing_done(const Error& error) {
  switch (error.code) {
    case Errc::conflict:
    case Errc::timed_out:
    case Errc::busy:
    case Errc::no_space:
    case Errc::no_memory: return true;
    default: failed_ = true; return false;
  }
}

Task<> StoreWork::run(unsigned rounds) {
  for (unsigned i = 0; i < rounds && verdict_ && !failed_; ++i) {
    if (random_.one_in(4))
      co_await scan();
    else
      co_await transact();
    if (random_.one_in(4) && !co_await sleep_for(std::chrono::microseconds(random_.below(400)))) co_return;
  }
}

Task<Result<>> StoreWork::do_reads(kv::StoreTransaction& transaction, Step& step) {
  for (std::uint64_t left = random_.below(3); left > 0; --left) {
    const auto [partition, key] = any_key();
    ++operations_;
    const auto value = CO_TRY(co_await transaction.get(*key));
    const std::string name = text_of(*key);
    if (value) model_.saw(partition, name, value->bytes, value->sequence);
    const PartitionModel& model = model_.partition(partition);
    const Version* expected = model.at(name, transaction.snapshot().sequence());
    const bool absent = expected == nullptr || !expected->value;
    // A partition that has stopped shows only what became durable.
    const bool stopped =
        store_.partition(kv::PartitionId{static_cast<std::uint16_t>(partition)}).stop_reason().has_value();
    const bool same =
        value ? !absent && *expected == Version{value->sequence, value->bytes} : absent || model.open(name);
    const bool right = stopped || same;
    if (!right)
      check(testing::AssertionFailure()
            << "a transaction read what was not there at its snapshot: " << as_text(key->user_key()));
    step.read.emplace_back(partition, name);
  }
  co_return Result<>{};
}

// In two partitions at least, each of which gets a value: whoever finds it knows that all is committed.
Task<Result<>> StoreWork::do_writes(kv::StoreTransaction& transaction, Step& step) {
  std::set<const StoredKey*> written;
  const auto write = [&](std::size_t partition, const StoredKey& key, bool erase) -> Task<Result<>> {
    if (!written.insert(&key).second) co_return Result<>{};
    ++operations_;
    if (erase) {
      step.parts[partition].push_back({text_of(key), std::nullopt});
      co_return co_await transaction.erase(key);
    }
    std::string value = make_value(random_, ++values_, life_);
    const Result<> put = co_await transaction.put(key, as_bytes(value), expiry_of(value));
    step.parts[partition].push_back({text_of(key), std::move(value)});
    co_return put;
  };
  const std::size_t first = random_.below(keys_.size());
  const std::size_t count = random_.between(2, keys_.size());
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t partition = (first + i) % keys_.size();
    const auto& keys = keys_[partition];
    CO_TRY(co_await write(partition, keys[random_.below(keys.size())], false));
    if (random_.one_in(2))
      CO_TRY(co_await write(partition, keys[random_.below(keys.size())], random_.one_in(2)));
  }
  co_return Result<>{};
}

/// The first that commits wins: nobody wrote in between what it wrote, or where it is serializable, read.
void StoreWork::check_isolation(const Step& step, Sequence since, Sequence at) {
  const auto look = [&](std::size_t partition, const std::string& key) {
    if (model_.partition(partition).written_between(key, since, at))
      check(testing::AssertionFailure() << "a transaction overwrote what it had not seen");
  };
  for (const auto& [partition, changes] : step.parts) {
    for (const Change& change : changes) look(partition, change.key);
  }
  if (!step.serializable) return;
  for (const auto& [partition, key] : step.read) look(partition, key);
}

Task<> StoreWork::transact() {
  Step step{.serializable = random_.one_in(3), .read = {}, .parts = {}};
  kv::StoreTransaction transaction(
      store_, {.isolation = step.serializable ? kv::Isolation::serializable : kv::Isolation::snapshot,
               .locking = random_.one_in(3) ? kv::Locking::row_locks : kv::Locking::optimistic,
               .lock_wait = std::chrono::milliseconds(5)});
  Result<> prepared = co_await do_reads(transaction, step);
  if (prepared) prepared = co_await do_writes(transaction, step);
  if (!prepared || random_.one_in(10)) {
    if (!prepared) nothing_done(prepared.error());
    co_await transaction.rollback();
    co_return;
  }
  const Sequence since = transaction.snapshot().sequence();
  const std::uint64_t number = model_.stage(step.parts);
  ++operations_;
  const auto committed = co_await transaction.commit();
  if (committed) {
    ++committed_;
    model_.reveal(number, *committed);
    check_isolation(step, since, *committed);
  } else if (nothing_done(committed.error())) {
    model_.withdraw(number);
  }
}

// Every partition at one snapshot: a transaction is in all of them or in none.
Task<> StoreWork::scan() {
  kv::StoreTransaction transaction(store_);
  ++operations_;
  auto walk = transaction.scan({});
  if (!walk) co_return;
  std::vector<State> found(keys_.size());
  for (;;) {
    const auto more = co_await (*walk)->next();
    if (!more) co_return;
    if (!*more) break;
    const std::string& key = (*walk)->key();
    if (!model_.counts(key)) continue;
    const auto partition = store_.partitioner().partition_of(as_bytes(key));
    found[partition.value][key] = {(*walk)->value().sequence, (*walk)->value().bytes};
  }
  for (std::uint16_t id = 0; id < found.size(); ++id) {
    if (store_.partition(kv::PartitionId{id}).stop_reason()) co_return;  // shows less than it has promised
    model_.saw(id, found[id]);
  }
  for (std::size_t id = 0; id < found.size(); ++id) {
    check(model_.partition(id).scanned(found[id], transaction.snapshot().sequence()));
    for (const auto& [key, version] : found[id]) model_.partition(id).promise(version.sequence);
  }
}

}  // namespace ashlar::crash
