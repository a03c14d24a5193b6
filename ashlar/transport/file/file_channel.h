#pragma once

/// Requests on a file or device, as operations of the runtime.
///
/// 1. A request takes a slot, which holds its operation; where all are taken it waits, by priority, and ends
///    with `timed_out` where its deadline comes first.
/// 2. Reads and writes are one operation. Flushes are an fdatasync, trims a discard. Zeroes are written by
/// the
///    kernel where it can, else from a static buffer of zeroes; durable ones are followed by a flush.
/// 3. A completion with the expected result ends the request, and its slot goes to the next that waits.
///    Anything else is judged in one place.

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "ashlar/block/channel.h"
#include "ashlar/block/flush_failures.h"
#include "ashlar/runtime/memory/memory_cap.h"
#include "ashlar/runtime/ops/file.h"
#include "ashlar/runtime/ops/io_ring.h"
#include "ashlar/runtime/sync/timer.h"

namespace ashlar {

/// What a channel is made of, beside its device.
struct FileChannelParts {
  Handle handle;                 ///< what requests are done on
  File own;                      ///< the same, where it is the channel's to close
  std::unique_ptr<IoRing> ring;  ///< where operations run; null: on the shard's back end
  std::uint32_t queue_depth = 0;
  std::uint32_t bounce_alignment = 1;  ///< memory that is less aligned is copied; 1: none is
  bool fixed_buffers = false;
  bool flush_optional = false;  ///< a character device may have nothing to flush, and says so by EINVAL
  bool zeroes_by_kernel = true;
};

/// Owner and lifecycle as Channel. Allocates nothing per request, but for the list of a vectored one with
/// more segments than any before it in its slot, and for copies of misaligned memory, which come from the
/// shard's pool.
class FileChannel final : public Channel {
 public:
  static Result<std::unique_ptr<FileChannel>> open(Device& device, FlushFailures& failures,
                                                   FileChannelParts parts);
  ~FileChannel() override;

 private:
  static constexpr std::size_t vectors_inline = 8;
  static constexpr std::int64_t not_plain = std::int64_t{1} << 63;  // no result: each completion is looked at

  struct Slot : Operation {
    FileChannel* channel = nullptr;
    Request* request = nullptr;
    std::int64_t expected = 0;  // a result that ends the request, and says all there is to say
    Slot* next_free = nullptr;
    std::uint64_t progress = 0;  // of a flush, what was known; of zeroes, bytes written
    IoBuffer copy;
    std::unique_ptr<iovec[]> spilled;
    std::size_t spilled_count = 0;
    std::array<iovec, vectors_inline> few;
  };

  /// Requests that wait for a slot, first in, first out; linked through Request::next.
  struct Queue {
    Request* first = nullptr;
    Request* last = nullptr;
    void push(Request& request) noexcept;
    Request& pop() noexcept;
  };
  struct DeadlineTimer : Timer {
    FileChannel* channel = nullptr;
  };

  FileChannel(Device& device, FlushFailures& failures, FileChannelParts parts, MemoryCharge charge);

  void start(Request& request) noexcept override;
  Task<> shut() override;
  void on_event(DeviceEvent event) noexcept override;

  bool begin(Slot& slot, Request& request) noexcept;
  void submit_to_device(Slot& slot) noexcept;
  bool prepare_transfer(Slot& slot, Request& request) noexcept;
  bool prepare_vectors(Slot& slot, const Request& request) noexcept;
  bool prepare_copy(Slot& slot, const Request& request, std::uint64_t bytes) noexcept;
  bool misaligned(const Request& request) const noexcept;
  void prepare_zeroes(Slot& slot) noexcept;
  void prepare_flush(Slot& slot) noexcept;
  std::uint32_t fixed(const Segment& segment) noexcept;
  std::uint32_t make_fixed(std::uint32_t region) noexcept;

  static void completed(Operation& operation) noexcept;
  void judge(Slot& slot) noexcept;
  void judge_zeroes(Slot& slot) noexcept;
  void end(Slot& slot, const Result<>& result) noexcept;
  Error error_of(const Slot& slot) const noexcept;
  std::uint64_t offset_of(const Request& request) const noexcept;

  void wait_for_slot(Request& request) noexcept;
  void release(Slot& slot) noexcept;
  bool serve_waiting(Slot& slot) noexcept;
  void expire_waiting() noexcept;
  template <class Fails>
  Instant fail_waiting(Fails fails, Errc code, const char* why) noexcept;

  Backend& backend_;
  IoRing* const ring_;
  Slot* free_ = nullptr;
  const std::uint32_t block_shift_;
  const std::uint64_t bounce_mask_;
  std::vector<std::uint8_t> regions_;  // by number: what is known of it; empty where none is registered
  std::uint32_t waiting_ = 0;
  std::array<Queue, 3> queues_;  // high, normal, background
  DeadlineTimer deadline_;

  FileChannelParts parts_;
  FlushWatch flush_watch_;
  std::unique_ptr<Slot[]> slots_;
  MemoryCharge charge_;
};

}  // namespace ashlar
