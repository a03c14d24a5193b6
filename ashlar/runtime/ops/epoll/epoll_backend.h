#pragma once

/// The back end for kernels and sandboxes without io_uring: epoll for sockets, a few threads for files.
///
/// 1. submit() puts a socket operation on the ready list and a file operation into the next batch for the
/// threads.
/// 2. poll() asks epoll (edge-triggered) which sockets changed, and moves what was parked on them to the
/// ready list.
/// 3. Each ready operation is tried, until it is done or the kernel says EAGAIN; then it is parked on its
/// socket.
/// 4. File operations that came back complete, and those that were submitted go out.

#include <cstdint>
#include <memory>
#include <vector>

#include "ashlar/runtime/ops/epoll/epoll_options.h"
#include "ashlar/runtime/ops/file_workers.h"
#include "ashlar/runtime/ops/operation_list.h"
#include "ashlar/runtime/ops/system_backend.h"

namespace ashlar {

/// Owner: one shard, on whose thread it is created, used and destroyed. Sockets are non-blocking.
class EpollBackend final : public SystemBackend {
 public:
  /// `no_memory` where descriptors or address space have run out.
  static Result<std::unique_ptr<EpollBackend>> create(const EpollOptions& options = {});
  ~EpollBackend() override;

  const char* name() const noexcept override { return "epoll"; }
  void submit(Operation& operation) noexcept override;
  void cancel(Operation& operation) noexcept override;
  unsigned poll() noexcept override;
  bool pending() const noexcept override { return !ready_.empty() || files_.pending(); }
  unsigned wait(Instant until) noexcept override;
  Result<int> descriptor() override { return epoll_fd_; }
  bool rest() noexcept override {
    files_.dispatch();
    return true;
  }
  void recycle(ReceiveBuffer& buffer) noexcept override;
  std::uint64_t receive_buffer_bytes_total() const noexcept override { return receive_memory_bytes_; }
  unsigned in_flight() const noexcept override { return in_flight_; }
  Result<std::unique_ptr<IoRing>> open_ring(const RingOptions&) override {
    return fail(Errc::unsupported, "a further ring: the epoll back end has none");
  }
  Result<> register_region(std::uint32_t, MutableBytes) override {
    return fail(Errc::unsupported, "register memory: the epoll back end gains nothing");
  }

 private:
  /// What waits for a socket to become readable or writable. Indexed by descriptor.
  struct Watch {
    OperationList readers;
    OperationList writers;
    bool registered = false;  // with epoll
  };
  /// Where a socket operation is (Operation::backend_data), for cancel().
  enum class Place : std::uint64_t { ready, active, parked, starved, working };
  /// What trying an operation came to.
  enum class Attempt : std::uint8_t { finished, would_block, again, starved, handed_over };

  explicit EpollBackend(const EpollOptions& options);
  Result<> open(const EpollOptions& options);

  // epoll_backend.cc: the loop.
  unsigned turn(int event_count) noexcept;
  void collect_events(int event_count) noexcept;
  void run_ready() noexcept;
  void complete_files() noexcept;
  void make_ready(Operation& operation) noexcept;
  void park(Operation& operation) noexcept;
  Watch& watch(Handle handle) noexcept;
  OperationList& parked_on(const Operation& operation) noexcept;
  bool behind_others(const Operation& operation) noexcept;
  void forget(Handle handle) noexcept;
  Attempt finish(Operation& operation, std::int64_t result) noexcept;
  void deliver(Operation& operation, std::int64_t result) noexcept;

  // epoll_sockets.cc: one attempt at each kind of operation.
  Attempt attempt(Operation& operation) noexcept;
  Attempt attempt_accept(Operation& operation) noexcept;
  Attempt attempt_connect(Operation& operation) noexcept;
  Attempt attempt_receive(Operation& operation) noexcept;
  Attempt attempt_receive_multishot(Operation& operation) noexcept;
  Attempt attempt_send(Operation& operation) noexcept;
  Attempt attempt_send_file(Operation& operation) noexcept;
  Attempt attempt_send_to(Operation& operation) noexcept;
  Attempt attempt_receive_from(Operation& operation) noexcept;

  struct EventBuffer;

  int epoll_fd_ = -1;
  std::unique_ptr<EventBuffer> events_;
  std::vector<Watch> watches_;
  OperationList ready_;
  OperationList starved_;  // receives that found no buffer
  unsigned in_flight_ = 0;
  unsigned delivered_ = 0;  // completions in this turn

  std::byte* receive_memory_ = nullptr;
  std::size_t receive_memory_bytes_ = 0;
  std::uint32_t receive_buffer_bytes_;
  std::vector<ReceiveBuffer> receive_buffers_;
  ReceiveBuffer* free_buffer_ = nullptr;

  FileWorkers files_;
};

}  // namespace ashlar
