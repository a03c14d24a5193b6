#pragma once

/// One I/O of a device, as it travels from the caller through layers to a transport.

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>

#include "ashlar/base/result.h"
#include "ashlar/block/geometry.h"
#include "ashlar/runtime/ops/clock.h"
#include "ashlar/runtime/ops/operation.h"

namespace ashlar {

/// Memory that the device reads or fills. Borrowed: it stays in place until the request has completed.
struct Segment {
  std::byte* data = nullptr;
  std::uint32_t size = 0;            ///< bytes
  std::uint32_t region = no_region;  ///< the registered region that it lies in (D8): IoBuffer::region()
};

enum class Op : std::uint8_t {
  read,
  write,
  flush,         ///< of [lba, lba + blocks), or of everything where blocks is 0
  trim,          ///< contents become undefined (old or zero), space may be given back
  write_zeroes,  ///< the range reads as zeroes afterwards
  compare_and_write,
};
const char* to_string(Op op) noexcept;

enum class IoPriority : std::uint8_t { normal, high, background };

struct IoOptions {
  bool durable = false;  ///< write, write_zeroes: acknowledged only once it survives power loss
  bool atomic =
      false;  ///< write: power loss leaves all of it or nothing; see Geometry::atomic_write_bytes_max
  bool async = false;  ///< read, write: a kernel worker starts it, for what would block the shard at its
                       ///< start (IOSQE_ASYNC); nothing where threads do the I/O anyway
  IoRole role = IoRole::automatic;  ///< which of the shard's rings carries it, where it has several
  IoPriority priority = IoPriority::normal;
  Instant deadline = never;  ///< a request that the device has not begun by then ends with `timed_out`
};

/// One I/O in flight. Lives with the caller, mostly in an awaiter, hence in the caller's frame: no
/// allocation, never moves, not destroyed before it completes. From submit() to complete() it belongs to the
/// channel.
struct Request {
  Request() = default;
  Request(Op what, Lba at) noexcept : op(what), lba(at) {}
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;
  ~Request() { assert(!in_flight && "destroyed in flight"); }

  Op op = Op::read;
  bool in_flight = false;
  std::uint8_t phase = 0;  ///< for the channel: which writes it is drained with
  IoOptions options;
  Lba lba;
  std::uint64_t blocks = 0;             ///< flush, trim, write_zeroes; submit() sets it for those with data
  std::span<const Segment> data;        ///< read: filled; write, compare_and_write: written
  const std::byte* expected = nullptr;  ///< compare_and_write: as many bytes, which must be there now
  Result<> result;                      ///< once completed; compare_and_write: `conflict` where they differ
  void (*complete)(Request&) noexcept = nullptr;  ///< on the channel's shard, perhaps inside submit(): may
                                                  ///< make a task ready; must not resume one, nor submit
  void* context = nullptr;                        ///< the caller's
  Request* next = nullptr;                        ///< the channel's, while in flight
};

/// Read or write through memory.
constexpr bool has_data(Op op) noexcept {
  return op == Op::read || op == Op::write || op == Op::compare_and_write;
}
/// Changes what is stored.
constexpr bool mutates(Op op) noexcept {
  return op == Op::write || op == Op::trim || op == Op::write_zeroes || op == Op::compare_and_write;
}

}  // namespace ashlar
