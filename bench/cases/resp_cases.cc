/// resp-set, resp-get: requests in memory (Durability::none, Redis without persistence). resp-set-sync:
/// requests acknowledged once durable (Redis: append-only file, fsync always). redis-benchmark drives both
/// sides alike. idle-cpu: what a server costs that nobody talks to.

#include <fmt/format.h>

#include <memory>
#include <thread>
#include <utility>

#include "bench/case.h"
#include "bench/cases/redis_server.h"
#include "bench/machine.h"

namespace ashlar::bench {

namespace {

using Sync = RedisServer::Sync;

/// A side that keeps its server between measurements.
Measure measure(std::shared_ptr<RedisServer> server, const RedisLoad& load) {
  return [server = std::move(server), load] { return server->run(load); };
}

/// CPU time of a server that has no client, as a share of one core.
Result<Sample> measure_idle(RedisServer& server, double seconds) {
  const double cpu = server.process().cpu_seconds();
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  return Sample{.value = (server.process().cpu_seconds() - cpu) / seconds * 100};
}

constexpr double idle_percent = 5;

/// Waits until the server rests: what its start or the requests before left to the background is done.
Result<> let_rest(RedisServer& server) {
  for (int i = 0; i < 100; ++i) {
    if (TRY(measure_idle(server, 0.2)).value < idle_percent) break;
  }
  return {};
}

/// Fills the key space, so that a get finds what it asks for.
Result<> fill(RedisServer& server, std::uint64_t requests) {
  TRY(server.run({.command = "set", .clients = 50, .pipeline = 64, .requests = requests}));
  return {};
}

Result<Contest> prepare(const BenchOptions& options, RedisLoad load, Sync sync) {
  if (!is_installed("redis-benchmark") || !is_installed("redis-cli"))
    return fail(Errc::not_found, "redis-benchmark");
  load.requests = scaled(options, load.requests);
  std::shared_ptr<RedisServer> ours = TRY(RedisServer::start_ashlar(options.data, sync));
  std::shared_ptr<RedisServer> theirs;
  if (is_installed("redis-server")) theirs = TRY(RedisServer::start_redis(options.data, sync));
  if (load.command == "get") {
    const std::uint64_t requests = scaled(options, 5 * RedisServer::key_space);
    TRY(fill(*ours, requests));
    if (theirs) TRY(fill(*theirs, requests));
  }
  TRY(let_rest(*ours));
  if (theirs) TRY(let_rest(*theirs));
  Contest contest;
  contest.ashlar = measure(ours, load);
  if (theirs) contest.peer = measure(theirs, load);
  contest.peer_version = redis_version();
  contest.configuration = {
      {"client", "redis-benchmark"},
      {"clients", std::to_string(load.clients)},
      {"pipeline", std::to_string(load.pipeline)},
      {"requests", std::to_string(load.requests)},
      {"keys", std::to_string(RedisServer::key_space)},
      {"value bytes", std::to_string(RedisServer::value_bytes)},
      {"ashlar", sync == Sync::always ? "1 shard, durable" : "1 shard, appendfsync no"},
      {"redis", sync == Sync::always ? "appendonly, appendfsync always" : "no persistence"},
      {"pinned", "server to the first core, client to the last"}};
  return contest;
}

Result<Contest> prepare_idle(const BenchOptions& options) {
  std::shared_ptr<RedisServer> ours = TRY(RedisServer::start_ashlar(options.data, Sync::always));
  std::shared_ptr<RedisServer> theirs;
  if (is_installed("redis-server")) theirs = TRY(RedisServer::start_redis(options.data, Sync::always));
  const double seconds = 3 * options.scale;
  Contest contest;
  contest.ashlar = [=] { return measure_idle(*ours, seconds); };
  if (theirs) contest.peer = [=] { return measure_idle(*theirs, seconds); };
  contest.peer_version = redis_version();
  contest.configuration = {
      {"seconds", fmt::format("{}", seconds)}, {"ashlar", "1 shard"}, {"redis", "defaults"}};
  return contest;
}

struct Variant {
  const char* name;
  RedisLoad load;
  double target = 0;      // of throughput
  double cpu_target = 0;  // of the server's CPU per request
};

void add(std::vector<Case>& cases, const char* group, const char* summary, Sync sync,
         std::initializer_list<Variant> variants) {
  for (const Variant& variant : variants) {
    cases.push_back({.name = fmt::format("{}/{}", group, variant.name),
                     .summary = fmt::format("{}: {} clients, pipeline {}", summary, variant.load.clients,
                                            variant.load.pipeline),
                     .unit = "requests/s",
                     .more_is_better = true,
                     .peer_name = sync == Sync::always ? "Redis, fsync always" : "Redis, in memory",
                     .target = variant.target,
                     .cpu_target = variant.cpu_target,
                     .prepare = [load = variant.load, sync](const BenchOptions& options) {
                       return prepare(options, load, sync);
                     }});
  }
}

}  // namespace

void add_idle_cases(std::vector<Case>& cases) {
  cases.push_back({.name = "idle-cpu",
                   .summary = "CPU of a server that nobody talks to",
                   .unit = "% of a core",
                   .more_is_better = false,
                   .peer_name = "redis-server",
                   .at_most = 1,
                   .prepare = prepare_idle});
}

void add_resp_cases(std::vector<Case>& cases) {
  add(cases, "resp-set", "SET in memory", Sync::none,
      {{"p1", {"set", 50, 1, 100'000}, 1, 1 / 0.8},
       {"p16", {"set", 50, 16, 500'000}, 0, 1 / 0.5},
       {"p64", {"set", 50, 64, 1'000'000}, 2, 0}});
  add(cases, "resp-get", "GET in memory", Sync::none,
      {{"p1", {"get", 50, 1, 100'000}, 1, 1 / 0.8},
       {"p16", {"get", 50, 16, 500'000}, 0, 1 / 0.5},
       {"p64", {"get", 50, 64, 1'000'000}, 2, 0}});
  add(cases, "resp-set-sync", "SET, durable", Sync::always,
      {{"c1", {"set", 1, 1, 5'000}, 1.5, 0},
       {"c50", {"set", 50, 1, 100'000}, 1.5, 0},
       {"c50-p16", {"set", 50, 16, 500'000}, 2, 0},
       {"c50-p64", {"set", 50, 64, 1'000'000}, 3, 0}});
}

}  // namespace ashlar::bench
