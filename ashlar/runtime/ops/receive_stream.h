#pragma once

/// Receiving without a buffer of one's own: a multishot receive fills buffers of the shard's pool, which
/// travel to the consumer and back. Switchable, at any message boundary, to exact receive into the caller's
/// memory.

#include <coroutine>
#include <cstdint>
#include <utility>

#include "ashlar/base/bytes.h"
#include "ashlar/base/result.h"
#include "ashlar/runtime/ops/socket.h"

namespace ashlar {

/// Bytes that arrived, in a buffer of the pool or of the stream's; goes back when destroyed. Owner: the shard
/// that received it. Not to be kept while waiting for the peer: the pool is the whole shard's.
class ReceivedBytes {
 public:
  ReceivedBytes() = default;
  explicit ReceivedBytes(ReceiveBuffer* buffer) noexcept : buffer_(buffer) {}
  ReceivedBytes(ReceivedBytes&& other) noexcept : buffer_(std::exchange(other.buffer_, nullptr)) {}
  ReceivedBytes& operator=(ReceivedBytes&& other) noexcept {
    std::swap(buffer_, other.buffer_);
    return *this;
  }
  ~ReceivedBytes() {
    if (buffer_ != nullptr) release(*buffer_);
  }

  /// Empty at the end of the stream. Writable, so that a parser may work in place.
  MutableBytes bytes() const noexcept {
    return buffer_ == nullptr ? MutableBytes{} : MutableBytes{buffer_->data, buffer_->size};
  }
  bool empty() const noexcept { return buffer_ == nullptr || buffer_->size == 0; }

  /// Gives a buffer back to where it came from.
  static void release(ReceiveBuffer& buffer) noexcept;

 private:
  ReceiveBuffer* buffer_ = nullptr;
};

/// The input of one socket. Owner: one shard, one consumer task. Lifecycle: the socket must outlive it, and
/// stop() must be awaited before it is destroyed.
///
/// Back-pressure: a consumer that leaves more than queued_bytes_max unread stops the receive; what arrives
/// meanwhile is still taken in, and the kernel then holds the peer back. The next() that finds the queue
/// empty starts it again. What arrives while nobody waits for it is copied out of the pool: streams that
/// are not read, however many, take no buffer from those that are.
class ReceiveStream : private Operation {
 public:
  static constexpr std::uint32_t queued_bytes_max = 128 * 1024;

  explicit ReceiveStream(const Socket& socket) noexcept;
  ~ReceiveStream();
  ReceiveStream(const ReceiveStream&) = delete;
  ReceiveStream& operator=(const ReceiveStream&) = delete;

  class [[nodiscard]] Next final : private Waiter, private Cancellable {
   public:
    explicit Next(ReceiveStream& stream) noexcept : stream_(stream) {}
    bool await_ready() noexcept;
    void await_suspend(std::coroutine_handle<> suspended) noexcept;
    Result<ReceivedBytes> await_resume() noexcept;

   private:
    friend class ReceiveStream;
    void on_cancel() noexcept override;
    ReceiveStream& stream_;
    bool cancelled_ = false;
  };
  /// What has arrived, or the next bytes to arrive; empty at the end. `cancelled` where the scope ends first.
  Next next() noexcept { return Next(*this); }

  /// Fills `into`: first from what has arrived, the rest straight from the kernel. `closed` at an early end.
  Task<Result<>> read_exact(MutableBytes into);

  /// Ends the receive and drops what nobody read. Not cancellable.
  Task<> stop();

 private:
  class Idle;

  static void completed(Operation& operation) noexcept;
  bool running() const noexcept { return state != State::idle; }
  void start() noexcept;
  void pause() noexcept;
  void wake_consumer() noexcept;
  void push(ReceiveBuffer& arrived) noexcept;
  ReceiveBuffer* pop() noexcept;

  ReceiveBuffer* first_ = nullptr;
  ReceiveBuffer* last_ = nullptr;
  std::uint32_t queued_bytes_ = 0;
  std::uint32_t consumed_ = 0;  // of the first buffer, by read_exact
  bool ended_ = false;
  std::int64_t end_result_ = 0;
  Next* consumer_ = nullptr;
  Waiter* idle_waiter_ = nullptr;
};

}  // namespace ashlar
