#pragma once

/// Operations on threads of the channel's own, also where the shard has a ring.
///
/// 1. submit() stages an operation; a timer that is due at once hands all of a loop turn over together.
/// 2. The first of a batch to finish posts a message to the shard, which then completes what has finished.

#include <string>
#include <vector>

#include "ashlar/runtime/mesh/message.h"
#include "ashlar/runtime/ops/file_workers.h"
#include "ashlar/runtime/ops/io_ring.h"
#include "ashlar/runtime/shard/shard.h"
#include "ashlar/runtime/sync/timer.h"

namespace ashlar {

/// Stands in for a ring. Owner: one channel; lifecycle as IoRing. Every operation on files runs here, not
/// only reads and writes.
class FileThreads final : public IoRing, private Message, private Timer {
 public:
  explicit FileThreads(unsigned threads_max);
  ~FileThreads() override;

  void submit(Operation& operation) noexcept override;
  void attach(Handle) override {}
  Result<> register_region(std::uint32_t, MutableBytes) override {
    return fail(Errc::unsupported, "register memory: threads gain nothing");
  }
  unsigned in_flight() const noexcept override { return in_flight_; }
  std::string setup() const override;
  const std::vector<std::string>& notes() const noexcept override { return notes_; }

 private:
  void collect() noexcept;

  Shard& shard_;
  const unsigned threads_max_;
  unsigned in_flight_ = 0;
  std::vector<std::string> notes_;
  FileWorkers workers_;
};

}  // namespace ashlar
