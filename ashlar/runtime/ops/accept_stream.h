#pragma once

/// Accepting connections: one multishot operation, many sockets.

#include <coroutine>
#include <cstdint>
#include <vector>

#include "ashlar/base/result.h"
#include "ashlar/runtime/ops/socket.h"

namespace ashlar {

/// Owner: one shard, one consumer task. Lifecycle: the listener must outlive it, and stop() must be awaited
/// before it is destroyed.
class AcceptStream : private Operation {
 public:
  explicit AcceptStream(const Listener& listener) noexcept;
  ~AcceptStream();
  AcceptStream(const AcceptStream&) = delete;
  AcceptStream& operator=(const AcceptStream&) = delete;

  class [[nodiscard]] Next final : private Waiter, private Cancellable {
   public:
    explicit Next(AcceptStream& stream) noexcept : stream_(stream) {}
    bool await_ready() noexcept;
    void await_suspend(std::coroutine_handle<> suspended) noexcept;
    Result<Socket> await_resume() noexcept;

   private:
    friend class AcceptStream;
    void on_cancel() noexcept override;
    AcceptStream& stream_;
  };
  /// The next connection. `no_memory` (EMFILE, ENFILE, ENOBUFS) passes: wait a little and call again.
  /// `cancelled` where the scope ends first.
  Next next() noexcept { return Next(*this); }

  /// Ends accepting and closes what nobody took. Not cancellable.
  Task<> stop();

 private:
  class Idle;
  static void completed(Operation& operation) noexcept;

  std::vector<Handle> accepted_;  // oldest first
  std::int64_t error_ = 0;
  Next* consumer_ = nullptr;
  Waiter* idle_waiter_ = nullptr;
};

}  // namespace ashlar
