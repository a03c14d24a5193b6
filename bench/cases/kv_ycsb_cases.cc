/// kv-ycsb: the core workloads of the Yahoo Cloud Serving Benchmark (Cooper et al., SoCC 2010), records of
/// 1,000 bytes, Zipfian requests: A updates heavily, B reads mostly, C only, D the latest, E scans short
/// ranges, F reads, modifies and writes.

#include <string>
#include <utility>

#include <fmt/format.h>

#include "ashlar/base/units.h"
#include "bench/case.h"
#include "bench/kv/contest.h"

namespace ashlar::bench {

namespace {

struct Workload {
  char letter;
  const char* summary;
  Mix mix;
  Choice choice;
};

constexpr Workload workloads[] = {
    {'a', "half reads, half updates", {.reads = 50, .updates = 50}, Choice::zipfian},
    {'b', "95 % reads, 5 % updates", {.reads = 95, .updates = 5}, Choice::zipfian},
    {'c', "reads", {.reads = 100}, Choice::zipfian},
    {'d', "95 % reads of the latest, 5 % inserts", {.reads = 95, .inserts = 5}, Choice::latest},
    {'e', "95 % scans of 1 to 100 entries, 5 % inserts", {.inserts = 5, .scans = 95}, Choice::zipfian},
    {'f', "half reads, half read, modify, write", {.reads = 50, .read_modify_writes = 50}, Choice::zipfian},
};

KvCase workload(const Workload& which, unsigned cores, const char* engine, const char* setup,
                const std::string& suffix) {
  KvCase made;
  made.name = fmt::format("kv-ycsb/{}-{}", which.letter, suffix);
  made.summary = fmt::format("{}, beside {}, {}", which.summary, engine, setup);
  made.plan = {.keys = 500'000,
               .value_bytes = 1000,
               .mix = which.mix,
               .choice = which.choice,
               .cores = cores,
               .shards = cores,
               .workers = cores > 1 ? cores * tasks_per_shard : 1,
               .scan_entries = 100,
               .scan_to_random = true,
               .timed = true,
               .warm = true,
               .rest_seconds = 0.5};
  made.ours.engine.cache_bytes = made.peer_cache_bytes = 1_GiB;
  made.peer_plan = one_thread_per_core;
  made.peer_engine = engine;
  made.peer_setup = setup;
  return made;
}

}  // namespace

void add_kv_ycsb_cases(std::vector<Case>& cases) {
  const auto add = [&](unsigned cores, const char* engine, const char* setup, const std::string& suffix) {
    for (const Workload& each : workloads)
      cases.push_back(make_case(workload(each, cores, engine, setup, suffix)));
  };
  add(1, "RocksDB", "default", "default");
  add(1, "RocksDB", "tuned", "tuned");
  add(2, "RocksDB", "tuned", "two");
  add(1, "LMDB", "writemap", "LMDB");
  add(1, "LevelDB", "tuned", "LevelDB");
  add(1, "WiredTiger", "tuned", "WiredTiger");
}

}  // namespace ashlar::bench
