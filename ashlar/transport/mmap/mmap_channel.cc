#include "ashlar/transport/mmap/mmap_channel.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "ashlar/base/units.h"
#include "ashlar/block/segment_cursor.h"
#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/sync/sleep.h"

namespace ashlar {

namespace {

constexpr std::uint64_t inline_bytes_max = 256_KiB;
constexpr std::uint64_t piece_bytes = 1_MiB;  // copied without a break

/// The errors that a device which shrank or went away gives.
constexpr bool suspicious(Errc code) noexcept {
  return code == Errc::io || code == Errc::closed || code == Errc::invalid;
}

}  // namespace

MmapChannel::Range MmapChannel::range_of(const Request& request) const noexcept {
  const std::uint64_t block = geometry().block_bytes;
  return {request.lba.value * block, request.blocks * block};
}

void MmapChannel::start(Request& request) noexcept {
  if (request.options.deadline <= Shard::current().turn_time()) {
    finish(request, fail(Errc::timed_out, "the deadline had passed", {.offset = range_of(request).offset}));
    return;
  }
  const Range range = range_of(request);
  if (request.op == Op::read && range.bytes <= inline_bytes_max && resident(range)) {
    if (const Result<> copied = copy(request, 0, range.bytes)) return finish(request, copied);
  }
  tasks_.spawn(serve(&request));
}

Task<> MmapChannel::shut() {
  co_await tasks_.join();
}

Task<> MmapChannel::serve(Request* request) {
  const Result<> result = co_await carry_out(*request);
  if (!result && suspicious(result.error().code)) suspect();
  finish(*request, result);
}

Task<Result<>> MmapChannel::carry_out(const Request& request) {
  switch (request.op) {
    case Op::read:
    case Op::write: return transfer(request);
    case Op::flush: return flush(request);
    case Op::trim: return at_home(OpCode::discard, range_of(request));
    case Op::write_zeroes: return zero(request);
    case Op::compare_and_write: break;  // Channel makes it of a read and a write
  }
  return transfer(request);
}

Task<Result<>> MmapChannel::transfer(const Request& request) {
  const Range range = range_of(request);
  for (std::uint64_t done = 0; done < range.bytes;) {
    const std::uint64_t bytes = std::min(piece_bytes, range.bytes - done);
    if (done != 0) co_await yield();
    CO_TRY(co_await populate(request.op, {range.offset + done, bytes}));
    CO_TRY(copy(request, done, bytes));
    done += bytes;
  }
  if (request.op == Op::write && request.options.durable) co_return co_await sync(range);
  co_return Result<>{};
}

/// By the file system where it can: the mapping shows it.
Task<Result<>> MmapChannel::zero(const Request& request) {
  const Range range = range_of(request);
  Result<> zeroed = fail(Errc::unsupported, "write zeroes");
  if (!shared_.private_copy && !shared_.detached) zeroed = co_await at_home(OpCode::write_zeroes, range);
  if (!zeroed && zeroed.error().code != Errc::unsupported) co_return zeroed;
  for (std::uint64_t done = 0; !zeroed && done < range.bytes;) {
    const Range piece{range.offset + done, std::min(piece_bytes, range.bytes - done)};
    if (done != 0) co_await yield();
    CO_TRY(co_await populate(Op::write_zeroes, piece));
    CO_TRY(fill_zeroes(piece));
    done += piece.bytes;
  }
  if (request.options.durable) co_return co_await sync(range);
  co_return Result<>{};
}

Task<Result<>> MmapChannel::flush(const Request& request) {
  Range range = range_of(request);
  if (range.bytes == 0) range = {0, geometry().bytes()};
  return sync(range);
}

Task<Result<>> MmapChannel::change_file(OpCode code, Range range) {
  if (code == OpCode::discard) co_return co_await shared_.file.discard(range.offset, range.bytes);
  co_return co_await shared_.file.write_zeroes(range.offset, range.bytes);
}

/// A discard or zeroing of the file itself, whose handle is the home's.
Task<Result<>> MmapChannel::at_home(OpCode code, Range range) {
  const Result<> result = co_await invoke(shared_.home, [&] { return change_file(code, range); });
  if (!result)
    co_return std::unexpected(
        failure(code == OpCode::discard ? Op::trim : Op::write_zeroes, range.offset, result.error()));
  co_return result;
}

/// What was stored into the range is durable. Nothing of a private mapping is, nor ever will be.
Task<Result<>> MmapChannel::sync(Range range) {
  if (shared_.private_copy || geometry().read_only) co_return Result<>{};
  // The simulator's copy is the home's alone.
  if (shared_.detached && Shard::current().id() != shared_.home)
    co_return co_await invoke(shared_.home, [&] { return sync(range); });
  const std::uint64_t known = flush_watch_.known();
  Result<> result;
  for (std::uint64_t at = range.offset; result && at < range.end();) {
    const MappedFile::Extent& extent = shared_.memory.at(at);
    const std::uint64_t end = std::min(extent.end, range.end());
    const Result<> synced = co_await extent.mapping.sync(at - extent.mapped_from, end - at);
    if (!synced) result = std::unexpected(failure(Op::flush, at, synced.error()));
    at = end;
  }
  co_return flush_watch_.ended(known, result);
}

/// Brings a range into memory on a thread; for anything but a read, ready for stores.
Task<Result<>> MmapChannel::populate(Op op, Range range) {
  if (shared_.detached) co_return Result<>{};
  for (std::uint64_t at = range.offset; at < range.end();) {
    const MappedFile::Extent& extent = shared_.memory.at(at);
    const std::uint64_t end = std::min(extent.end, range.end());
    const Result<> populated =
        co_await extent.mapping.populate(at - extent.mapped_from, end - at, op != Op::read);
    if (!populated) co_return std::unexpected(failure(op, at, populated.error()));
    at = end;
  }
  co_return Result<>{};
}

bool MmapChannel::resident(Range range) noexcept {
  const Instant now = Shard::current().turn_time();
  for (std::uint64_t at = range.offset; at < range.end();) {
    const MappedFile::Extent& extent = shared_.memory.at(at);
    const std::uint64_t end = std::min(extent.end, range.end());
    const auto ask = [&extent](std::uint64_t from, std::uint64_t to) {
      return extent.mapping.resident(from - extent.mapped_from, to - from);
    };
    if (!residency_.holds(&extent, extent.begin, extent.end, at, end, now, ask)) return false;
    at = end;
  }
  return true;
}

/// Calls use(memory, done, bytes) for each part of the range that lies in one extent and one stripe, alone in
/// that stripe; then asks whether the pages were there.
template <class Use>
Result<> MmapChannel::each_part(Op op, Range range, Use use) noexcept {
  for (std::uint64_t done = 0; done < range.bytes;) {
    const std::uint64_t at = range.offset + done;
    const MappedFile::Extent& extent = shared_.memory.at(at);
    const std::uint64_t stripe = at / StripeLocks::stripe_bytes;
    const std::uint64_t end = std::min({range.end(), extent.end, (stripe + 1) * StripeLocks::stripe_bytes});
    shared_.stripes.locked(stripe, [&] { use(extent.address(at), done, end - at); });
    if (!extent.mapping.ok()) [[unlikely]]
      return std::unexpected(failure(op, at, error_from_errno(EIO, "")));
    done = end - range.offset;
  }
  return {};
}

/// Moves `bytes` of a request's data, from its byte `skip` on; a stripe at a time, whatever segments it lies
/// in, since these need not end where blocks do.
Result<> MmapChannel::copy(const Request& request, std::uint64_t skip, std::uint64_t bytes) noexcept {
  const bool reading = request.op == Op::read;
  SegmentCursor cursor(request.data, skip);
  const auto part = [&](std::byte* memory, std::uint64_t, std::uint64_t part_bytes) {
    cursor.next(part_bytes, [memory, reading](std::byte* data, std::uint64_t done, std::uint64_t size) {
      if (reading) {
        std::memcpy(data, memory + done, size);
      } else {
        std::memcpy(memory + done, data, size);
      }
    });
  };
  return each_part(request.op, {range_of(request).offset + skip, bytes}, part);
}

Result<> MmapChannel::fill_zeroes(Range range) noexcept {
  return each_part(Op::write_zeroes, range, [](std::byte* memory, std::uint64_t, std::uint64_t size) {
    std::memset(memory, 0, size);
  });
}

/// The kernel says EFAULT or SIGBUS whatever the reason; a full file system is one that can be told.
Error MmapChannel::failure(Op op, std::uint64_t offset, const Error& cause) const {
  const ErrorPlace place{.offset = offset};
  if (mutates(op) && cause.code == Errc::io) {
    const auto space = Shard::current().backend().space(shared_.path);
    if (space && space->free_bytes < geometry().block_bytes)
      return error_from_errno(ENOSPC, to_string(op), place);
  }
  return {cause.code, cause.native, to_string(op), 0, offset};
}

}  // namespace ashlar
