#pragma once

/// A job: one shard keeps a constant number of I/Os in flight on one device, for some time. What fio calls a
/// job, at the least cost that the channel allows.

#include <cstdint>
#include <string>
#include <vector>

#include "ashlar/base/histogram.h"
#include "ashlar/base/result.h"
#include "ashlar/block/spec.h"

namespace ashlar::bench::block {

enum class Form : std::uint8_t {
  callback,   ///< Requests whose completion is a function
  coroutine,  ///< one task for each I/O in flight
};
enum class Waiting : std::uint8_t {
  asleep,  ///< in the kernel, as an interrupt-driven engine does
  polled,  ///< turns of the loop, as SPDK does
};

struct JobOptions {
  std::string spec = {};
  unsigned read_percent = 100;
  bool random = true;
  std::uint32_t io_bytes = 4096;
  unsigned queue_depth = 1;
  double seconds = 1;     ///< of measuring; a tenth of it before that warms up
  std::uint64_t ios = 0;  ///< measures so many instead, without warming up; 0: by time
  Form form = Form::callback;
  Waiting waiting = Waiting::asleep;
  bool fill = false;  ///< writes the whole device first
  std::uint64_t seed = 1;
};

struct JobResult {
  std::uint64_t ios = 0;
  double seconds = 0;
  double cycles_per_ns = 1;
  Histogram latency_cycles;
  std::uint64_t allocations = 0;   ///< on the heap, while measuring
  std::vector<std::string> notes;  ///< what of the spec is not in effect, and why
};

/// Runs one on the calling thread. Writes where read_percent is below 100, over whatever is there.
SpecResult<JobResult> run_job(const JobOptions& options);

/// `ashlar-bench block-job …`: the same for a process of its own; prints one line of JSON.
int job_main(int argc, char** argv);

/// Calls of operator new in this process so far.
std::uint64_t allocations() noexcept;

}  // namespace ashlar::bench::block
