#pragma once

/// From a plan and two sides to a case of the report: data sets, processes, columns.

#include <functional>
#include <string>

#include "bench/case.h"
#include "bench/kv/engine.h"
#include "bench/kv/plan.h"
#include "bench/kv/tasks.h"

namespace ashlar::bench {

/// What of an outcome is the row's figure.
enum class Figure : std::uint8_t { rate, ns_each, p50_us };

/// Where the data of a measurement comes from.
enum class Source : std::uint8_t {
  loaded,  ///< a data set of plan.keys, in tables and compacted; changed by one measurement after the other
  empty,   ///< a new directory for each measurement
};

/// Who is beside us.
enum class PeerKind : std::uint8_t { engine, raw_reads, raw_polled_reads };

/// Callers that a shard has where two shards are beside two threads: a shard that waits for the other one's
/// answer goes on with the next of its tasks, as programs on the runtime do.
constexpr unsigned tasks_per_shard = 8;
/// The peer's plan beside that: a thread for each core.
inline Plan one_thread_per_core(Plan plan) {
  plan.workers = plan.cores;
  return plan;
}

/// Beside one shard that serves: the other core is its background's, and the peer's.
inline Plan one_thread(Plan plan) {
  plan.workers = 1;
  return plan;
}

struct KvCase {
  std::string name;
  std::string summary;
  Plan plan;
  Source source = Source::loaded;
  Figure figure = Figure::rate;

  AshlarSetup ours = {};
  bool ours_by_threads = false;  ///< through the blocking interface, by plain threads
  PeerKind peer = PeerKind::engine;
  std::string peer_engine = "RocksDB", peer_setup = "default";
  Plan (*peer_plan)(Plan) = nullptr;  ///< where the peer is asked in another shape; null: in the same
  std::uint64_t peer_cache_bytes = 0;
  bool direct = false;         ///< no cache, O_DIRECT
  bool amplification = false;  ///< columns of it
  bool sustained = false;      ///< goes on for --sustained seconds

  double target = 0;       ///< least ratio
  double beyond_peer = 0;  ///< or: our figure may be so much more than the peer's
};

Case make_case(KvCase wanted);

}  // namespace ashlar::bench
