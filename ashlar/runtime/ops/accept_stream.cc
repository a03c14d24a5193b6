#include "ashlar/runtime/ops/accept_stream.h"

#include <cassert>
#include <cerrno>
#include <utility>

namespace ashlar {

/// Completes when the operation is not in the kernel's hands.
class AcceptStream::Idle : private Waiter {
 public:
  explicit Idle(AcceptStream& stream) noexcept : stream_(stream) {}
  bool await_ready() const noexcept { return stream_.state == State::idle; }
  void await_suspend(std::coroutine_handle<> suspended) noexcept {
    arm(suspended);
    stream_.idle_waiter_ = this;
  }
  void await_resume() const noexcept {}

 private:
  AcceptStream& stream_;
};

AcceptStream::AcceptStream(const Listener& listener) noexcept {
  code = OpCode::accept;
  handle = listener.handle();
  complete = &AcceptStream::completed;
}

AcceptStream::~AcceptStream() {
  assert(state == State::idle && accepted_.empty() && "stop() the stream first");
}

void AcceptStream::completed(Operation& operation) noexcept {
  auto& self = static_cast<AcceptStream&>(operation);
  if (operation.more) {
    self.accepted_.push_back(Handle{static_cast<std::int32_t>(operation.result)});
  } else {
    self.error_ = operation.result;
    if (self.idle_waiter_ != nullptr) std::exchange(self.idle_waiter_, nullptr)->make_ready();
  }
  if (self.consumer_ != nullptr) {
    Next& consumer = *std::exchange(self.consumer_, nullptr);
    CancelScope::withdraw(consumer);
    consumer.make_ready();
  }
}

bool AcceptStream::Next::await_ready() noexcept {
  const CancelScope* scope = Shard::current().context().cancel;
  return !stream_.accepted_.empty() || (scope != nullptr && scope->cancelled());
}

void AcceptStream::Next::await_suspend(std::coroutine_handle<> suspended) noexcept {
  assert(stream_.consumer_ == nullptr && "one consumer");
  arm(suspended);
  if (context.cancel != nullptr) context.cancel->add(*this);
  stream_.consumer_ = this;
  stream_.error_ = 0;
  if (stream_.state == State::idle) Shard::current().backend().submit(stream_);
}

void AcceptStream::Next::on_cancel() noexcept {
  stream_.consumer_ = nullptr;
  make_ready();
}

Result<Socket> AcceptStream::Next::await_resume() noexcept {
  if (!stream_.accepted_.empty()) {
    const Handle oldest = stream_.accepted_.front();
    stream_.accepted_.erase(stream_.accepted_.begin());
    return Socket(oldest);
  }
  const std::int64_t error = std::exchange(stream_.error_, 0);
  if (error < 0) return fail_errno(static_cast<int>(-error), "accept");
  return fail(Errc::cancelled, "accept");
}

Task<> AcceptStream::stop() {
  if (state != State::idle) Shard::current().backend().cancel(*this);
  co_await Idle(*this);
  for (const Handle handle_left : std::exchange(accepted_, {})) Socket{handle_left};
}

}  // namespace ashlar
