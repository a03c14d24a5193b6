#pragma once

/// A trace in memory, as it is shown and replayed.

#include <cstdint>
#include <string>
#include <vector>

#include "ashlar/layer/trace/trace_format.h"
#include "ashlar/runtime/task/task.h"

namespace ashlar::trace {

struct Trace {
  Header header;
  std::vector<Entry> entries;  ///< by submission, then by shard
  std::uint64_t chunks = 0;
  std::uint64_t damaged = 0;  ///< chunks that could not be read, and were left out
  std::uint64_t nothing = 0;  ///< slots that were taken and never written
  std::uint64_t dropped = 0;  ///< requests that were not recorded
};

/// Reads a trace. `corrupt` where it is none, or its writer was wrong; `too_large` beyond `entries_max`.
Task<Result<Trace>> load(std::string path, std::uint64_t entries_max = std::uint64_t{1} << 26);

}  // namespace ashlar::trace
