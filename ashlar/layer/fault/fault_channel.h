#pragma once

/// A FaultDevice on one shard: judges each request, and carries out what is left of it.

#include <optional>

#include "ashlar/block/flush_failures.h"
#include "ashlar/block/layer.h"
#include "ashlar/layer/fault/fault_device.h"
#include "ashlar/runtime/sync/event.h"

namespace ashlar {

/// Lifecycle as of every Channel.
class FaultChannel final : public Layer {
 public:
  FaultChannel(FaultDevice& device, Channel& below, std::uint64_t seed);

  /// Completes once nothing of a life that has ended is below any more. One waiter at a time.
  Task<> drain_below();

 private:
  struct Step;
  class Below;

  Task<Result<>> serve(const Request& request) override;
  Task<Result<>> carry_out(const Request& request, const Verdict& verdict, std::uint64_t life);
  Task<Result<>> read(const Request& request, const Verdict& verdict, std::uint64_t life);
  Task<Result<>> write(const Request& request, const Verdict& verdict, std::uint64_t life);
  Task<Result<>> write_wrongly(const Request& request, const Verdict& verdict, std::uint64_t life);
  Task<Result<>> write_in_part(const Request& request, Bytes data, std::uint64_t chosen, std::uint64_t life);

  Task<Result<>> flush(const Request& request, const Verdict& verdict, std::uint64_t life);

  /// To the cache, or to the medium.
  Task<Result<>> down(const Request& step, std::uint64_t life);
  Task<Result<>> fail_without_power(const Request& step);

  std::unexpected<Error> failure(const Request& request, int number) const noexcept;
  Lba elsewhere(const Request& request, std::uint64_t chosen) const noexcept;

  FaultDevice& owner_;
  Channel& below_;
  FaultPlan plan_;
  FlushWatch flush_watch_;
  std::uint64_t below_in_flight_ = 0;
  Event* drained_ = nullptr;
};

}  // namespace ashlar
