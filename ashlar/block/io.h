#pragma once

/// Awaiting requests. The request lives in the awaiter: an I/O costs the caller no allocation.

#include <coroutine>
#include <span>

#include "ashlar/base/bytes.h"
#include "ashlar/block/request.h"
#include "ashlar/runtime/memory/buffer_pool.h"
#include "ashlar/runtime/task/waiter.h"

namespace ashlar {

class Channel;

/// One request, awaited once. Not cancellable, as no I/O of a disk is (D4): the device owns the memory until
/// it has ended. Who cannot wait awaits it by abandon_after() in a task that owns the memory.
class [[nodiscard]] Io final : private Request, private Waiter {
 public:
  Io(Channel& channel, Op what, Lba at, std::uint64_t count, const IoOptions& how) noexcept
      : Request(what, at), channel_(channel) {
    blocks = count;
    options = how;
  }
  Io(Channel& channel, Op what, Lba at, std::span<const Segment> memory, const IoOptions& how) noexcept
      : Request(what, at), channel_(channel) {
    data = memory;
    options = how;
  }
  Io(Channel& channel, Op what, Lba at, Segment memory, const IoOptions& how) noexcept
      : Request(what, at), channel_(channel), segment_(memory) {
    data = {&segment_, 1};
    options = how;
  }
  Io(Channel& channel, const Request& like) noexcept : Request(like.op, like.lba), channel_(channel) {
    blocks = like.blocks;
    data = like.data;
    expected = like.expected;
    options = like.options;
  }
  /// compare_and_write.
  Io(Channel& channel, Lba at, const std::byte* must_be, Segment memory, const IoOptions& how) noexcept
      : Io(channel, Op::compare_and_write, at, memory, how) {
    expected = must_be;
  }

  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> suspended) noexcept;
  Result<> await_resume() const noexcept { return result; }

 private:
  Channel& channel_;
  Segment segment_;
  bool submitting_ = false;
};

/// Many requests in one call: all are submitted at once, and the call returns when all have ended. Each keeps
/// a result of its own; the call returns the first error in their order.
class [[nodiscard]] IoBatch final : private Waiter {
 public:
  IoBatch(Channel& channel, std::span<Request> requests) noexcept : channel_(channel), requests_(requests) {}
  IoBatch(const IoBatch&) = delete;
  IoBatch& operator=(const IoBatch&) = delete;

  bool await_ready() const noexcept { return requests_.empty(); }
  bool await_suspend(std::coroutine_handle<> suspended) noexcept;
  Result<> await_resume() const noexcept;

 private:
  Channel& channel_;
  std::span<Request> requests_;
  std::size_t pending_ = 0;
};

}  // namespace ashlar
