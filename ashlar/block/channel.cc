/// The life of a request in a channel:
///
/// 1. submit() checks it: bounds, alignment, what the device can do. One byte says whether anything else
/// stands in
///    its way: the channel closes, the device is gone, or a compare-and-write holds writes back.
/// 2. start() gives it to the transport or layer.
/// 3. finish() counts it out, wakes whoever waits for the channel to drain, and completes it.

#include "ashlar/block/channel.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "ashlar/block/compare_and_write.h"
#include "ashlar/block/device.h"
#include "ashlar/runtime/shard/shard.h"
#include "ashlar/runtime/sync/scope.h"

namespace ashlar {

namespace {

constexpr std::uint64_t at_byte(const Request& request, const Geometry& geometry) noexcept {
  return request.lba.value * geometry.block_bytes;
}

/// Bytes of a request with data; 0 where a segment breaks the alignment, or where there are none.
std::uint64_t data_bytes(const Request& request, std::uint32_t alignment_mask) noexcept {
  std::uint64_t bytes = 0;
  std::uint64_t misaligned = 0;
  for (const Segment& segment : request.data) {
    misaligned |= reinterpret_cast<std::uintptr_t>(segment.data) | segment.size;
    misaligned |= segment.size == 0 ? std::uint64_t{1} << 63 : 0;
    bytes += segment.size;
  }
  return (misaligned & (alignment_mask | std::uint64_t{1} << 63)) == 0 ? bytes : 0;
}

/// What a transfer asks of its memory, by name where it is one of the usual alignments.
const char* misaligned(Op op, std::uint32_t alignment) noexcept {
  const bool reading = op == Op::read;
  switch (alignment) {
    case 1:
      return reading ? "read: memory is empty or not in whole blocks"
                     : "write: memory is empty or not in whole blocks";
    case 512:
      return reading ? "read: memory is not aligned to 512 bytes, empty or not in whole blocks"
                     : "write: memory is not aligned to 512 bytes, empty or not in whole blocks";
    case 4096:
      return reading ? "read: memory is not aligned to 4096 bytes, empty or not in whole blocks"
                     : "write: memory is not aligned to 4096 bytes, empty or not in whole blocks";
    default:
      return reading ? "read: memory is not aligned as the geometry asks, empty or not in whole blocks"
                     : "write: memory is not aligned as the geometry asks, empty or not in whole blocks";
  }
}

const char* misshapen(Op op, std::uint32_t alignment) noexcept {
  switch (op) {
    case Op::read:
    case Op::write: return misaligned(op, alignment);
    case Op::flush: return "flush: no blocks";
    case Op::trim: return "trim: no blocks";
    case Op::write_zeroes: return "write zeroes: no blocks";
    case Op::compare_and_write: return "compare and write: memory is misaligned, empty or of two sizes";
  }
  return "request";
}

const char* out_of_bounds(Op op) noexcept {
  switch (op) {
    case Op::read: return "read: beyond the end of the device";
    case Op::write: return "write: beyond the end of the device";
    case Op::flush: return "flush: beyond the end of the device";
    case Op::trim: return "trim: beyond the end of the device";
    case Op::write_zeroes: return "write zeroes: beyond the end of the device";
    case Op::compare_and_write: return "compare and write: beyond the end of the device";
  }
  return "request";
}

}  // namespace

const char* to_string(Op op) noexcept {
  switch (op) {
    case Op::read: return "read";
    case Op::write: return "write";
    case Op::flush: return "flush";
    case Op::trim: return "trim";
    case Op::write_zeroes: return "write zeroes";
    case Op::compare_and_write: return "compare and write";
  }
  return "request";
}

Channel::Channel(Device& device) noexcept
    : device_(device),
      geometry_(device.geometry()),
      block_shift_(static_cast<std::uint32_t>(std::countr_zero(geometry_.block_bytes))) {
  assert(std::has_single_bit(geometry_.block_bytes) && std::has_single_bit(geometry_.memory_alignment));
}

Channel::~Channel() {
  assert(in_flight_ == 0 && "close() the device first");
  assert(listeners_.empty() && "a listener outlived the device");
}

Result<> Channel::check(Request& request) const noexcept {
  const ErrorPlace place{.offset = at_byte(request, geometry_)};
  if (has_data(request.op)) {
    const std::uint64_t bytes = data_bytes(request, geometry_.memory_alignment - 1);
    if (bytes == 0 || (bytes & (geometry_.block_bytes - 1)) != 0) [[unlikely]]
      return fail(Errc::invalid, misshapen(request.op, geometry_.memory_alignment), place);
    request.blocks = bytes >> block_shift_;
  } else if (request.blocks == 0) {
    if (request.op == Op::flush) return {};  // all of it
    return fail(Errc::invalid, misshapen(request.op, geometry_.memory_alignment), place);
  }
  if (request.lba.value > geometry_.blocks || request.blocks > geometry_.blocks - request.lba.value)
      [[unlikely]]
    return fail(Errc::invalid, out_of_bounds(request.op), place);
  if (!mutates(request.op)) return {};
  if (geometry_.read_only) [[unlikely]]
    return fail(Errc::permission, "write: the device is read-only", place);
  if (request.op == Op::trim && !geometry_.trim) [[unlikely]]
    return fail(Errc::unsupported, "trim: the device has none", place);
  if (request.options.atomic) [[unlikely]]
    return check_atomic(request);
  return {};
}

Result<> Channel::check_atomic(const Request& request) const noexcept {
  const std::uint64_t offset = at_byte(request, geometry_), bytes = request.blocks << block_shift_;
  const ErrorPlace place{.offset = offset};
  if (geometry_.atomic_write_bytes_max == 0)
    return fail(Errc::unsupported, "atomic write: the device has none", place);
  if (!has_data(request.op)) return fail(Errc::invalid, "atomic: of writes with data only", place);
  if (!std::has_single_bit(bytes) || offset % bytes != 0)
    return fail(Errc::invalid, "atomic write: not a power of two of bytes at a multiple of its size", place);
  if (bytes < geometry_.atomic_write_bytes_min || bytes > geometry_.atomic_write_bytes_max)
    return fail(Errc::invalid, "atomic write: smaller or larger than the device's atomic unit", place);
  return {};
}

Result<IoBuffer> Channel::allocate_buffer(std::size_t bytes, std::size_t alignment) const {
  if (!std::has_single_bit(alignment) || alignment > Region::bytes)
    return fail(Errc::invalid, "allocate buffer: the alignment is a power of two up to 2 MiB");
  // The pool aligns a buffer to its size, rounded up to a power of two.
  const std::size_t aligned = std::max<std::size_t>(alignment, geometry_.memory_alignment);
  return Shard::current().buffers().allocate(std::max(bytes, aligned));
}

void Channel::submit(Request& request) noexcept {
  assert(!request.in_flight && request.complete != nullptr);
  const Result<> checked = check(request);
  if (!checked) [[unlikely]] {
    request.result = checked;
    request.complete(request);
    return;
  }
  request.in_flight = true;
  ++in_flight_;
  if (obstacles_ != 0 && stopped(request)) [[unlikely]]
    return;
  if (request.op == Op::compare_and_write && !compares()) {
    CompareAndWrite::spawn(*this, request);
    return;
  }
  count_write(request);
  start(request);
}

void Channel::begin(Request& request) noexcept {
  request.in_flight = true;
  ++in_flight_;
  count_write(request);
  start(request);
}

void Channel::resubmit(Request& request) noexcept {
  --in_flight_;
  request.in_flight = false;
  submit(request);
}

/// Ends or keeps a request that must not start now.
bool Channel::stopped(Request& request) noexcept {
  if ((obstacles_ & (closing | removed)) != 0) {
    const char* const why = (obstacles_ & removed) != 0 ? "the device is gone" : "the device was closed";
    --in_flight_;
    request.in_flight = false;
    request.result = fail(Errc::closed, why, {.offset = at_byte(request, geometry_)});
    request.complete(request);
    return true;
  }
  if (!mutates(request.op) || (request.op == Op::compare_and_write && !compares())) return false;
  if (!hold_->covers(request)) return false;
  hold_->keep(request);
  return true;
}

void Channel::finish(Request& request, const Result<>& result) noexcept {
  assert(request.in_flight);
  if (mutates(request.op) && --writes_[request.phase] == 0 && write_drainer_ != nullptr &&
      request.phase != phase_) [[unlikely]]
    std::exchange(write_drainer_, nullptr)->make_ready();
  end(request, result);
}

/// The end of a request that was not counted as a write.
void Channel::end(Request& request, const Result<>& result) noexcept {
  if (--in_flight_ == 0 && drainer_ != nullptr) [[unlikely]]
    std::exchange(drainer_, nullptr)->make_ready();
  request.in_flight = false;
  request.result = result;
  request.complete(request);
}

void Channel::forward(Request& request, Channel& child, std::uint64_t by) noexcept {
  if (mutates(request.op)) --writes_[request.phase];
  --in_flight_;
  request.in_flight = false;
  request.lba.value += by;
  child.submit(request);
}

/// Suspends until the counter that `slot` stands for is zero.
struct Channel::Drained : Waiter {
  Drained(const std::uint64_t& counter, Waiter*& slot) noexcept : counter_(counter), slot_(slot) {}
  bool await_ready() const noexcept { return counter_ == 0; }
  void await_suspend(std::coroutine_handle<> suspended) noexcept {
    assert(slot_ == nullptr);
    arm(suspended);
    slot_ = this;
  }
  void await_resume() const noexcept {}

 private:
  const std::uint64_t& counter_;
  Waiter*& slot_;
};

Task<> Channel::close() {
  obstacles_ |= closing;
  co_await Drained(in_flight_, drainer_);
  co_await tasks_.join();
  co_await shut();
}

Task<> Channel::drain_writes() {
  assert(writes_[phase_ ^ 1] == 0 && "one at a time");
  phase_ ^= 1;
  co_await Drained(writes_[phase_ ^ 1], write_drainer_);
}

void Channel::event(DeviceEvent event, std::uint64_t blocks) noexcept {
  if (event == DeviceEvent::removed) obstacles_ |= removed;
  geometry_.blocks = blocks;
  on_event(event);
  for (auto at = listeners_.begin(); at != listeners_.end();)
    (at++)->on_device_event(event);  // it may unlink itself
}

void Channel::suspect() noexcept {
  if (suspecting_ || (obstacles_ & (closing | removed)) != 0) return;
  suspecting_ = true;
  tasks_.spawn([](Channel* self) -> Task<> {
    co_await self->device_.refresh_at_home();
    self->suspecting_ = false;
  }(this));
}

}  // namespace ashlar
