#pragma once

/// Channel: a device as one shard sees it, and the only thing that does I/O (D7).
///
///   Channel* disk = CO_TRY(co_await device.channel());
///   CO_TRY(co_await disk->read(Lba(8), buffer.bytes()));
///   CO_TRY(co_await disk->write(Lba(8), buffer.bytes(), {.durable = true}));
///
/// The path of a request: submit() checks it against the geometry and hands it to start(), which a transport
/// or a layer implements; when the device is done, finish() hands it back.

#include <cstdint>
#include <span>

#include "ashlar/base/bytes.h"
#include "ashlar/base/intrusive_list.h"
#include "ashlar/block/geometry.h"
#include "ashlar/block/io.h"
#include "ashlar/block/request.h"
#include "ashlar/runtime/sync/scope.h"
#include "ashlar/runtime/task/task.h"

namespace ashlar {

class Device;

enum class DeviceEvent : std::uint8_t {
  resized,  ///< the geometry's `blocks` changed, in either direction
  removed,  ///< the device is gone: every request fails with `closed` from now on
};

/// Whoever wants to know of changes of a device; on the list of a channel, called on its shard.
class DeviceListener : public ListHook<> {
 public:
  virtual void on_device_event(DeviceEvent event) noexcept = 0;

 protected:
  ~DeviceListener() = default;
};

/// Owner: the Device, on the shard that asked for it; used on that shard only. Lifecycle: opened by
/// Device::channel(), ended by Device::close(), which waits for what is in flight.
///
/// What every channel guarantees:
/// - Requests in flight together have no order. Where they overlap, each block ends as one of them left it.
/// - A write is durable once it completed with `durable`, or once a flush that was submitted after its
/// completion,
///   on any shard's channel of the device, completed. After a failed flush what it covered counts as lost
///   (D5).
/// - A request that fails in part fails; what of it reached the device is undefined.
/// - Vectored requests may have any number of segments, of any sizes that the alignment allows.
class Channel {
 public:
  /// On the shard that is to use it; the geometry is the device's.
  explicit Channel(Device& device) noexcept;
  virtual ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  Device& device() const noexcept { return device_; }
  /// As it is now; `blocks` follows the device.
  const Geometry& geometry() const noexcept { return geometry_; }

  // Memory: aligned to geometry().memory_alignment, and sized in whole blocks. Borrowed until the I/O has
  // ended.
  Io read(Lba lba, MutableBytes into, const IoOptions& options = {}) noexcept {
    return {*this, Op::read, lba, segment_of(into), options};
  }
  Io read(Lba lba, std::span<const Segment> into, const IoOptions& options = {}) noexcept {
    return {*this, Op::read, lba, into, options};
  }
  Io read(Lba lba, const IoBuffer& into, const IoOptions& options = {}) noexcept {
    return {*this, Op::read, lba, segment_of(into), options};
  }
  Io write(Lba lba, Bytes from, const IoOptions& options = {}) noexcept {
    return {*this, Op::write, lba, segment_of(from), options};
  }
  Io write(Lba lba, std::span<const Segment> from, const IoOptions& options = {}) noexcept {
    return {*this, Op::write, lba, from, options};
  }
  Io write(Lba lba, const IoBuffer& from, const IoOptions& options = {}) noexcept {
    return {*this, Op::write, lba, segment_of(from), options};
  }
  /// Power loss, at any time until it is durable, leaves all of the write or nothing of it. `unsupported`
  /// where the device has no such write, `invalid` where size or place are not as the geometry asks; never
  /// made of several writes. Of mapped memory: MappedView::store.
  Io atomic_write(Lba lba, Bytes from, IoOptions options = {}) noexcept {
    options.atomic = true;
    return {*this, Op::write, lba, segment_of(from), options};
  }
  Io atomic_write(Lba lba, const IoBuffer& from, IoOptions options = {}) noexcept {
    options.atomic = true;
    return {*this, Op::write, lba, segment_of(from), options};
  }
  /// Once ok, every write acknowledged before the call, on any shard, survives power loss.
  Io flush() noexcept { return {*this, Op::flush, Lba(0), 0, {}}; }
  /// The same for a range: exact on mapped memory, a full flush elsewhere.
  Io flush(Lba lba, std::uint64_t blocks) noexcept { return {*this, Op::flush, lba, blocks, {}}; }
  /// The range's contents become undefined (old or zeroes) and its space may be given back. `unsupported`
  /// where the geometry says so.
  Io trim(Lba lba, std::uint64_t blocks) noexcept { return {*this, Op::trim, lba, blocks, {}}; }
  /// The range reads as zeroes afterwards. Works everywhere: where the device cannot do it, zeroes are
  /// written.
  Io write_zeroes(Lba lba, std::uint64_t blocks, const IoOptions& options = {}) noexcept {
    return {*this, Op::write_zeroes, lba, blocks, options};
  }
  /// Writes `from` if the blocks hold `expected` now, else fails with `conflict`, as one step among all
  /// writes to the device through this process. Both of the same size, at most compare_bytes_max. (NVMe:
  /// Compare and Write, fused.)
  Io compare_and_write(Lba lba, Bytes expected, Bytes from, const IoOptions& options = {}) noexcept;
  /// The same request once more, here: what a layer's coroutine does with one it passes on.
  Io repeat(const Request& request) noexcept { return {*this, request}; }
  /// Many extents in one call.
  IoBatch submit(std::span<Request> requests) noexcept { return {*this, requests}; }

  /// At least `bytes` of memory that suits the device: from the shard's pool, so that it can be registered,
  /// aligned to geometry().memory_alignment and to `alignment`, a power of two up to 2 MiB.
  Result<IoBuffer> allocate_buffer(std::size_t bytes, std::size_t alignment = 1) const;

  /// Starts a request, whose `complete` is called exactly once, perhaps before this returns.
  void submit(Request& request) noexcept;

  /// Requests submitted and not completed.
  std::uint64_t in_flight() const noexcept { return in_flight_; }
  void listen(DeviceListener& listener) noexcept { listeners_.push_back(listener); }

  static constexpr std::uint64_t compare_bytes_max = std::uint64_t{1} << 20;

  static Segment segment_of(MutableBytes memory) noexcept {
    return {memory.data(), segment_size(memory.size())};
  }
  static Segment segment_of(Bytes memory) noexcept {  // of a write, which only reads it
    return {const_cast<std::byte*>(memory.data()), segment_size(memory.size())};
  }
  static Segment segment_of(const IoBuffer& buffer) noexcept {
    return {buffer.data(), segment_size(buffer.size()), buffer.region()};
  }

 protected:
  /// Carries out a checked request and calls finish() exactly once, at any time, also before it returns.
  /// Never blocks.
  virtual void start(Request& request) noexcept = 0;
  void finish(Request& request, const Result<>& result) noexcept;
  /// Hands a request over to a channel of this shard, `by` blocks further on: what a layer does that only
  /// moves addresses. Costs no frame; the child's finish() is the completion.
  void forward(Request& request, Channel& child, std::uint64_t by = 0) noexcept;

  /// An I/O failed in a way that suggests that the device changed its size, or is gone: the device looks.
  void suspect() noexcept;
  /// Whether start() takes compare_and_write. Elsewhere it is made of a read and a write
  /// (compare_and_write.cc).
  virtual bool compares() const noexcept { return false; }

  /// Lets go of what the channel holds; nothing is in flight, and nothing comes any more.
  virtual Task<> shut() { co_return; }
  /// The device changed (see DeviceEvent). Called before the listeners are.
  virtual void on_event(DeviceEvent) noexcept {}

 private:
  friend class Device;
  friend class Io;
  friend class IoBatch;
  friend class CompareAndWrite;

  /// Why a request may have to wait or to fail: one byte, looked at once per request.
  enum Obstacle : std::uint8_t { closing = 1, removed = 2, held = 4 };
  struct Hold;  // a range that writes keep out of
  struct Drained;

  static std::uint32_t segment_size(std::size_t bytes) noexcept {
    return bytes <= 0xffffffff ? static_cast<std::uint32_t>(bytes) : 0;  // 0 is rejected by check()
  }
  Result<> check(Request& request) const noexcept;
  Result<> check_atomic(const Request& request) const noexcept;
  bool stopped(Request& request) noexcept;
  void count_write(Request& request) noexcept {
    if (!mutates(request.op)) return;
    request.phase = phase_;
    ++writes_[phase_];
  }
  bool may_go_on() noexcept;
  void begin(Request& request) noexcept;
  void resubmit(Request& request) noexcept;
  void end(Request& request, const Result<>& result) noexcept;
  Task<> close();
  Task<> drain_writes();
  void event(DeviceEvent event, std::uint64_t blocks) noexcept;

  Device& device_;
  Geometry geometry_;
  std::uint32_t block_shift_;
  std::uint8_t obstacles_ = 0;
  std::uint8_t phase_ = 0;           // the writes that start now
  std::uint16_t inline_credit_ = 0;  // completions that do not pass through the ready queue
  std::uint64_t in_flight_ = 0;
  std::uint64_t writes_[2] = {0, 0};  // in flight, by phase
  Waiter* drainer_ = nullptr;
  Waiter* write_drainer_ = nullptr;
  Hold* hold_ = nullptr;
  bool suspecting_ = false;
  IntrusiveList<DeviceListener> listeners_;
  TaskScope tasks_{nullptr};
};

}  // namespace ashlar
