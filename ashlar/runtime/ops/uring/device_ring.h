#pragma once

/// IoRing over io_uring.

#include <liburing.h>

#include <memory>
#include <string>
#include <vector>

#include "ashlar/runtime/ops/io_ring.h"
#include "ashlar/runtime/ops/operation_list.h"
#include "ashlar/runtime/ops/uring/fixed_buffers.h"
#include "ashlar/runtime/ops/uring/gather_bound.h"

namespace ashlar {

class UringBackend;

/// Owner and lifecycle as IoRing. Operations beyond the queue depth wait here, so that the completion queue
/// never overflows.
///
/// Waking: every completion counts up an eventfd that all rings of the shard share. The shard reads it on its
/// main ring only while it sleeps; awake it looks at the completion queue. An eventfd is a state, not an
/// event: what came before the read began ends it at once, so that no wake-up is lost.
class DeviceRing final : public IoRing {
 public:
  static Result<std::unique_ptr<DeviceRing>> open(UringBackend& owner, const RingOptions& options);
  ~DeviceRing() override;
  DeviceRing(const DeviceRing&) = delete;
  DeviceRing& operator=(const DeviceRing&) = delete;

  void submit(Operation& operation) noexcept override;
  void hand_over() noexcept override;
  void attach(Handle file) override;
  Result<> register_region(std::uint32_t id, MutableBytes memory) override;
  unsigned in_flight() const noexcept override { return stats_.in_flight; }
  const RingStats* stats() const noexcept override { return &stats_; }
  std::string setup() const override;
  const std::vector<std::string>& notes() const noexcept override { return notes_; }

  // For the owner's loop.
  unsigned poll() noexcept;
  bool pending() const noexcept;
  /// Whether completions come only to those who ask.
  bool polling() const noexcept { return options_.iopoll && stats_.in_flight != 0; }
  /// Completions count up this eventfd from now on.
  Result<> tell(int event);
  /// The handle is about to be closed.
  void forget(Handle file) noexcept;

 private:
  static constexpr std::uint16_t no_slot = 0xffff;
  /// What is known of a descriptor.
  struct Attached {
    std::uint16_t slot = no_slot;  // of the table of fixed files
    bool polls = false;            // a direct file on a device that polls
    bool polls_durable = false;    // a durable write to it is one request, without a flush
  };

  DeviceRing(UringBackend& owner, const RingOptions& options)
      : owner_(owner), options_(options), gather_(options.sqpoll ? 0 : options.gather) {}
  Result<> open_ring();
  unsigned wanted_flags() const noexcept;
  bool takes_setup(unsigned flags) const noexcept;
  unsigned known_flags(unsigned flags);
  unsigned step_down(unsigned flags, int error);
  void set_up_extras();
  void attach_polled(Handle file);
  void note(std::string line);

  const Attached& attached(Handle file) const noexcept;
  bool takes(const Operation& operation) const noexcept;
  io_uring_sqe* entry() noexcept;
  void start_waiting() noexcept;
  unsigned reap() noexcept;
  bool completed(Operation& operation, std::int32_t result) noexcept;

  UringBackend& owner_;
  RingOptions options_;  // as they are in effect
  io_uring ring_{};
  bool ring_open_ = false;
  unsigned flags_ = 0;
  unsigned in_kernel_ = 0;
  GatherBound gather_;
  RingStats stats_;
  Instant seen_at_{};  // when the completions being looked at were seen
  OperationList waiting_;
  std::vector<Attached> attached_;         // by descriptor
  std::vector<std::uint16_t> free_slots_;  // of the table of fixed files
  FixedBuffers regions_;
  std::vector<std::string> notes_;
};

}  // namespace ashlar
