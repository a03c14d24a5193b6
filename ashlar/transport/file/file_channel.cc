#include "ashlar/transport/file/file_channel.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "ashlar/runtime/memory/regions.h"
#include "ashlar/runtime/shard/shard.h"

namespace ashlar {

namespace {

/// What zeroes are written from; never touched, hence without memory of its own.
alignas(4096) constinit std::byte zeroes[64 * 1024];

/// What FileChannel::regions_ holds.
enum : std::uint8_t { untried, registered, refused };
constexpr std::uint32_t regions_max = 4096;

/// By IoPriority: normal, high, background.
constexpr std::uint16_t kernel_priority[] = {0, io_priority_best_effort(0), io_priority_best_effort(7)};
constexpr std::uint8_t queue_of[] = {1, 0, 2};

/// Whether an error may come from a device that changed its size, or is gone.
constexpr bool suspicious(Errc code) noexcept {
  return code == Errc::io || code == Errc::closed || code == Errc::no_space || code == Errc::invalid;
}

}  // namespace

void FileChannel::Queue::push(Request& request) noexcept {
  request.next = nullptr;
  *(first == nullptr ? &first : &last->next) = &request;
  last = &request;
}

Request& FileChannel::Queue::pop() noexcept {
  Request& request = *first;
  first = request.next;
  return request;
}

Result<std::unique_ptr<FileChannel>> FileChannel::open(Device& device, FlushFailures& failures,
                                                       FileChannelParts parts) {
  auto charge = TRY(Shard::current().memory().charge(Purpose::io_buffers, parts.queue_depth * sizeof(Slot)));
  return std::unique_ptr<FileChannel>(new FileChannel(device, failures, std::move(parts), std::move(charge)));
}

FileChannel::FileChannel(Device& device, FlushFailures& failures, FileChannelParts parts, MemoryCharge charge)
    : Channel(device),
      backend_(Shard::current().backend()),
      ring_(parts.ring.get()),
      block_shift_(static_cast<std::uint32_t>(std::countr_zero(geometry().block_bytes))),
      bounce_mask_(parts.bounce_alignment - 1),
      regions_(parts.fixed_buffers ? regions_max : 0),
      parts_(std::move(parts)),
      flush_watch_(failures),
      slots_(std::make_unique<Slot[]>(parts_.queue_depth)),
      charge_(std::move(charge)) {
  for (std::uint32_t i = parts_.queue_depth; i-- > 0;) {
    Slot& slot = slots_[i];
    slot.channel = this;
    slot.handle = parts_.handle;
    slot.complete = completed;
    slot.next_free = std::exchange(free_, &slot);
  }
  deadline_.channel = this;
  deadline_.fire = [](Timer& timer) noexcept {
    static_cast<DeadlineTimer&>(timer).channel->expire_waiting();
  };
}

FileChannel::~FileChannel() = default;

Task<> FileChannel::shut() {
  Shard::current().timers().disarm(deadline_);
  parts_.ring.reset();
  if (parts_.own) co_await parts_.own.close();
}

std::uint64_t FileChannel::offset_of(const Request& request) const noexcept {
  return request.lba.value << block_shift_;
}

/// The slot is free: for whoever waits.
inline void FileChannel::release(Slot& slot) noexcept {
  if (waiting_ != 0 && serve_waiting(slot)) [[unlikely]]
    return;
  slot.next_free = free_;
  free_ = &slot;
}

void FileChannel::start(Request& request) noexcept {
  if (request.options.deadline <= Shard::current().turn_time()) [[unlikely]] {
    finish(request, fail(Errc::timed_out, "the deadline had passed", {.offset = offset_of(request)}));
    return;
  }
  if (request.options.role == IoRole::automatic)  // known now, not once a slot is free
    request.options.role = role_of(Shard::current().context().share);
  if (free_ == nullptr) [[unlikely]] {
    wait_for_slot(request);
    return;
  }
  Slot& slot = *free_;
  free_ = slot.next_free;
  if (!begin(slot, request)) [[unlikely]]
    release(slot);
}

/// False where the request has ended at once, and the slot is free.
bool FileChannel::begin(Slot& slot, Request& request) noexcept {
  slot.request = &request;
  slot.offset = offset_of(request);
  switch (request.op) {
    case Op::read:
    case Op::write:
      slot.code = request.op == Op::read ? OpCode::read : OpCode::write;
      slot.durable = request.options.durable;
      slot.atomic = request.options.atomic;
      slot.async = request.options.async;
      if (!prepare_transfer(slot, request)) [[unlikely]] {
        finish(request, fail(Errc::no_memory, to_string(request.op), {.offset = slot.offset}));
        return false;
      }
      break;
    case Op::flush: prepare_flush(slot); break;
    case Op::trim:
      slot.code = OpCode::discard;
      slot.length = request.blocks << block_shift_;
      slot.expected = 0;
      break;
    case Op::write_zeroes:
      slot.progress = 0;
      prepare_zeroes(slot);
      break;
    case Op::compare_and_write:  // Channel makes it of a read and a write
      finish(request, fail(Errc::unsupported, "compare and write", {.offset = slot.offset}));
      return false;
  }
  submit_to_device(slot);
  return true;
}

void FileChannel::submit_to_device(Slot& slot) noexcept {
  if (ring_ == nullptr) {
    slot.role = slot.request->options.role;
    Shard::current().submit(slot);
  } else {
    ring_->submit(slot);
  }
}

/// False where there is no memory for it.
bool FileChannel::prepare_transfer(Slot& slot, Request& request) noexcept {
  slot.priority = kernel_priority[static_cast<unsigned>(request.options.priority)];
  const std::uint64_t bytes = request.blocks << block_shift_;
  slot.expected = static_cast<std::int64_t>(bytes);
  const Segment& first = request.data.front();
  slot.region = fixed(first);
  if (bounce_mask_ != 0 && misaligned(request)) [[unlikely]]
    return prepare_copy(slot, request, bytes);
  if (request.data.size() != 1) [[unlikely]] {
    // The kernel takes an atomic write from one buffer only.
    return slot.atomic ? prepare_copy(slot, request, bytes) : prepare_vectors(slot, request);
  }
  slot.data = first.data;
  slot.length = bytes;
  return true;
}

/// The back end uses the list up, so that the caller's segments are copied.
bool FileChannel::prepare_vectors(Slot& slot, const Request& request) noexcept {
  const std::size_t count = request.data.size();
  iovec* vectors = slot.few.data();
  if (count > vectors_inline) {
    if (count > slot.spilled_count) {
      slot.spilled.reset(new (std::nothrow) iovec[count]);
      slot.spilled_count = slot.spilled != nullptr ? count : 0;
      if (slot.spilled == nullptr) return false;
    }
    vectors = slot.spilled.get();
  }
  for (std::size_t i = 0; i < count; ++i) {
    const Segment& segment = request.data[i];
    if (segment.region != request.data.front().region) slot.region = no_region;
    vectors[i] = {segment.data, segment.size};
  }
  slot.vectors = vectors;
  slot.vector_count = static_cast<std::uint32_t>(count);
  return true;
}

bool FileChannel::misaligned(const Request& request) const noexcept {
  return std::ranges::any_of(request.data, [mask = bounce_mask_](const Segment& segment) {
    return ((reinterpret_cast<std::uintptr_t>(segment.data) | segment.size) & mask) != 0;
  });
}

bool FileChannel::prepare_copy(Slot& slot, const Request& request, std::uint64_t bytes) noexcept {
  auto copy = Shard::current().buffers().allocate(bytes);
  if (!copy) return false;
  slot.copy = *std::move(copy);
  slot.expected = not_plain;
  slot.data = slot.copy.data();
  slot.length = bytes;
  slot.region = fixed(segment_of(slot.copy));
  if (request.op == Op::read) return true;
  std::byte* to = slot.data;
  for (const Segment& segment : request.data) {
    std::memcpy(to, segment.data, segment.size);
    to += segment.size;
  }
  return true;
}

/// The region of a buffer that the ring knows; registers it where it is new.
std::uint32_t FileChannel::fixed(const Segment& segment) noexcept {
  if (segment.region >= regions_.size()) [[likely]]
    return no_region;
  return regions_[segment.region] == registered ? segment.region : make_fixed(segment.region);
}

std::uint32_t FileChannel::make_fixed(std::uint32_t region) noexcept {
  std::uint8_t& known = regions_[region];
  if (known == refused) return no_region;
  Regions& regions = Regions::process();
  known = refused;
  if (region >= regions.count()) return no_region;
  regions.keep_pages(region);
  const MutableBytes memory(regions.at(region).data, Region::bytes);
  const Result<> added =
      ring_ == nullptr ? backend_.register_region(region, memory) : ring_->register_region(region, memory);
  if (!added) return no_region;
  known = registered;
  return region;
}

void FileChannel::prepare_flush(Slot& slot) noexcept {
  slot.code = OpCode::data_sync;
  slot.expected = not_plain;
  slot.progress = flush_watch_.known();
}

void FileChannel::prepare_zeroes(Slot& slot) noexcept {
  const Request& request = *slot.request;
  const std::uint64_t bytes = request.blocks << block_shift_;
  slot.expected = not_plain;
  if (parts_.zeroes_by_kernel) {
    slot.code = OpCode::write_zeroes;
    slot.length = bytes;
    return;
  }
  // A part of it, from the same few pages again and again.
  slot.code = OpCode::write;
  slot.region = no_region;
  slot.durable = request.options.durable;
  slot.atomic = false;
  slot.offset = offset_of(request) + slot.progress;
  std::uint64_t left = bytes - slot.progress;
  std::uint32_t count = 0;
  for (iovec& part : slot.few) {
    if (left == 0) break;
    part = {zeroes, std::min<std::uint64_t>(left, sizeof zeroes)};
    left -= part.iov_len;
    ++count;
  }
  slot.vectors = slot.few.data();
  slot.vector_count = count;
}

void FileChannel::completed(Operation& operation) noexcept {
  auto& slot = static_cast<Slot&>(operation);
  FileChannel& channel = *slot.channel;
  if (slot.result != slot.expected) [[unlikely]]
    return channel.judge(slot);
  slot.vectors = nullptr;
  channel.finish(*slot.request, {});
  channel.release(slot);
}

void FileChannel::judge(Slot& slot) noexcept {
  Request& request = *slot.request;
  if (slot.code == OpCode::data_sync) {
    const bool done = slot.result == 0 || (parts_.flush_optional && slot.result == -EINVAL);
    const Result<> flushed = done ? Result<>() : std::unexpected(error_of(slot));
    return end(slot, flush_watch_.ended(slot.progress, flushed));
  }
  if (slot.code == OpCode::write && slot.durable && slot.result == -EIO) flush_watch_.durable_write_failed();
  if (request.op == Op::write_zeroes) return judge_zeroes(slot);
  const auto bytes = static_cast<std::int64_t>(request.blocks << block_shift_);
  if (!slot.copy || slot.result != bytes) return end(slot, std::unexpected(error_of(slot)));
  if (request.op == Op::read) {
    const std::byte* from = slot.copy.data();
    for (const Segment& segment : request.data) {
      std::memcpy(segment.data, from, segment.size);
      from += segment.size;
    }
  }
  end(slot, {});
}

void FileChannel::judge_zeroes(Slot& slot) noexcept {
  const Request& request = *slot.request;
  if (slot.code == OpCode::write_zeroes) {
    if (slot.result == -EOPNOTSUPP || slot.result == -EINVAL || slot.result == -ENOSYS ||
        slot.result == -ENODEV) {
      parts_.zeroes_by_kernel = false;
      prepare_zeroes(slot);
      return submit_to_device(slot);
    }
    if (slot.result == 0 && request.options.durable) {
      prepare_flush(slot);
      return submit_to_device(slot);
    }
  } else if (slot.result > 0) {
    slot.progress += static_cast<std::uint64_t>(slot.result);
    if (slot.progress < request.blocks << block_shift_) {
      prepare_zeroes(slot);
      return submit_to_device(slot);
    }
    return end(slot, {});
  }
  const bool zeroed = slot.code == OpCode::write_zeroes && slot.result == 0;
  end(slot, zeroed ? Result<>() : std::unexpected(error_of(slot)));
}

/// Why an operation did not do what it should. A read that came back short met the end of what is there.
Error FileChannel::error_of(const Slot& slot) const noexcept {
  const Request& request = *slot.request;
  if (slot.result >= 0)
    return {Errc::io, 0, "the file or device ends before the request does", 0,
            offset_of(request) + static_cast<std::uint64_t>(slot.result)};
  Error error =
      error_from_errno(static_cast<int>(-slot.result), to_string(request.op), {.offset = offset_of(request)});
  if (error.native == ENODEV || error.native == ENXIO) error.code = Errc::closed;
  return error;
}

void FileChannel::end(Slot& slot, const Result<>& result) noexcept {
  Request& request = *slot.request;
  slot.vectors = nullptr;
  slot.copy.reset();
  if (!result && suspicious(result.error().code)) suspect();
  finish(request, result);
  release(slot);
}

void FileChannel::wait_for_slot(Request& request) noexcept {
  queues_[queue_of[static_cast<unsigned>(request.options.priority)]].push(request);
  ++waiting_;
  if (request.options.deadline == never) return;
  TimerHeap& timers = Shard::current().timers();
  if (deadline_.armed && deadline_.when <= request.options.deadline) return;
  timers.disarm(deadline_);
  timers.arm(deadline_, request.options.deadline);
}

/// Begins the first that waits and whose deadline has not passed; false where there is none.
bool FileChannel::serve_waiting(Slot& slot) noexcept {
  const Instant now = Shard::current().turn_time();
  for (Queue& queue : queues_) {
    while (queue.first != nullptr) {
      Request& request = queue.pop();
      --waiting_;
      if (request.options.deadline <= now) {
        finish(request,
               fail(Errc::timed_out, "the deadline passed in the queue", {.offset = offset_of(request)}));
      } else if (begin(slot, request)) {
        return true;
      }
    }
  }
  return false;
}

/// Ends every waiting request for which fails(request) holds; returns the earliest deadline of the others.
template <class Fails>
Instant FileChannel::fail_waiting(Fails fails, Errc code, const char* why) noexcept {
  Instant earliest = never;
  for (Queue& queue : queues_) {
    Queue all = std::exchange(queue, {});
    while (all.first != nullptr) {
      Request& request = all.pop();
      if (fails(request)) {
        --waiting_;
        finish(request, fail(code, why, {.offset = offset_of(request)}));
      } else {
        earliest = std::min(earliest, request.options.deadline);
        queue.push(request);
      }
    }
  }
  return earliest;
}

void FileChannel::expire_waiting() noexcept {
  Shard& shard = Shard::current();
  const Instant earliest = fail_waiting(
      [now = shard.turn_time()](const Request& request) { return request.options.deadline <= now; },
      Errc::timed_out, "the deadline passed in the queue");
  if (earliest != never) shard.timers().arm(deadline_, earliest);
}

void FileChannel::on_event(DeviceEvent event) noexcept {
  if (event == DeviceEvent::removed)
    fail_waiting([](const Request&) { return true; }, Errc::closed, "the device is gone");
}

}  // namespace ashlar
