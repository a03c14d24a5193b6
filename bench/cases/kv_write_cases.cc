/// kv-put-sync: puts that are durable when they return. kv-load: a new store, filled. kv-overwrite: a full
/// store, overwritten for long. kv-large-values: put and get of them.

#include <chrono>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "ashlar/base/units.h"
#include "bench/case.h"
#include "bench/kv/contest.h"

namespace ashlar::bench {

namespace {

void add_put_sync(std::vector<Case>& cases) {
  const auto add = [&](const std::string& name, unsigned writers, bool threads, const char* engine,
                       const char* setup, double target) {
    KvCase made;
    made.name = "kv-put-sync/" + name;
    made.summary = fmt::format("durable puts, {} {}, beside {}, {}", writers,
                               threads ? "plain threads" : "tasks", engine, setup);
    made.plan = {.keys = 1'000'000,
                 .mix = {.updates = 100},
                 .cores = 2,
                 .workers = writers,
                 .durable = true,
                 .timed = true,
                 .rest_seconds = 1};  // what opening left to the background is done
    made.source = Source::empty;
    made.ours_by_threads = threads;
    made.peer_engine = engine;
    made.peer_setup = setup;
    made.target = target;
    cases.push_back(make_case(made));
  };
  add("1-default", 1, false, "RocksDB", "default", 1.3);
  add("1-best", 1, false, "RocksDB", "sync-writes", 1.3);
  add("1-LMDB", 1, false, "LMDB", "default", 0);
  add("1-LevelDB", 1, false, "LevelDB", "default", 0);
  add("1-WiredTiger", 1, false, "WiredTiger", "tuned", 0);
  add("64-default", 64, false, "RocksDB", "default", 5);
  add("64-best", 64, false, "RocksDB", "sync-writes", 5);
  add("64-LevelDB", 64, false, "LevelDB", "default", 0);
  add("64-WiredTiger", 64, false, "WiredTiger", "tuned", 0);
  add("threads-64-default", 64, true, "RocksDB", "default", 1.5);
  add("threads-64-best", 64, true, "RocksDB", "sync-writes", 1.5);
}

void add_load(std::vector<Case>& cases) {
  constexpr std::uint64_t count = 10'000'000;
  const auto add = [&](const std::string& name, Choice choice, unsigned cores, const char* engine,
                       const char* setup, double target, unsigned aside = 0) {
    KvCase made;
    made.name = "kv-load/" + name;
    made.summary = fmt::format("10 M puts into a new store until all is in tables, {}beside {}, {}",
                               aside != 0 ? "a shard set aside, " : "", engine, setup);
    made.plan = {.keys = count,
                 .mix = {.updates = 100},
                 .choice = choice,
                 .cores = cores,
                 .shards = cores,
                 .workers = cores > 1 ? (cores - aside) * tasks_per_shard : 1,
                 .timed = true,
                 .operations = count,
                 .settle = true};
    made.source = Source::empty;
    made.amplification = true;
    made.ours.engine.background_shards = aside;
    made.peer_plan = aside != 0 ? one_thread : one_thread_per_core;
    made.peer_engine = engine;
    made.peer_setup = setup;
    made.target = target;
    cases.push_back(make_case(made));
  };
  add("sequential-default", Choice::sequential, 1, "RocksDB", "default", 2);
  add("sequential-bulk", Choice::sequential, 1, "RocksDB", "bulk", 2);
  add("random-default", Choice::shuffled, 1, "RocksDB", "default", 2);
  add("random-tuned", Choice::shuffled, 1, "RocksDB", "tuned", 2);
  add("random-bulk", Choice::shuffled, 1, "RocksDB", "bulk", 2);
  add("random-two", Choice::shuffled, 2, "RocksDB", "tuned", 2);
  add("random-aside", Choice::shuffled, 2, "RocksDB", "tuned", 2, 1);
  add("random-LevelDB", Choice::shuffled, 1, "LevelDB", "tuned", 0);
  add("random-LMDB", Choice::shuffled, 1, "LMDB", "writemap", 0);
  add("random-WiredTiger", Choice::shuffled, 1, "WiredTiger", "tuned", 0);
}

void add_overwrite(std::vector<Case>& cases) {
  // Ashlar's defaults make a write durable within this, however it is acknowledged.
  const double sync_period = std::chrono::duration<double>(lsm::LsmOptions().log.sync_period).count();
  const auto add = [&](const std::string& name, unsigned serving, const char* setup, double sync_seconds,
                       lsm::Goal goal = lsm::Goal::balanced) {
    KvCase made;
    made.name = "kv-overwrite/" + name;
    made.summary = fmt::format("2 M keys of 400 bytes, overwritten at random, {}beside RocksDB, {}{}",
                               serving == 1 ? "a shard set aside, " : "", setup,
                               sync_seconds != 0 ? ", its log synced as often" : "");
    made.plan = {.keys = 2'000'000,
                 .value_bytes = 400,
                 .mix = {.updates = 100},
                 .cores = 2,
                 .shards = 2,
                 .workers = serving * tasks_per_shard,
                 .sync_seconds = sync_seconds,
                 .timed = true};
    made.ours.engine.background_shards = 2 - serving;
    made.ours.engine.goal = goal;
    made.peer_plan = serving == 1 ? one_thread : one_thread_per_core;
    made.sustained = true;
    made.amplification = true;
    made.peer_setup = setup;
    made.target = 2;
    cases.push_back(make_case(made));
  };
  add("leveled", 2, "tuned", sync_period);
  add("universal", 2, "universal", sync_period);
  add("write-heavy", 2, "universal", sync_period, lsm::Goal::write_heavy);
  add("default", 2, "default", 0);
  add("aside", 1, "tuned", sync_period);
}

void add_large_values(std::vector<Case>& cases) {
  constexpr std::uint64_t total_bytes = 512_MiB;
  const auto add = [&](const char* size, std::size_t bytes, bool read, const char* setup) {
    KvCase made;
    made.name = fmt::format("kv-large-values/{}-{}-{}", read ? "get" : "put", size, setup);
    made.summary = fmt::format("{} of {} values, beside RocksDB, {}", read ? "get" : "put", size, setup);
    made.plan = {.keys = total_bytes / bytes, .value_bytes = bytes, .timed = true};
    made.ours.engine.cache_bytes = made.peer_cache_bytes = 64_MiB;
    if (read) {  // from the device: else the peer has it all in the page cache
      made.plan.mix.reads = 100;
      made.direct = true;
      made.ours.engine.cache_bytes = 1_MiB;
    } else {
      made.plan.mix.updates = 100;
      made.plan.choice = Choice::shuffled;
      made.plan.operations = total_bytes / bytes;
      made.plan.settle = true;
      made.source = Source::empty;
      made.amplification = true;
    }
    made.peer_setup = setup;
    cases.push_back(make_case(made));
  };
  for (const char* setup : {"default", "blobs"}) {
    for (const bool read : {false, true}) {
      add("4k", 4_KiB, read, setup);
      add("64k", 64_KiB, read, setup);
      add("1m", 1_MiB, read, setup);
    }
  }
}

}  // namespace

void add_kv_write_cases(std::vector<Case>& cases) {
  add_put_sync(cases);
  add_load(cases);
  add_overwrite(cases);
  add_large_values(cases);
}

}  // namespace ashlar::bench
