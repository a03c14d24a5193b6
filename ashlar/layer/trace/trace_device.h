#pragma once

/// trace(DEV) — records every request: when it came, what it was, how long it took, how it ended.
///
///   trace(auto:/dev/sdb)?file=/tmp/sdb.trace       then: ashlar trace show /tmp/sdb.trace
///
/// The format is docs/formats/trace.md; replay.h replays it against any device.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ashlar/block/layer.h"
#include "ashlar/block/registry.h"
#include "ashlar/layer/trace/recorder.h"

namespace ashlar {

DeviceKind trace_kind();

/// Thread safety: as of Device; stats() on any shard. The trace is complete once the device is closed. A file
/// that is too slow, full or gone costs entries, which are counted, and never a request.
class TraceDevice final : public LayerDevice {
 public:
  struct Stats {
    std::uint64_t recorded = 0, dropped = 0, bytes_written = 0;
  };

  /// The device itself, where it is one of these; else null.
  static TraceDevice* of(Device& device) noexcept { return dynamic_cast<TraceDevice*>(&device); }

  TraceDevice(const Spec& spec, DeviceKind::Children children, std::unique_ptr<trace::Recording> recording);

  Stats stats() const noexcept;

 private:
  Task<Result<std::unique_ptr<Channel>>> open_channel() override;

  std::unique_ptr<trace::Recording> recording_;
  std::vector<trace::Counters> counters_;  // by shard
};

}  // namespace ashlar
