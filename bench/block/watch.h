#pragma once

/// Watching a program while it runs: its CPU time, that of the kernel's polling threads, its system calls.
/// The same eyes for Ashlar's job and for every peer.

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "ashlar/base/result.h"

namespace ashlar::bench::block {

/// Rates over the steady part of a run.
struct Usage {
  double cpu = 0;          ///< cores: user and system time of all its threads, but for the next
  double kernel_poll = 0;  ///< cores: kernel threads that poll for it (SQPOLL)
  double system_calls = std::numeric_limits<double>::quiet_NaN();  ///< a second; NaN where not counted
};

struct Watched {
  std::string output;  ///< stdout and stderr
  int status = 0;
  Usage usage;
};

/// What to run, and how.
struct Run {
  std::vector<std::string> arguments;
  std::vector<int> cores;
  double seconds = 1;               ///< how long it measures: the steady part is found by this
  bool count_system_calls = false;  ///< by the kernel's tracepoint, which costs each call some 0.1 us
};

/// Runs a program to its end, or kills it long after it was due. An error where it could not be started or
/// had to be killed.
Result<Watched> watch(const Run& run);

/// The number of the tracepoint at which every system call enters; 0 where it is not to be seen.
std::uint64_t system_call_tracepoint();

/// Why system calls cannot be counted here; empty where they can.
std::string system_calls_uncounted();

}  // namespace ashlar::bench::block
