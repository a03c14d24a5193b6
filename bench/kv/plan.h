#pragma once

/// What a key-value case does, said once for every engine: which operations on which keys, by how many
/// callers, for how long; and what came of it.

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "ashlar/base/histogram.h"

namespace ashlar::bench {

/// In which order keys are asked for.
enum class Choice : std::uint8_t {
  uniform,
  sequential,  ///< ascending; each worker has its own part of the keys
  shuffled,    ///< each key once, in no order; each worker has its own part
  zipfian,     ///< as YCSB: constant 0.99, the popular keys scattered over all
  latest,      ///< as YCSB: the newest keys are the popular ones
};

/// Shares of the operations, in percent.
struct Mix {
  unsigned reads = 0, updates = 0, inserts = 0, scans = 0, read_modify_writes = 0;
};

struct Plan {
  std::uint64_t keys = 0;  ///< loaded, or to be loaded
  std::size_t value_bytes = 100;
  Mix mix = {};
  Choice choice = Choice::uniform;
  unsigned cores = 1;            ///< that the run is bound to
  unsigned shards = 1;           ///< of Ashlar
  unsigned workers = 1;          ///< callers in all: threads, or tasks
  unsigned batch = 1;            ///< keys of a multi-get; puts of a batch
  unsigned scan_entries = 0;     ///< of each scan
  bool scan_to_random = false;   ///< each scan has 1 to scan_entries, uniform
  bool backward = false;         ///< scans
  bool durable = false;          ///< a write has survived power loss when it returns
  double sync_seconds = 0;       ///< the peer's log is synced as often as Ashlar's; 0: as the peer has it
  bool timed = false;            ///< every operation's latency
  double seconds = 0;            ///< stops then; 0: after `operations`
  std::uint64_t operations = 0;  ///< in all; 0: no bound
  bool warm = false;             ///< every key is read once before the clock starts
  double rest_seconds = 0;       ///< open, idle, before the clock starts
  bool settle = false;           ///< the clock stops when all of it is in tables
};

/// One stretch of a long run.
struct Interval {
  std::uint64_t operations = 0;
  std::uint64_t longest_ns = 0;
};
constexpr double interval_seconds = 0.25;

/// What one run gave.
struct Outcome {
  std::uint64_t operations = 0;
  double seconds = 0;
  double ns_each = 0;         ///< of one worker: by the median of many slices of equal work; else 0
  std::uint64_t missing = 0;  ///< reads that found nothing
  Histogram latency_ns;
  std::vector<Interval> intervals;
  /// The longest that Ashlar's engine itself made a write wait, as it says; of peers nothing is known.
  std::uint64_t engine_wait_ns = 0;
  std::uint64_t log_wait_ns = 0;  ///< likewise, where the log's device was behind

  void merge(const Outcome& other);
  double rate() const noexcept { return seconds > 0 ? static_cast<double>(operations) / seconds : 0; }
};

}  // namespace ashlar::bench
