/// kv-get-warm: look-ups that memory answers, all data in tables. kv-get-cold: look-ups that each read one
/// block, O_DIRECT, without a cache. kv-multiget: many together.

#include <chrono>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "ashlar/base/units.h"
#include "bench/case.h"
#include "bench/kv/contest.h"

namespace ashlar::bench {

namespace {

constexpr std::uint64_t few_keys = 1'000, many_keys = 2'000'000;
constexpr std::uint64_t ample_cache = 1_GiB;
constexpr unsigned in_flight = 64;

struct Peer {
  const char* engine;
  const char* setup;
  double target;
};

KvCase warm(std::string name, std::uint64_t keys, Peer peer) {
  KvCase made;
  made.name = "kv-get-warm/" + std::move(name);
  made.summary = fmt::format("get of {} cached keys in tables, beside {}, {}", keys, peer.engine, peer.setup);
  made.plan = {.keys = keys, .mix = {.reads = 100}, .warm = true, .rest_seconds = 0.2};
  made.figure = Figure::ns_each;
  made.peer_engine = peer.engine;
  made.peer_setup = peer.setup;
  made.target = peer.target;
  return made;
}

void add_warm(std::vector<Case>& cases) {
  for (const Peer& peer : {Peer{"RocksDB", "default", 4}, Peer{"RocksDB", "hash-index", 1.5},
                           Peer{"RocksDB", "plain-table", 1.5}, Peer{"LMDB", "default", 0},
                           Peer{"LevelDB", "tuned", 0}, Peer{"WiredTiger", "default", 0}}) {
    const bool rocksdb = std::string_view(peer.engine) == "RocksDB";
    cases.push_back(
        make_case(warm(fmt::format("1k-{}", rocksdb ? peer.setup : peer.engine), few_keys, peer)));
  }
  for (const Peer& peer :
       {Peer{"RocksDB", "default", 3}, Peer{"RocksDB", "hash-index", 0}, Peer{"RocksDB", "plain-table", 1.1},
        Peer{"LMDB", "default", 0}, Peer{"LevelDB", "tuned", 0}, Peer{"WiredTiger", "default", 0}}) {
    const bool rocksdb = std::string_view(peer.engine) == "RocksDB";
    KvCase many = warm(fmt::format("2m-{}", rocksdb ? peer.setup : peer.engine), many_keys, peer);
    many.ours.engine.cache_bytes = many.peer_cache_bytes = ample_cache;
    cases.push_back(make_case(many));
  }
  KvCase eighth = warm("eighth", few_keys, {"RocksDB", "default", 4});
  eighth.summary += ", with an eighth of its cache";
  eighth.peer_cache_bytes = 8_MiB;
  eighth.ours.engine.cache_bytes = 1_MiB;
  cases.push_back(make_case(eighth));

  KvCase two = warm("2m-two", many_keys, {"RocksDB", "default", 3});
  two.summary += ", two shards against two threads";
  two.plan.cores = two.plan.shards = two.plan.workers = 2;
  two.ours.engine.cache_bytes = two.peer_cache_bytes = ample_cache;
  cases.push_back(make_case(two));

  for (const unsigned threads : {1u, 2u, 8u}) {
    KvCase plain = warm(fmt::format("threads-{}", threads), few_keys, {"RocksDB", "default", 3});
    plain.summary = fmt::format("the same by {} plain threads through the public API", threads);
    plain.plan.workers = threads;
    plain.plan.cores = std::min(threads, 2u);
    plain.ours_by_threads = true;
    cases.push_back(make_case(plain));
  }
}

KvCase cold(std::string name, std::string summary) {
  KvCase made;
  made.name = std::move(name);
  made.summary = std::move(summary);
  made.plan = {.keys = many_keys, .mix = {.reads = 100}, .timed = true, .rest_seconds = 0.5};
  made.direct = true;
  made.ours.engine.cache_bytes = 1_MiB;  // the least there is: a two-hundredth of the data
  made.ours.engine.table.block_bytes = 4_KiB;
  made.ours.spin = Duration(0);
  return made;
}

/// One caller of the peer, whose get returns when it has the value.
Plan one_caller(Plan plan) {
  plan.workers = 1;
  return plan;
}
/// One thread of the peer, which asks for as many together as we have in flight.
Plan one_batching_caller(Plan plan) {
  plan.batch = std::max(plan.batch, plan.workers);
  plan.workers = 1;
  return plan;
}

void add_cold(std::vector<Case>& cases) {
  const auto spin = std::chrono::microseconds(200);
  for (const char* setup : {"default", "tuned"}) {
    KvCase sleeping = cold(fmt::format("kv-get-cold/1-{}", setup), "uncached get, one at a time, RocksDB: ");
    sleeping.summary += setup;
    sleeping.peer_setup = setup;
    sleeping.target = 1.15;
    cases.push_back(make_case(sleeping));
    KvCase spinning = sleeping;
    spinning.name = fmt::format("kv-get-cold/1-{}-spin", setup);
    spinning.summary += "; our shard polls";
    spinning.ours.spin = spin;
    spinning.target = 1.5;
    cases.push_back(make_case(spinning));
  }
  KvCase raw = cold("kv-get-cold/1-raw", "uncached get, our shard polls, beside a raw polled read");
  raw.ours.spin = spin;
  raw.peer = PeerKind::raw_polled_reads;
  raw.figure = Figure::p50_us;
  raw.beyond_peer = 3;
  cases.push_back(make_case(raw));

  KvCase many = cold("kv-get-cold/64-get",
                     "64 uncached gets in flight on one thread, RocksDB: Get, one after the other");
  many.plan.workers = in_flight;
  many.peer_plan = one_caller;
  many.target = 6;
  cases.push_back(make_case(many));
  many.name = "kv-get-cold/64-multiget";
  many.summary =
      "64 uncached gets in flight on one thread, RocksDB: MultiGet of 64, asynchronous where it can";
  many.peer_setup = "tuned";
  many.peer_plan = one_batching_caller;
  many.target = 1.3;
  cases.push_back(make_case(many));
  many.name = "kv-get-cold/64-raw";
  many.summary = "64 uncached gets in flight on one thread, beside raw reads, 64 deep";
  many.peer = PeerKind::raw_reads;
  many.peer_plan = nullptr;
  many.target = 0.95;
  cases.push_back(make_case(many));
  KvCase other = cold("kv-get-cold/1-WiredTiger", "uncached get, one at a time, WiredTiger");
  other.peer_engine = "WiredTiger";
  cases.push_back(make_case(other));
}

void add_multiget(std::vector<Case>& cases) {
  for (const char* setup : {"default", "plain-table"}) {
    KvCase together = warm(fmt::format("many-{}", setup), many_keys, {"RocksDB", setup, 0});
    together.name = fmt::format("kv-multiget/warm-{}", setup);
    together.summary =
        fmt::format("{} cached keys of 2 M together, beside MultiGet of RocksDB, {}", in_flight, setup);
    together.plan.batch = in_flight;
    together.ours.engine.cache_bytes = together.peer_cache_bytes = ample_cache;
    cases.push_back(make_case(together));
  }
  for (const char* setup : {"default", "tuned"}) {
    KvCase together =
        cold(fmt::format("kv-multiget/cold-{}", setup), "64 uncached keys together, beside RocksDB: ");
    together.summary += setup;
    together.peer_setup = setup;
    together.plan.batch = in_flight;
    together.target = 1.3;
    cases.push_back(make_case(together));
  }
}

}  // namespace

void add_kv_get_cases(std::vector<Case>& cases) {
  add_warm(cases);
  add_cold(cases);
  add_multiget(cases);
}

}  // namespace ashlar::bench
