#pragma once

/// The io_uring back end: one ring per shard, batched submission, registered files, multishot accept and
/// receive.
///
/// 1. submit() writes an entry into the submission queue; nothing enters the kernel yet.
/// 2. poll() enters the kernel once per loop turn, and only if there is something to submit or the kernel's
/// flags say
///    that completions wait (under DEFER_TASKRUN nothing appears in the completion queue before we ask).
/// 3. Each completion is looked at: a short transfer goes back with the rest, an ended multishot is armed
/// again, a
///    result goes to Operation::complete.

#include <liburing.h>

#include <cerrno>
#include <memory>
#include <vector>

#include "ashlar/runtime/ops/file_workers.h"
#include "ashlar/runtime/ops/operation_list.h"
#include "ashlar/runtime/ops/system_backend.h"
#include "ashlar/runtime/ops/uring/device_ring.h"
#include "ashlar/runtime/ops/uring/fixed_buffers.h"
#include "ashlar/runtime/ops/uring/gather_bound.h"
#include "ashlar/runtime/ops/uring/kernel_age.h"
#include "ashlar/runtime/ops/uring/receive_buffers.h"
#include "ashlar/runtime/ops/uring/ring.h"
#include "ashlar/runtime/ops/uring/uring_options.h"

namespace ashlar {

/// Owner: one shard, on whose thread it is created, used and destroyed (SINGLE_ISSUER).
class UringBackend final : public SystemBackend {
 public:
  /// Fails as set_up_ring() does; the caller then takes the EpollBackend.
  static Result<std::unique_ptr<UringBackend>> create(const UringOptions& options = {});
  ~UringBackend() override;

  const char* name() const noexcept override { return "io_uring"; }
  RingProfile profile() const noexcept { return profile_; }
  bool registers_files() const noexcept { return !registered_.empty(); }

  void submit(Operation& operation) noexcept override;
  void cancel(Operation& operation) noexcept override;
  unsigned poll() noexcept override;
  bool pending() const noexcept override;
  bool unsubmitted() const noexcept override { return io_uring_sq_ready(&ring_) != 0; }
  void hand_over() noexcept override {
    if (unsubmitted()) enter();
  }
  unsigned wait(Instant until) noexcept override;
  Result<int> descriptor() override;
  bool rest() noexcept override;
  void recycle(ReceiveBuffer& buffer) noexcept override;
  std::uint64_t receive_buffer_bytes_total() const noexcept override {
    return receive_buffers_->bytes_total();
  }
  unsigned in_flight() const noexcept override;
  const RingStats* ring_stats() const noexcept override { return &stats_; }
  Result<std::unique_ptr<IoRing>> open_ring(const RingOptions& options) override;
  Result<> register_region(std::uint32_t id, MutableBytes memory) override;

  // For its further rings.
  void add(DeviceRing& ring) { rings_.push_back(&ring); }
  void remove(DeviceRing& ring) { std::erase(rings_, &ring); }
  KernelAge kernel_age() const noexcept { return pretend_; }
  /// The errno that the pretended kernel refuses these flags of io_uring_setup with; 0: whatever the real one
  /// says.
  int setup_refused(unsigned flags) const noexcept {
    if ((flags & ~setup_flags_of(pretend_)) != 0) return EINVAL;
    return (flags & IORING_SETUP_SQPOLL) != 0 ? sqpoll_error_ : 0;
  }
  /// The eventfd that completions of further rings count up.
  Result<int> ring_event();

 private:
  // Operation::backend_data, by code: how it is being tried.
  static constexpr std::uint64_t discard_by_command = 1, discard_by_worker = 2;
  static constexpr std::uint64_t accept_multishot = 1;
  static constexpr std::uint64_t receive_multishot = 1, receive_provided = 2;  // into buffers of the ring
  static constexpr std::uint64_t receive_poll = 3, receive_readable = 4;  // else: first wait, then take one
  struct Message {  // what sendmsg and recvmsg point at while they are in flight
    msghdr header;
    iovec single;
    Message* next;
  };
  struct Pipe {  // what a send_file goes through
    int read_end = -1, write_end = -1;
    unsigned capacity = 0, filled = 0;  // bytes
    Pipe* next = nullptr;
  };

  UringBackend() : SystemBackend(0) {}
  Result<> open(const UringOptions& options);

  // uring_submit.cc: operations into submission entries.
  io_uring_sqe* entry() noexcept;
  void enter() noexcept;
  void start(Operation& operation) noexcept;
  void prepare(Operation& operation, io_uring_sqe& sqe) noexcept;
  bool start_linked(Operation& first) noexcept;
  bool prepare_file(Operation& operation, io_uring_sqe& sqe) noexcept;
  void prepare_socket(Operation& operation, io_uring_sqe& sqe) noexcept;
  void prepare_send(Operation& operation, io_uring_sqe& sqe) noexcept;
  void prepare_receive_multishot(Operation& operation, io_uring_sqe& sqe) noexcept;
  void use_registered(const Operation& operation, io_uring_sqe& sqe) const noexcept;
  void enter_directory_step(Operation& operation, io_uring_sqe& sqe) noexcept;
  bool for_workers(Operation& operation) noexcept;
  void hand_to_workers(Operation& operation) noexcept;
  void watch_wake() noexcept;
  void watch_rings() noexcept;
  void wait_in_ring(Duration left) noexcept;
  void wait_for_event(Duration left) noexcept;
  void forget_event() noexcept;
  bool rings_polling() const noexcept;
  bool submit_cancel(Operation& operation) noexcept;
  void finish_later(Operation& operation, std::int64_t result) noexcept;

  // uring_complete.cc: completions into results.
  unsigned reap() noexcept;
  void completed(Operation& operation, std::int32_t result, std::uint32_t flags) noexcept;
  void transfer_completed(Operation& operation, std::int32_t result) noexcept;
  void chain_completed(Operation& step, std::int32_t result) noexcept;
  // uring_messages.cc: what needs memory of its own beside the operation.
  Message& take_message() noexcept;
  void give_back(Message& message) noexcept;
  void prepare_message(Operation& operation, io_uring_sqe& sqe) noexcept;
  void message_completed(Operation& operation, std::int32_t result) noexcept;
  void zero_copy_completed(Operation& operation, std::int32_t result, std::uint32_t flags) noexcept;
  bool take_pipe(Operation& operation) noexcept;
  void let_go(Pipe& pipe) noexcept;
  void prepare_splice(const Operation& operation, io_uring_sqe& sqe) noexcept;
  void splice_completed(Operation& operation, std::int32_t result) noexcept;

  void accept_completed(Operation& operation, std::int32_t result, std::uint32_t flags) noexcept;
  void receive_completed(Operation& operation, std::int32_t result, std::uint32_t flags) noexcept;
  void directory_step_completed(Operation& operation, std::int32_t result) noexcept;
  void deliver(Operation& operation, bool more) noexcept;
  void finish(Operation& operation, std::int64_t result) noexcept;
  unsigned finish_deferred() noexcept;
  unsigned finish_workers() noexcept;

  void register_file(std::int32_t descriptor) noexcept;
  void unregister_file(std::int32_t descriptor) noexcept;

  io_uring ring_{};
  bool ring_open_ = false;
  RingProfile profile_ = RingProfile::plain;
  bool multishot_accept_ = true;
  bool multishot_receive_ = true;
  bool links_ = true;  // Linux 5.17: of linked writes that all end well, only the last completes
  KernelAge pretend_ = KernelAge::newest;
  int sqpoll_error_ = 0;
  unsigned cancels_refused_ = 0;
  unsigned in_flight_ = 0;
  GatherBound gather_{0};
  RingStats stats_;    // of reads and writes
  Instant seen_at_{};  // when the completions being looked at were seen
  std::uint64_t wake_value_ = 0;
  bool wake_watched_ = false;     // a read of the wake descriptor is under way
  std::vector<bool> registered_;  // by descriptor
  OperationList backlog_;         // no submission entry was free
  OperationList starved_;         // receives without a buffer
  OperationList cancels_;         // in the kernel; no submission entry was free to end them
  OperationList deferred_;        // results known without the kernel; completed by the next poll
  std::unique_ptr<ReceiveBuffers> receive_buffers_;
  std::vector<std::unique_ptr<Message>> messages_;
  Message* free_message_ = nullptr;
  std::vector<std::unique_ptr<Pipe>> pipes_;
  Pipe* free_pipe_ = nullptr;
  bool zero_copy_ = false;                // Linux 6.0: SEND_ZC
  bool discard_commands_ = true;          // Linux 6.12: block devices take discards on the ring
  std::unique_ptr<FileWorkers> workers_;  // for what no ring can do; started when first needed
  FixedBuffers regions_;
  std::vector<DeviceRing*> rings_;
  int ring_event_ = -1;
  std::uint64_t ring_event_value_ = 0;
  bool rings_watched_ = false;  // a read of the rings' event is under way
  bool by_event_ = false;       // descriptor() was asked for: its eventfd tells of everything
};

}  // namespace ashlar
