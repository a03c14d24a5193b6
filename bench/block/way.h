#pragma once

/// The ways to reach a disk: Ashlar's, and those of the tools that engineers trust. Each is a program to run
/// and what its output says.

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "ashlar/base/result.h"
#include "bench/block/job.h"
#include "bench/block/workload.h"

namespace ashlar::bench::block {

enum class Engine : std::uint8_t { ashlar, fio, spdk };

/// Ways that do the same thing and are compared with each other: they alternate.
enum class Contest : std::uint8_t {
  direct,  ///< the disk itself
  cached,  ///< the page cache, by reads and writes
  mapped,  ///< the page cache, by loads and stores
  null,    ///< nothing: the cost of asking
  memory,
};

struct Way {
  std::string name;  ///< "uring, polled", "fio io_uring"
  std::string kind;  ///< what --kinds selects: "uring"
  Engine engine = Engine::ashlar;
  Contest contest = Contest::direct;
  std::string spec =
      {};  ///< ashlar: '%' stands for the path; fio: the engine; spdk: the method that makes it
  std::vector<std::string> arguments = {};  ///< further ones of the program; '%' stands for the queue depth
  bool threads = false;                     ///< fio: a thread for each I/O in flight
  bool opens_read_only = false;             ///< ashlar: the kind has the option `readonly`
  std::string needs_in_effect = {};  ///< ashlar: not this way where a note of the device begins with this
};

inline bool through_page_cache(const Way& way) {
  return way.contest == Contest::cached || way.contest == Contest::mapped;
}
inline bool reaches_disk(const Way& way) {
  return way.contest == Contest::direct || through_page_cache(way);
}

/// Where they are measured.
struct Target {
  std::string path;         ///< empty: nothing but ceilings
  std::uint64_t bytes = 0;  ///< of the disk that is used, and of ram:
  bool writable = false;
};

struct Figures {
  static constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

  double iops = 0;
  double p50_us = unknown, p99_us = unknown, p999_us = unknown;
  double allocations = unknown;    ///< for each I/O; known of Ashlar alone
  std::vector<std::string> notes;  ///< of the device
};

/// Which of the peers are here.
struct Peers {
  std::string fio, fio_version;            ///< the program; empty where it is not here
  std::string bdevperf, bdevperf_version;  ///< the same
};
Peers find_peers(const std::string& which, const std::string& bdevperf);

/// Ashlar's ways, then those of the peers that are here.
std::vector<Way> standard_ways(const Peers& peers);

/// The program and its arguments for one measurement. `core`: that it is bound to; `poll_core`: of kernel
/// threads that poll for it; `scratch`: a directory for its configuration.
Result<std::vector<std::string>> command_of(const Way& way, const Workload& workload, const Target& target,
                                            const Peers& peers, double seconds, int core, int poll_core,
                                            const std::string& scratch);

/// What the program printed, or, as `message`, why it did not work.
struct Failed {
  std::string message;
};
std::expected<Figures, Failed> parse_job(const std::string& output);
std::expected<Figures, Failed> parse_fio(const std::string& output);
std::expected<Figures, Failed> parse_bdevperf(const std::string& output);
std::expected<Figures, Failed> parse_output(const Way& way, const std::string& output);

}  // namespace ashlar::bench::block
