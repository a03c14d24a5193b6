/// kv-get-warm: get of 1,000 keys that are all in tables and cached. kv-put-sync: puts that are durable when
/// they return, by one writer and by 64. Beside RocksDB, in its defaults and in its best configuration for
/// the case.

#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <utility>

#include "ashlar/kv/lsm/store.h"
#include "ashlar/runtime/shard/runtime.h"
#include "ashlar/runtime/sync/scope.h"
#include "ashlar/runtime/sync/sleep.h"
#include "bench/case.h"
#include "bench/cases/rocksdb_peer.h"
#include "bench/cases/workload.h"
#include "bench/machine.h"
#include "bench/process.h"

namespace ashlar::bench {

namespace {

lsm::LsmOptions engine_options() {
  lsm::LsmOptions options;
  options.partitions = 1;
  return options;
}

/// Opens a store in `directory` on a shard of `where`, runs `work` on it, closes it.
Result<> with_store(const std::string& directory, const std::vector<int>& where,
                    const std::function<Task<Result<>>(lsm::LsmStore&)>& work) {
  Result<> result;
  const auto run = [](const std::string& path, const auto& inner) -> Task<Result<>> {
    const auto store = CO_TRY(co_await lsm::LsmStore::open(path, engine_options(), 1));
    const Result<> done = co_await inner(*store);
    const Result<> closed = co_await store->close();
    co_return done ? closed : done;
  };
  const std::string path = directory + "/store";
  on_cores(where, [&] {
    Runtime runtime({.shards = 1, .shard = {}, .uring = {}});
    result = runtime.run([&](Shard&) { return run(path, work); });
  });
  return result;
}

Task<Result<>> load(lsm::LsmStore& store, const Keys& keys) {
  kv::Ticket last;
  const std::string value = value_of_bytes(value_bytes);
  for (const std::string& each : keys.names) {
    const kv::StoredKey key = store.stored(as_bytes(each));
    last = CO_TRY(store.partition_for(key).append({.key = &key, .value = as_bytes(value)}));
  }
  CO_TRY(co_await last);
  co_return co_await store.partition(kv::PartitionId{0}).flush();
}

/// From the user's key to the value's bytes, as a caller has it.
Task<Result<>> get_all(lsm::LsmStore& store, const Keys& keys, std::uint64_t slices, double* ns) {
  SliceClock clock(slices);
  clock.mark();
  std::uint64_t bytes = 0;
  for (std::uint64_t slice = 0; slice < slices; ++slice) {
    for (const std::uint32_t which : keys.order) {
      const kv::StoredKey key = store.stored(as_bytes(keys.names[which]));
      const auto value = CO_TRY(co_await store.partition_for(key).get(key));
      bytes += value ? value->bytes.size() : 0;
    }
    if (Shard::current().should_yield())
      co_await yield();  // no get suspends: the shard would hear of nothing else
    clock.mark();
  }
  *ns = clock.ns_each(keys.order.size());
  if (bytes != slices * keys.order.size() * value_bytes) co_return fail(Errc::corrupt, "kv-get-warm");
  co_return Result<>{};
}

Result<Sample> measure_get(const std::string& data, const Keys& keys, std::uint64_t slices) {
  const ScratchDirectory scratch(data);
  Sample sample;
  const auto work = [&](lsm::LsmStore& store) -> Task<Result<>> {
    CO_TRY(co_await load(store, keys));
    if (store.partition(kv::PartitionId{0}).stats().memtable_entries != 0)
      co_return fail(Errc::invalid, "flush");
    co_return co_await get_all(store, keys, slices, &sample.value);
  };
  TRY(with_store(scratch.path(), {cores().back()}, work));
  return sample;
}

Task<> write(lsm::LsmStore* store, unsigned writer, std::uint64_t count, Result<>* failed) {
  const std::string value = value_of_bytes(value_bytes);
  for (std::uint64_t i = 0; i < count; ++i) {
    const kv::StoredKey key = store->stored(as_bytes(key_of_writer(writer, i)));
    const auto ticket = store->partition_for(key).append({.key = &key, .value = as_bytes(value)});
    Result<> done;
    if (ticket) {
      done = co_await *ticket;
    } else {
      done = std::unexpected(ticket.error());
    }
    if (!done) *failed = std::move(done);
  }
}

Result<Sample> measure_put(const std::string& data, unsigned writers, std::uint64_t count_each) {
  const ScratchDirectory scratch(data);
  Sample sample;
  const auto work = [&](lsm::LsmStore& store) -> Task<Result<>> {
    CO_TRY(co_await sleep_for(std::chrono::milliseconds(warm_up_ms)));
    Result<> failed;
    const double start = seconds_now();
    TaskScope scope;
    for (unsigned writer = 0; writer < writers; ++writer)
      scope.spawn(write(&store, writer, count_each, &failed));
    co_await scope.join();
    sample.value = static_cast<double>(writers * count_each) / (seconds_now() - start);
    co_return failed;
  };
  TRY(with_store(scratch.path(), cores(), work));
  return sample;
}

Result<Contest> prepare_get(const BenchOptions& options, RocksdbPeer::Setup setup) {
  const std::uint64_t slices = scaled(options, 2'000);
  const auto keys = std::make_shared<const Keys>(1'000);
  Contest contest;
  contest.ashlar = [=, data = options.data] { return measure_get(data, *keys, slices); };
  if (rocksdb_is_here()) {
    const auto peer = std::make_shared<ScratchDirectory>(options.data);
    contest.peer = [=]() -> Result<Sample> {
      RocksdbPeer database = TRY(RocksdbPeer::open(peer->path(), setup));
      return database.measure_get(*keys, slices);
    };
    contest.peer_version = rocksdb_version();
  }
  contest.configuration = {{"keys", "1000, key-%08d"},
                           {"value bytes", std::to_string(value_bytes)},
                           {"gets", std::to_string(slices * keys->order.size())},
                           {"ashlar", "1 shard, 1 partition, defaults"},
                           {"rocksdb", describe(setup)},
                           {"pinned", "both sides to one core"}};
  return contest;
}

Result<Contest> prepare_put(const BenchOptions& options, unsigned writers, RocksdbPeer::Setup setup) {
  const std::uint64_t count_each = scaled(options, writers == 1 ? 1'000 : 500);
  Contest contest;
  contest.ashlar = [=, data = options.data] { return measure_put(data, writers, count_each); };
  if (rocksdb_is_here()) {
    contest.peer = [=, data = options.data]() -> Result<Sample> {
      const ScratchDirectory scratch(data);
      RocksdbPeer database = TRY(RocksdbPeer::open(scratch.path(), setup));
      return database.measure_put(writers, count_each);
    };
    contest.peer_version = rocksdb_version();
  }
  contest.configuration = {{"writers", std::to_string(writers)},
                           {"puts", std::to_string(writers * count_each)},
                           {"value bytes", std::to_string(value_bytes)},
                           {"ashlar", "1 shard, 1 partition, tasks"},
                           {"rocksdb", describe(setup) + ", threads, sync"},
                           {"pinned", "both sides to the same cores"}};
  return contest;
}

}  // namespace

void add_kv_cases(std::vector<Case>& cases) {
  using Setup = RocksdbPeer::Setup;
  const auto add_get = [&](const char* name, Setup setup, double target) {
    cases.push_back({.name = fmt::format("kv-get-warm/{}", name),
                     .summary = "get of 1,000 cached keys in tables, beside RocksDB: " + describe(setup),
                     .unit = "ns",
                     .more_is_better = false,
                     .peer_name = "RocksDB",
                     .target = target,
                     .prepare = [=](const BenchOptions& options) { return prepare_get(options, setup); }});
  };
  const auto add_put = [&](const char* name, unsigned writers, Setup setup, double target) {
    cases.push_back(
        {.name = fmt::format("kv-put-sync/{}", name),
         .summary = fmt::format("durable puts, {} writers, beside RocksDB: {}", writers, describe(setup)),
         .unit = "puts/s",
         .more_is_better = true,
         .peer_name = "RocksDB",
         .target = target,
         .prepare = [=](const BenchOptions& options) { return prepare_put(options, writers, setup); }});
  };
  add_get("default", Setup::defaults, 4);
  add_get("hash-index", Setup::hash_index, 1.5);
  add_get("plain-table", Setup::plain_table, 1.5);
  add_put("1-default", 1, Setup::defaults, 1.3);
  add_put("1-best", 1, Setup::sync_writes, 1.3);
  add_put("64-default", 64, Setup::defaults, 5);
  add_put("64-best", 64, Setup::sync_writes, 5);
}

}  // namespace ashlar::bench
