#include "tests/consistency/workload.h"

#include <algorithm>
#include <sstream>

#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/sync/sleep.h"
#include "ashlar/runtime/sync/when.h"

namespace ashlar::consistency {

namespace {

using kv::StoredKey;
using kv::StoreTransaction;

constexpr std::size_t list_count = 6;  // over all partitions
constexpr std::size_t register_count = 4;

std::string list_name(std::size_t i) {
  return "list-" + std::to_string(i);
}
StoredKey stored(kv::Store& store, const std::string& name) {
  return store.stored(as_bytes(name));
}

List parse(const std::string& text) {
  List list;
  std::istringstream words(text);
  for (std::uint64_t number = 0; words >> number;) list.push_back(number);
  return list;
}
List list_of(const std::optional<kv::OwnedValue>& value) {
  return value ? parse(value->bytes) : List();
}

/// On the key's shard. A transaction may have the key: then once more.
Task<Result<>> put_here(kv::Partition& partition, const StoredKey& key, std::optional<std::uint64_t> value) {
  const std::string text = value ? std::to_string(*value) : "";
  const kv::Write write{
      .key = &key, .value = as_bytes(text), .kind = value ? kv::Kind::put : kv::Kind::erase};
  for (;;) {
    const auto ticket = partition.append(write);
    if (!ticket && ticket.error().code == Errc::busy) {
      CO_TRY(co_await partition.locks().writable({&write, 1}, never));
      continue;
    }
    const kv::Ticket written = CO_TRY(ticket);
    co_return co_await written;
  }
}

Task<Result<std::optional<std::uint64_t>>> get_here(kv::Partition& partition, const StoredKey& key) {
  const auto value = CO_TRY(co_await partition.get(key));
  if (!value) co_return std::nullopt;
  co_return std::stoull(std::string(as_text(value->bytes)));
}

}  // namespace

std::uint64_t Worker::now() const {
  return time_base_ + static_cast<std::uint64_t>(Shard::current().now().time_since_epoch().count());
}

/// Conflicts and deadlines are part of it; a log that has failed ends the worker.
bool Worker::explains(const Error& error) {
  switch (error.code) {
    case Errc::conflict:
    case Errc::timed_out: ++conflicts_; return true;
    case Errc::no_space:
    case Errc::no_memory: return true;
    case Errc::stopped:
    case Errc::io:
    case Errc::cancelled:
    case Errc::closed: failed_ = true; return true;
    default:
      failed_ = true;
      wrong_ = error.to_string();
      return false;
  }
}

Task<> Worker::run(unsigned rounds) {
  for (unsigned i = 0; i < rounds && !failed_; ++i) {
    const std::uint64_t chance = random_.below(10);
    if (chance < 6) {
      co_await transact();
    } else if (chance < 8) {
      co_await write_register();
    } else {
      co_await read_register();
    }
    if (random_.one_in(4) && !co_await sleep_for(std::chrono::microseconds(random_.below(300)))) co_return;
  }
}

Task<> Worker::transact() {
  const bool locking = random_.one_in(3);
  const auto lock_wait = std::chrono::milliseconds(5);
  StoreTransaction step(
      store_, {.isolation = random_.one_in(4) ? kv::Isolation::serializable : kv::Isolation::snapshot,
               .locking = locking ? kv::Locking::row_locks : kv::Locking::optimistic,
               .lock_wait = lock_wait});
  ListTransaction record;
  record.begun = now();
  Result<> done = co_await do_reads(step, record);
  if (done && !random_.one_in(3)) done = co_await append(step, record);
  // Where the commit was not tried nothing can have happened.
  bool tried = false;
  if (done) {
    tried = true;
    const auto committed = co_await step.commit();
    if (!committed) done = std::unexpected(committed.error());
  } else {
    co_await step.rollback();
  }
  record.ended = now();
  record.end = done ? ListTransaction::End::committed : ListTransaction::End::aborted;
  if (!done) {
    const bool perhaps = tried && done.error().code != Errc::conflict && done.error().code != Errc::timed_out;
    if (perhaps) record.end = ListTransaction::End::unknown;
    (void)explains(done.error());
  }
  transactions_.push_back(std::move(record));
}

Task<Result<>> Worker::do_reads(StoreTransaction& step, ListTransaction& record) {
  const std::size_t first = random_.below(list_count), count = random_.between(1, list_count);
  if (random_.one_in(2)) {
    std::vector<StoredKey> keys;
    for (std::size_t i = 0; i < count; ++i)
      keys.push_back(stored(store_, list_name((first + i) % list_count)));
    const auto values = CO_TRY(co_await step.multi_get(keys));
    for (std::size_t i = 0; i < count; ++i)
      record.reads[list_name((first + i) % list_count)] = list_of(values[i]);
    co_return Result<>{};
  }
  for (std::size_t i = 0; i < count; ++i) {
    const std::string name = list_name((first + i) % list_count);
    const StoredKey key = stored(store_, name);
    record.reads[name] = list_of(CO_TRY(co_await step.get(key)));
    if (random_.one_in(4)) CO_TRY(co_await sleep_for(std::chrono::microseconds(random_.below(200))));
  }
  co_return Result<>{};
}

Task<Result<>> Worker::append(StoreTransaction& step, ListTransaction& record) {
  for (std::size_t i = random_.between(1, 3); i-- > 0;) {
    const std::string name = list_name(random_.below(list_count));
    if (record.appends.contains(name)) continue;
    const StoredKey key = stored(store_, name);
    const List list = list_of(CO_TRY(co_await step.get(key)));
    record.reads.emplace(name, list);
    std::string text;
    for (const std::uint64_t number : list) text += std::to_string(number) + ' ';
    const std::uint64_t own = ++number_;
    CO_TRY(co_await step.put(key, as_bytes(text + std::to_string(own))));
    record.appends[name] = own;
  }
  co_return Result<>{};
}

Task<> Worker::write_register() {
  const std::string name = "register-" + std::to_string(random_.below(register_count));
  const StoredKey key = stored(store_, name);
  const kv::PartitionId id = store_.partition_of(key);
  const auto value = random_.one_in(8) ? std::nullopt : std::optional(++number_);
  RegisterOperation operation{.invoked = now(), .returned = 0, .write = true, .value = value};
  const Result<> done =
      co_await invoke(store_.home_of(id), [&] { return put_here(store_.partition(id), key, value); });
  operation.returned = done ? now() : 0;
  operation.certain = done.has_value();
  if (!done) (void)explains(done.error());
  registers_.push_back({name, operation});
}

Task<> Worker::read_register() {
  const std::string name = "register-" + std::to_string(random_.below(register_count));
  const StoredKey key = stored(store_, name);
  const kv::PartitionId id = store_.partition_of(key);
  RegisterOperation operation{.invoked = now(), .returned = 0, .write = false, .value = {}};
  const auto found = co_await invoke(store_.home_of(id), [&] { return get_here(store_.partition(id), key); });
  if (!found) {
    (void)explains(found.error());
    co_return;
  }
  operation.returned = now();
  operation.value = *found;
  registers_.push_back({name, operation});
}

void Worker::record(ListHistory& lists, RegisterHistory& registers, std::uint64_t last) {
  for (ListTransaction& transaction : transactions_) lists.add(std::move(transaction));
  for (Register& one : registers_) {
    if (!one.operation.certain) one.operation.returned = last;
    registers.add(one.key, one.operation);
  }
}

Task<Result<std::map<std::string, List>>> read_lists(kv::Store& store) {
  StoreTransaction step(store);
  std::map<std::string, List> lists;
  const auto scan = CO_TRY(step.scan({}));
  while (CO_TRY(co_await scan->next())) {
    const std::string name = scan->key().substr(kv::key_prefix_bytes);
    if (name.starts_with("list-")) lists[name] = parse(scan->value().bytes);
  }
  co_return lists;
}

namespace {

Task<> run_on(ShardId shard, Worker& worker, unsigned rounds) {
  co_await invoke(shard, [&worker, rounds] { return worker.run(rounds); });
}

}  // namespace

Task<> run_crowd(Crowd crowd, std::vector<std::unique_ptr<Worker>>& made) {
  std::vector<Task<>> running;
  for (unsigned i = 0; i < crowd.workers; ++i) {
    made.push_back(std::make_unique<Worker>(crowd.store, crowd.first_number + i, crowd.time_base,
                                            crowd.seed * 1000 + i));
    running.push_back(
        run_on(ShardId{static_cast<std::uint16_t>(i % crowd.shards)}, *made.back(), crowd.rounds));
  }
  (void)co_await when_all(std::move(running));
}

}  // namespace ashlar::consistency
