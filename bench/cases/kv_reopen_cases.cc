/// kv-reopen: from the start of the program to its first answer, with much data in tables and a log to
/// replay, after a SIGKILL.

#include <unistd.h>

#include <chrono>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "ashlar/base/units.h"
#include "ashlar/runtime/sync/sleep.h"
#include "bench/case.h"
#include "bench/kv/child.h"
#include "bench/kv/data.h"
#include "bench/kv/stream.h"
#include "bench/kv/tasks.h"
#include "bench/kv/threads.h"
#include "bench/machine.h"

namespace ashlar::bench {

namespace {

constexpr std::size_t value_bytes = 1000;
constexpr std::uint64_t key_count = 10'000'000;  // 10 GB
constexpr std::uint64_t log_keys = 24'000;       // 24 MB that are in no table when it is killed

Plan filling(std::uint64_t keys, Choice choice, unsigned batch) {
  Plan plan;
  plan.keys = keys;
  plan.value_bytes = value_bytes;
  plan.mix = {.updates = 100};
  plan.choice = choice;
  plan.batch = batch;
  plan.operations = keys;
  return plan;
}

/// What is written last before the kill, and that it is durable.
Plan last_words(std::uint64_t keys) {
  Plan plan = filling(keys, Choice::uniform, 64);
  plan.operations = std::min(keys, log_keys);
  plan.durable = true;
  return plan;
}

AshlarSetup one_partition() {
  AshlarSetup setup;
  setup.engine.partitions = 1;
  return setup;
}

Result<> fill_ours(const std::string& directory, std::uint64_t keys) {
  Meter meter(false);
  TRY(run_by_tasks(directory, one_partition(), filling(keys, Choice::sequential, 64), meter));
  return {};
}

Task<Result<>> write_and_say(lsm::LsmStore& store, std::uint64_t keys, const std::function<void()>& ready) {
  const Plan plan = last_words(keys);
  Stream stream(plan, 0);
  kv::Ticket last;
  for (std::uint64_t i = 0; i < plan.operations; ++i) {
    const kv::StoredKey key = store.stored(as_bytes(std::string_view(KeyText(stream.next().key))));
    last = CO_TRY(store.partition_for(key).append({.key = &key, .value = as_bytes(stream.value())}));
    if (i % plan.batch == 0) CO_TRY(co_await last);
  }
  CO_TRY(co_await last);
  ready();
  for (;;) co_await sleep_for(std::chrono::seconds(1));
}

Result<> leave_ours(const std::string& directory, std::uint64_t keys, const std::function<void()>& ready) {
  return with_store(directory, one_partition(), 1, keys,
                    [&](lsm::LsmStore& store) { return write_and_say(store, keys, ready); });
}

Task<Result<>> first_answer(lsm::LsmStore& store, std::uint64_t keys, double begin, double* ms) {
  const kv::StoredKey key = store.stored(as_bytes(std::string_view(KeyText(keys / 2))));
  const auto value = CO_TRY(co_await store.partition_for(key).get(key));
  *ms = (seconds_now() - begin) * 1e3;
  co_return value ? Result<>() : fail(Errc::corrupt, "kv-reopen");
}

Result<Sample> reopen_ours(const std::string& directory, std::uint64_t keys) {
  Sample sample;
  const double begin = seconds_now();
  TRY(with_store(directory, one_partition(), 1, keys,
                 [&](lsm::LsmStore& store) { return first_answer(store, keys, begin, &sample.value); }));
  return sample;
}

EngineOptions options_for(const std::string& directory, std::uint64_t keys) {
  return {.directory = directory, .map_bytes = 4 * keys * value_bytes + 1_GiB};
}

Result<> fill_peer(const EngineKind& kind, const std::string& directory, std::uint64_t keys) {
  const auto engine = TRY(kind.open(kind, options_for(directory, keys)));
  Meter meter(false);
  TRY(run_by_threads(*engine, filling(keys, Choice::sequential, 64), meter));
  return engine->flush();
}

Result<> leave_peer(const EngineKind& kind, const std::string& directory, std::uint64_t keys,
                    const std::function<void()>& ready) {
  const auto engine = TRY(kind.open(kind, options_for(directory, keys)));
  Meter meter(false);
  TRY(run_by_threads(*engine, last_words(keys), meter));
  ready();
  for (;;) ::pause();
}

Result<Sample> reopen_peer(const EngineKind& kind, const std::string& directory, std::uint64_t keys) {
  const double begin = seconds_now();
  const auto engine = TRY(kind.open(kind, options_for(directory, keys)));
  const std::size_t bytes = TRY(engine->session()->get(KeyText(keys / 2)));
  if (bytes != value_bytes) return fail(Errc::corrupt, "kv-reopen");
  return Sample{.value = (seconds_now() - begin) * 1e3};
}

struct Acts {
  std::function<Result<>(const std::string&)> fill;
  std::function<Result<>(const std::string&, const std::function<void()>&)> leave;
  std::function<Result<Sample>(const std::string&)> reopen;
};

Measure measure(unsigned shelf, std::string name, std::string parent, Acts acts) {
  return [=]() -> Result<Sample> {
    const auto load = [&](const std::string& directory) -> Result<> {
      TRY(in_child([&]() -> Result<Sample> {
        TRY(acts.fill(directory));
        return Sample{};
      }));
      return {};
    };
    const DataSet data = TRY(data_set(shelf, parent, name, load));
    TRY(in_killed_child([&](const std::function<void()>& ready) { return acts.leave(data->path(), ready); }));
    return in_child([&] { return acts.reopen(data->path()); });
  };
}

Result<Contest> prepare(const BenchOptions& options, const char* engine, const char* setup) {
  const std::uint64_t keys = std::max<std::uint64_t>(1000, scaled(options, key_count));
  Contest contest;
  contest.ashlar =
      measure(0, fmt::format("reopen {}", keys), options.data,
              {.fill = [=](const std::string& directory) { return fill_ours(directory, keys); },
               .leave = [=](const std::string& directory,
                            const auto& ready) { return leave_ours(directory, keys, ready); },
               .reopen = [=](const std::string& directory) { return reopen_ours(directory, keys); }});
  const EngineKind* const kind = find_engine(engine, setup);
  if (kind != nullptr) {
    contest.peer = measure(
        1, fmt::format("reopen {} {} {}", engine, setup, keys), options.data,
        {.fill = [=](const std::string& directory) { return fill_peer(*kind, directory, keys); },
         .leave = [=](const std::string& directory,
                      const auto& ready) { return leave_peer(*kind, directory, keys, ready); },
         .reopen = [=](const std::string& directory) { return reopen_peer(*kind, directory, keys); }});
    contest.peer_version = kind->version;
  }
  contest.configuration = {{"keys", std::to_string(keys)},
                           {"value bytes", std::to_string(value_bytes)},
                           {"in the log only", std::to_string(last_words(keys).operations)},
                           {"page cache", "as the load left it"},
                           {"peer", kind != nullptr ? engine + (": " + kind->summary) : ""}};
  return contest;
}

}  // namespace

void add_kv_reopen_cases(std::vector<Case>& cases) {
  const auto add = [&](const char* name, const char* engine, const char* setup) {
    cases.push_back(
        {.name = fmt::format("kv-reopen/{}", name),
         .summary =
             fmt::format("10 GB and a log to replay, opened after a SIGKILL, beside {}, {}", engine, setup),
         .unit = "ms",
         .more_is_better = false,
         .peer_name = engine,
         .prepare = [=](const BenchOptions& options) { return prepare(options, engine, setup); }});
  };
  add("default", "RocksDB", "default");
  add("tuned", "RocksDB", "tuned");
  add("LMDB", "LMDB", "writemap");
  add("LevelDB", "LevelDB", "tuned");
  add("WiredTiger", "WiredTiger", "default");
}

}  // namespace ashlar::bench
