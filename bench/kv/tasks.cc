/// 1. Open the store. 2. On each shard, its tasks warm their part of the keys. 3. Rest. 4. On each shard, its
/// tasks work until their clocks say that it is over. 5. Where the plan settles, the clock runs on until all
/// is in tables.

#include "bench/kv/tasks.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "ashlar/runtime/memory/epoch.h"
#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/shard/runtime.h"
#include "ashlar/runtime/sync/scope.h"
#include "ashlar/runtime/sync/sleep.h"
#include "ashlar/runtime/sync/when.h"
#include "bench/kv/pace.h"
#include "bench/kv/stream.h"

namespace ashlar::bench {

namespace {

constexpr unsigned slice_operations = 500;

/// One task's work. Lives on its shard.
class TaskWorker {
 public:
  TaskWorker(lsm::LsmStore& store, const Plan& plan, unsigned number)
      : store_(store), plan_(plan), number_(number), stream_(plan, number) {}

  Task<Result<>> warm() {
    const std::uint64_t first = plan_.keys * number_ / plan_.workers;
    const std::uint64_t last = plan_.keys * (number_ + 1) / plan_.workers;
    for (std::uint64_t key = first; key < last; ++key) {
      CO_TRY(co_await read(key));
      if (Shard::current().should_yield()) co_await yield();
    }
    co_return Result<>();
  }

  Task<Result<>> work() {
    Pace pace(plan_, plan_.batch > slice_operations ? plan_.batch : slice_operations);
    for (;;) {
      const Operation operation = stream_.next();
      std::uint64_t done = 1;
      if (operation.verb == Verb::read && plan_.batch <= 1) {
        // The path that is measured in nanoseconds: no frame between the caller and the engine.
        const StoredKey key = stored(operation.key);
        const kv::PartitionId id = store_.partition_of(key);
        if (store_.home_of(id) == Shard::current().id()) {
          const auto value = CO_TRY(co_await store_.partition(id).get(key, reading()));
          if (!value || value->bytes.empty()) pace.missing();
        } else if (CO_TRY(co_await read_elsewhere(key, id)) == 0) {
          pace.missing();
        }
      } else {
        done = CO_TRY(co_await step(operation, pace));
      }
      if (!pace.done(done)) break;
      if (Shard::current().should_yield()) co_await yield();  // hits suspend nothing
    }
    outcome_ = pace.finish();
    co_return Result<>();
  }

  Outcome& outcome() noexcept { return outcome_; }

 private:
  using StoredKey = kv::StoredKey;

  StoredKey stored(std::uint64_t number) const {
    return store_.stored(as_bytes(std::string_view(KeyText(number))));
  }

  Task<Result<std::uint64_t>> step(Operation operation, Pace& pace) {
    switch (operation.verb) {
      case Verb::read: co_return co_await read_many(operation.key, pace);
      case Verb::update:
      case Verb::insert: co_return co_await write(operation.key);
      case Verb::scan: co_return co_await scan(operation);
      case Verb::read_modify_write: {
        if (CO_TRY(co_await read(operation.key)) == 0) pace.missing();
        const StoredKey key = stored(operation.key);
        CO_TRY(co_await put(key));
        co_return std::uint64_t{1};
      }
    }
    co_return std::uint64_t{1};
  }

  Task<Result<std::size_t>> read(std::uint64_t number) {
    const StoredKey key = stored(number);
    const kv::PartitionId id = store_.partition_of(key);
    if (store_.home_of(id) != Shard::current().id()) co_return co_await read_elsewhere(key, id);
    const auto value = CO_TRY(co_await store_.partition(id).get(key, reading()));
    co_return value ? value->bytes.size() : 0;
  }

  Task<Result<std::size_t>> read_elsewhere(const StoredKey& key, kv::PartitionId id) {
    {
      const epoch::Guard guard;
      kv::Peek found;
      if (store_.partition(id).peek(key, durability(), found))
        co_return found.present ? found.value.size() : 0;
    }
    co_return co_await invoke(store_.home_of(id),
                              [&] { return size_of(store_.partition(id), key, reading()); });
  }
  static Task<Result<std::size_t>> size_of(kv::Partition& partition, const StoredKey& key,
                                           kv::ReadOptions reading) {
    const auto value = CO_TRY(co_await partition.get(key, reading));
    co_return value ? value->bytes.size() : 0;
  }

  Task<Result<std::uint64_t>> read_many(std::uint64_t first, Pace& pace) {
    keys_.clear();
    keys_.push_back(stored(first));
    while (keys_.size() < plan_.batch) keys_.push_back(stored(stream_.next().key));
    for (std::uint16_t part = 0; part < store_.partitions(); ++part) {
      reads_.clear();
      for (const StoredKey& key : keys_) {
        if (store_.partition_of(key).value == part) reads_.push_back({.key = &key, .options = reading()});
      }
      if (reads_.empty()) continue;
      const kv::PartitionId id{part};
      co_await invoke(store_.home_of(id), [&] { return read_all(store_.partition(id), reads_); });
      for (const kv::Read& read : reads_) {
        if (!read.result) co_return std::unexpected(read.result.error());
        if (!*read.result) pace.missing();
      }
    }
    co_return std::uint64_t{plan_.batch};
  }
  /// Values leave with their pins, which are the owner's, hence only whether there is one.
  static Task<> read_all(kv::Partition& partition, std::vector<kv::Read>& reads) {
    co_await partition.multi_get(reads);
    for (kv::Read& read : reads) {
      if (read.result && *read.result) (*read.result)->pin.reset();
    }
  }

  Task<Result<std::uint64_t>> write(std::uint64_t first) {
    if (plan_.batch <= 1) {
      const StoredKey key = stored(first);
      CO_TRY(co_await put(key));
      co_return std::uint64_t{1};
    }
    keys_.clear();
    keys_.push_back(stored(first));
    while (keys_.size() < plan_.batch) keys_.push_back(stored(stream_.next().key));
    for (std::uint16_t part = 0; part < store_.partitions(); ++part) {
      writes_.clear();
      for (const StoredKey& key : keys_) {
        if (store_.partition_of(key).value == part)
          writes_.push_back({.key = &key, .value = as_bytes(stream_.value())});
      }
      if (!writes_.empty()) CO_TRY(co_await append(kv::PartitionId{part}, writes_));
    }
    co_return std::uint64_t{plan_.batch};
  }

  Task<Result<>> put(const StoredKey& key) {
    const kv::Write write{.key = &key, .value = as_bytes(stream_.value())};
    co_return co_await append(store_.partition_of(key), {&write, 1});
  }
  Task<Result<>> append(kv::PartitionId id, std::span<const kv::Write> writes) {
    const ShardId home = store_.home_of(id);
    if (home != Shard::current().id())
      co_return co_await invoke(home,
                                [&] { return append_here(store_.partition(id), writes, durability()); });
    const kv::Ticket ticket = CO_TRY(store_.partition(id).append(writes, durability()));
    co_return co_await ticket;
  }
  static Task<Result<>> append_here(kv::Partition& partition, std::span<const kv::Write> writes,
                                    kv::Durability durability) {
    const kv::Ticket ticket = CO_TRY(partition.append(writes, durability));
    co_return co_await ticket;
  }
  /// A read sees what the peer's would: writes that were acknowledged, durable or not.
  kv::ReadOptions reading() const noexcept { return {.durability = durability()}; }
  kv::Durability durability() const noexcept {
    return plan_.durable ? kv::Durability::durable : kv::Durability::periodic;
  }

  /// A scan ends with the partition of its first key.
  Task<Result<std::uint64_t>> scan(Operation operation) {
    const StoredKey first = stored(operation.key);
    const kv::PartitionId id = store_.partition_of(first);
    const std::uint64_t entries = CO_TRY(co_await invoke(store_.home_of(id), [&] {
      return walk(store_.partition(id), first, operation.entries, plan_.backward);
    }));
    co_return plan_.mix.scans == 100 ? std::max<std::uint64_t>(entries, 1) : 1;
  }
  static Task<Result<std::uint64_t>> walk(kv::Partition& partition, const StoredKey& first,
                                          std::uint64_t count, bool backward) {
    kv::ScanOptions range{.read = {.durability = kv::Durability::periodic}};
    (backward ? range.last : range.first) = first.bytes();
    range.direction = backward ? kv::Direction::backward : kv::Direction::forward;
    const auto cursor = partition.scan(range);
    std::uint64_t entries = 0;
    while (entries < count && CO_TRY(co_await cursor->next())) {
      entries += cursor->item().key.size() + cursor->item().value.size() != 0 ? 1 : 0;
      // Some 2 us of work between two looks at the clock, which costs as much as half an entry.
      if (entries % 16 == 0 && Shard::current().should_yield()) co_await yield();
    }
    co_return entries;
  }

  lsm::LsmStore& store_;
  const Plan& plan_;
  unsigned number_;
  Stream stream_;
  Outcome outcome_;
  std::vector<StoredKey> keys_;
  std::vector<kv::Read> reads_;
  std::vector<kv::Write> writes_;
};

/// As many ranges as shards, of equally many keys.
kv::Partitioner partitioner_of(const AshlarSetup& setup, unsigned shards, std::uint64_t keys) {
  if (!setup.ordered) return kv::Partitioner::hashed(shards);
  std::vector<std::string> boundaries;
  for (unsigned shard = 1; shard < shards; ++shard)
    boundaries.emplace_back(std::string_view(KeyText(keys * shard / shards)));
  return *kv::Partitioner::ranged(std::move(boundaries));
}

Task<Result<>> run_with_store(std::string path, const AshlarSetup& setup, kv::Partitioner partitioner,
                              unsigned shards, const std::function<Task<Result<>>(lsm::LsmStore&)>& work) {
  const auto store = CO_TRY(co_await lsm::LsmStore::open(path, setup.engine, shards, &partitioner));
  const Result<> done = co_await work(*store);
  const Result<> closed = co_await store->close();
  co_return done ? closed : done;
}

/// A shard without a main of its own answers the others until they end.
Task<Result<>> serve_others() {
  co_return Result<>();
}

enum class Phase : std::uint8_t { warm, work };

/// One shard's tasks, to their end.
Task<Result<>> run_on_shard(std::vector<TaskWorker>* workers, Phase phase) {
  std::vector<Task<Result<>>> tasks;
  for (TaskWorker& worker : *workers) tasks.push_back(phase == Phase::warm ? worker.warm() : worker.work());
  for (Result<>& result : co_await when_all(std::move(tasks))) CO_TRY(std::move(result));
  co_return Result<>();
}

Task<Result<>> invoke_shard(unsigned shard, std::vector<TaskWorker>* workers, Phase phase) {
  co_return co_await invoke(ShardId{shard}, [=] { return run_on_shard(workers, phase); });
}

using WorkersOfShards = std::vector<std::vector<TaskWorker>>;

Task<Result<>> run_phase(WorkersOfShards& workers, Phase phase) {
  std::vector<Task<Result<>>> shards;
  for (unsigned shard = 0; shard < workers.size(); ++shard)
    shards.push_back(invoke_shard(shard, &workers[shard], phase));
  for (Result<>& result : co_await when_all(std::move(shards))) CO_TRY(std::move(result));
  co_return Result<>();
}

Task<> note_waits(lsm::LsmStore& store, Outcome& outcome) {
  for (std::uint16_t part = 0; part < store.partitions(); ++part) {
    const kv::PartitionId id{part};
    const auto stats = co_await invoke(store.home_of(id), [&] { return store.partition(id).stats(); });
    outcome.engine_wait_ns =
        std::max({outcome.engine_wait_ns, stats.longest_delay_ns, stats.longest_stall_ns});
    outcome.log_wait_ns = std::max(outcome.log_wait_ns, stats.longest_log_wait_ns);
  }
}

Task<Result<>> run_plan(lsm::LsmStore& store, unsigned shards, const Plan& plan, Meter& meter,
                        Outcome& outcome) {
  WorkersOfShards workers(shards);
  for (unsigned shard = 0; shard < shards; ++shard) {
    for (unsigned number = shard; number < plan.workers; number += shards)
      workers[shard].emplace_back(store, plan, number);
  }
  if (plan.warm) CO_TRY(co_await run_phase(workers, Phase::warm));
  if (plan.rest_seconds > 0)
    CO_TRY(co_await sleep_for(
        std::chrono::duration_cast<Duration>(std::chrono::duration<double>(plan.rest_seconds))));
  meter.begin();
  const double begin = seconds_now();
  CO_TRY(co_await run_phase(workers, Phase::work));
  if (plan.settle) CO_TRY(co_await settle_store(store, false));
  const double seconds = seconds_now() - begin;
  meter.end();
  for (auto& of_shard : workers) {
    for (TaskWorker& worker : of_shard) outcome.merge(worker.outcome());
  }
  co_await note_waits(store, outcome);
  if (plan.workers == 1 && !plan.settle) outcome.ns_each = workers[0][0].outcome().ns_each;
  outcome.seconds = seconds;
  co_return Result<>();
}

Task<Result<>> settle_partition(lsm::LsmPartition& partition, bool compact) {
  CO_TRY(co_await partition.flush());
  if (compact) CO_TRY(co_await partition.settle_compaction());
  co_return Result<>();
}

}  // namespace

Task<Result<>> settle_store(lsm::LsmStore& store, bool compact) {
  for (std::uint16_t part = 0; part < store.partitions(); ++part) {
    const kv::PartitionId id{part};
    CO_TRY(
        co_await invoke(store.home_of(id), [&] { return settle_partition(store.partition(id), compact); }));
  }
  co_return Result<>();
}

Result<> with_store(const std::string& directory, const AshlarSetup& setup, unsigned shards,
                    std::uint64_t keys, const std::function<Task<Result<>>(lsm::LsmStore&)>& work) {
  const std::string path = directory + "/ashlar";
  RuntimeOptions options{.shards = shards, .shard = {}, .uring = {}};
  if (setup.spin) options.shard.spin = *setup.spin;
  Runtime runtime(options);
  return runtime.run([&](Shard& shard) {
    return shard.id().value == 0
               ? run_with_store(path, setup, partitioner_of(setup, setup.serving(shards), keys), shards, work)
               : serve_others();
  });
}

Result<Outcome> run_by_tasks(const std::string& directory, const AshlarSetup& setup, const Plan& plan,
                             Meter& meter) {
  Outcome outcome;
  TRY(with_store(directory, setup, plan.shards, plan.keys, [&](lsm::LsmStore& store) {
    return run_plan(store, setup.serving(plan.shards), plan, meter, outcome);
  }));
  return outcome;
}

}  // namespace ashlar::bench
