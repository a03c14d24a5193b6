#pragma once

/// `ashlar trace show` and `ashlar trace replay`: what the layer trace(DEV) has recorded.

#include <cstdint>
#include <string>

#include "ashlar/layer/trace/replay.h"
#include "ashlar/runtime/shard/runtime.h"

namespace ashlar::app {

struct TraceArguments {
  std::string file;
  std::uint64_t entries = 0;  ///< show: so many are listed

  std::string device;  ///< replay: a spec
  std::string pace = "recorded";
  std::string writes = "refuse";
  trace::ReplayOptions options;
};

/// Both return the exit status, after one line on stderr where something failed.
int show_trace(const TraceArguments& arguments, RuntimeOptions runtime);
/// A device that is gone afterwards anyway (ram:, null:) may be written without being asked for.
int replay_trace(const TraceArguments& arguments, RuntimeOptions runtime);

}  // namespace ashlar::app
