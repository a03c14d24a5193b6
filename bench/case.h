#pragma once

/// What a benchmark case is: one row of the report, Ashlar against one peer on the same work.

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "ashlar/base/result.h"

namespace ashlar::bench {

struct BenchOptions {
  unsigned pairs = 5;
  double scale = 1;    ///< of the work of each measurement; below 1 only to see that the cases run
  double seconds = 2;  ///< of each measurement that goes by time
  double sustained_seconds = 600;  ///< of those that show what is only seen in the long run
  std::string data = ".";
};

/// A moment of a long measurement.
struct Point {
  double seconds = 0;     ///< since its begin
  double rate = 0;        ///< operations per second
  double longest_ms = 0;  ///< the longest wait
};

/// One measurement of one side.
struct Sample {
  double value = 0;  ///< in the case's unit
  double server_cpu_us =
      std::numeric_limits<double>::quiet_NaN();  ///< per operation, where a server did the work
  /// What else was counted, by name: "p99_us", "allocations", "write_amplification".
  std::vector<std::pair<std::string, double>> columns = {};
  std::vector<Point> series = {};
};
using Measure = std::function<Result<Sample>()>;

/// The two sides of a case, set up: each call does the whole work once. What the sides share (servers, data)
/// lives in them and ends with them.
struct Contest {
  Measure ashlar;
  Measure peer;  ///< empty where the peer is not here
  std::string peer_version;
  std::vector<std::pair<std::string, std::string>> configuration;  ///< what the figures depend on, in order
};

struct Case {
  std::string name;     ///< "group" or "group/variant"
  std::string summary;  ///< for --list
  std::string unit;
  bool more_is_better = false;
  std::string peer_name;
  double target = 0;      ///< least ratio that will do (above 1 is better than the peer); 0: none
  double cpu_target = 0;  ///< the same of the server's CPU per operation
  double at_most = 0;     ///< bound on our own figure, where the target is no ratio; 0: none
  double beyond_peer =
      0;  ///< how much more than the peer's our figure may be, in its unit; 0: no such target
  std::function<Result<Contest>(const BenchOptions&)> prepare;
};

/// A count of operations under --scale, never 0.
std::uint64_t scaled(const BenchOptions& options, std::uint64_t count);

// The cases, a function for each file in cases/.
void add_shard_cases(std::vector<Case>& cases);
void add_mesh_cases(std::vector<Case>& cases);
void add_idle_cases(std::vector<Case>& cases);
void add_log_cases(std::vector<Case>& cases);
void add_kv_get_cases(std::vector<Case>& cases);
void add_kv_write_cases(std::vector<Case>& cases);
void add_kv_scan_cases(std::vector<Case>& cases);
void add_kv_ycsb_cases(std::vector<Case>& cases);
void add_kv_reopen_cases(std::vector<Case>& cases);
void add_resp_cases(std::vector<Case>& cases);

}  // namespace ashlar::bench
