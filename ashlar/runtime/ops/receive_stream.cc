#include "ashlar/runtime/ops/receive_stream.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <new>

namespace ashlar {
namespace {

/// What a queued buffer counts for: its bytes, and that it exists, lest single bytes add up to anything.
std::uint32_t charge(const ReceiveBuffer& buffer) noexcept {
  return buffer.size + static_cast<std::uint32_t>(sizeof(ReceiveBuffer));
}

/// The same bytes outside the pool, or null where there is no memory.
ReceiveBuffer* copy_of(const ReceiveBuffer& pooled) noexcept {
  void* const memory = ::operator new(sizeof(ReceiveBuffer) + pooled.size, std::nothrow);
  if (memory == nullptr) return nullptr;
  std::byte* const data = static_cast<std::byte*>(memory) + sizeof(ReceiveBuffer);
  std::memcpy(data, pooled.data, pooled.size);
  return new (memory) ReceiveBuffer{data, pooled.size, ReceiveBuffer::not_pooled, nullptr};
}

}  // namespace

void ReceivedBytes::release(ReceiveBuffer& buffer) noexcept {
  if (buffer.id == ReceiveBuffer::not_pooled) {
    ::operator delete(&buffer);
  } else {
    Shard::current().backend().recycle(buffer);
  }
}

/// Completes when no receive is in the kernel's hands.
class ReceiveStream::Idle : private Waiter {
 public:
  explicit Idle(ReceiveStream& stream) noexcept : stream_(stream) {}
  bool await_ready() const noexcept { return !stream_.running(); }
  void await_suspend(std::coroutine_handle<> suspended) noexcept {
    arm(suspended);
    stream_.idle_waiter_ = this;
  }
  void await_resume() const noexcept {}

 private:
  ReceiveStream& stream_;
};

ReceiveStream::ReceiveStream(const Socket& socket) noexcept {
  code = OpCode::receive_multishot;
  handle = socket.handle();
  complete = &ReceiveStream::completed;
}

ReceiveStream::~ReceiveStream() {
  assert(!running() && first_ == nullptr && "stop() the stream first");
}

void ReceiveStream::start() noexcept {
  Shard::current().backend().submit(*this);
}

void ReceiveStream::pause() noexcept {
  if (running()) Shard::current().backend().cancel(*this);
}

void ReceiveStream::completed(Operation& operation) noexcept {
  auto& self = static_cast<ReceiveStream&>(operation);
  if (operation.more) {
    self.push(*operation.buffer);
    if (self.queued_bytes_ > queued_bytes_max) self.pause();
  } else if (operation.result != -ECANCELED) {
    self.ended_ = true;
    self.end_result_ = operation.result;
  } else if (self.consumer_ != nullptr && self.first_ == nullptr && self.idle_waiter_ == nullptr) {
    self.start();  // it was paused, and the consumer has caught up since
    return;
  }
  if (!operation.more && self.idle_waiter_ != nullptr) {
    std::exchange(self.idle_waiter_, nullptr)->make_ready();
  }
  if (self.first_ != nullptr || self.ended_) self.wake_consumer();
}

void ReceiveStream::wake_consumer() noexcept {
  if (consumer_ == nullptr) return;
  Next& consumer = *std::exchange(consumer_, nullptr);
  CancelScope::withdraw(consumer);
  consumer.make_ready();
}

void ReceiveStream::push(ReceiveBuffer& arrived) noexcept {
  ReceiveBuffer* queued = &arrived;
  if (consumer_ == nullptr) {
    if (ReceiveBuffer* const copy = copy_of(arrived)) {
      ReceivedBytes::release(arrived);
      queued = copy;
    }
  }
  queued->next = nullptr;
  *(first_ == nullptr ? &first_ : &last_->next) = queued;
  last_ = queued;
  queued_bytes_ += charge(*queued);
}

ReceiveBuffer* ReceiveStream::pop() noexcept {
  ReceiveBuffer* buffer = first_;
  if (buffer == nullptr) return nullptr;
  first_ = buffer->next;
  buffer->next = nullptr;
  queued_bytes_ -= charge(*buffer);
  if (consumed_ != 0) {  // read_exact() took the beginning
    std::memmove(buffer->data, buffer->data + consumed_, buffer->size - consumed_);
    buffer->size -= std::exchange(consumed_, 0);
  }
  return buffer;
}

bool ReceiveStream::Next::await_ready() noexcept {
  if (stream_.first_ != nullptr || stream_.ended_) return true;
  const CancelScope* scope = Shard::current().context().cancel;
  cancelled_ = scope != nullptr && scope->cancelled();
  return cancelled_;
}

void ReceiveStream::Next::await_suspend(std::coroutine_handle<> suspended) noexcept {
  assert(stream_.consumer_ == nullptr && "one consumer");
  arm(suspended);
  if (context.cancel != nullptr) context.cancel->add(*this);
  stream_.consumer_ = this;
  if (!stream_.running()) stream_.start();
}

void ReceiveStream::Next::on_cancel() noexcept {
  stream_.consumer_ = nullptr;
  cancelled_ = true;
  make_ready();
}

Result<ReceivedBytes> ReceiveStream::Next::await_resume() noexcept {
  if (ReceiveBuffer* buffer = stream_.pop()) return ReceivedBytes(buffer);
  if (stream_.ended_) {
    if (stream_.end_result_ < 0) return fail_errno(static_cast<int>(-stream_.end_result_), "receive");
    return ReceivedBytes();
  }
  return fail(Errc::cancelled, "receive");
}

// 1. Stop the multishot receive, so that no byte after those asked for lands elsewhere. 2. Take what had
// arrived.
// 3. Receive the rest into the caller's memory.
Task<Result<>> ReceiveStream::read_exact(MutableBytes into) {
  pause();
  co_await Idle(*this);
  while (!into.empty() && first_ != nullptr) {
    const std::size_t part = std::min<std::size_t>(into.size(), first_->size - consumed_);
    std::memcpy(into.data(), first_->data + consumed_, part);
    into = into.subspan(part);
    consumed_ += static_cast<std::uint32_t>(part);
    if (consumed_ == first_->size) {
      consumed_ = 0;
      ReceivedBytes::release(*pop());
    }
  }
  if (into.empty()) co_return Result<>{};
  if (ended_) co_return fail(Errc::closed, "receive");
  const std::size_t received = CO_TRY(co_await ReceiveAwaiter(handle, into, true));
  if (received < into.size()) {
    ended_ = true;
    co_return fail(Errc::closed, "receive");
  }
  co_return Result<>{};
}

Task<> ReceiveStream::stop() {
  pause();
  co_await Idle(*this);
  consumed_ = 0;
  while (ReceiveBuffer* buffer = pop()) ReceivedBytes::release(*buffer);
}

}  // namespace ashlar
