#pragma once

/// Replays a trace against any device.

#include <array>
#include <cstdint>
#include <optional>

#include "ashlar/base/histogram.h"
#include "ashlar/block/channel.h"
#include "ashlar/layer/trace/trace_file.h"

namespace ashlar::trace {

enum class Pace : std::uint8_t {
  recorded,   ///< each request at its time, times `speed`
  dependent,  ///< as fast as it goes, but a request waits for all that had ended before it came
  depth,      ///< as fast as it goes, `depth` at once
};
enum class Writes : std::uint8_t {
  refuse,  ///< a trace that writes is not replayed
  skip,    ///< what changes the device is left out
  carry_out,
};

struct ReplayOptions {
  Pace pace = Pace::recorded;
  double speed = 1;          ///< above 1 is faster; more than 0
  std::uint32_t depth = 32;  ///< at least 1
  Writes writes = Writes::refuse;
  std::uint32_t in_flight_max = 1024;  ///< whatever the pace asks for
  std::uint64_t seed = 1;              ///< of what is written: a trace has no data
};

constexpr std::size_t op_count = 6;

struct ReplayReport {
  std::uint64_t requests = 0, bytes = 0, skipped = 0, errors = 0;
  std::optional<Error> first_error;
  std::array<Histogram, op_count> recorded, replayed;  ///< latencies in nanoseconds, by Op
  Duration recorded_time{}, replayed_time{};           ///< from the first submission to the last completion
  Duration late_max{};  ///< Pace::recorded: the longest that a request came after its time
  std::uint32_t in_flight_max = 0;
};

/// Replays on this shard, whichever shards were recorded. Blocks of another size than the device's are
/// rounded outwards; a compare-and-write is replayed as a write. A request that fails is counted, and the
/// rest goes on. Fails before the first request: `too_large` where the trace reaches beyond the device,
/// `permission` where it writes and that is refused, `invalid` for options out of bounds.
Task<Result<ReplayReport>> replay(Channel& channel, const Trace& trace, ReplayOptions options);

}  // namespace ashlar::trace
