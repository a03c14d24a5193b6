#include <fcntl.h>
#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>

#include "ashlar/runtime/ops/uring/transfers.h"
#include "ashlar/runtime/ops/uring/uring_backend.h"

namespace ashlar {

bool UringBackend::pending() const noexcept {
  for (const DeviceRing* ring : rings_) {
    if (ring->pending()) return true;
  }
  return io_uring_cq_ready(&ring_) != 0 || kernel_asks(ring_) || !deferred_.empty() || !wake_watched_ ||
         (workers_ != nullptr && workers_->pending()) ||
         (!starved_.empty() && receive_buffers_->available() != 0);
}

unsigned UringBackend::poll() noexcept {
  if (!wake_watched_) [[unlikely]]
    watch_wake();
  while (!cancels_.empty() && submit_cancel(*cancels_.front())) cancels_.pop();
  while (!backlog_.empty()) {
    io_uring_sqe* sqe = entry();
    if (sqe == nullptr) break;
    prepare(*backlog_.pop(), *sqe);
  }
  // As many starved receives as there are buffers; one that finds no data leaves its buffer to the next, next
  // time.
  for (unsigned n = receive_buffers_->available(); n != 0 && !starved_.empty(); --n) start(*starved_.pop());
  if (workers_ != nullptr) workers_->dispatch();
  if (io_uring_sq_ready(&ring_) != 0 || kernel_asks(ring_)) {
    ++stats_.enters;
    io_uring_submit_and_get_events(&ring_);
    gather_.entered();
  }
  unsigned finished = finish_deferred() + finish_workers() + reap();
  for (DeviceRing* ring : rings_) finished += ring->poll();
  return finished;
}

unsigned UringBackend::wait(Instant until) noexcept {
  if (workers_ != nullptr) workers_->dispatch();
  if (deferred_.empty() && backlog_.empty() && cancels_.empty() && !rings_polling()) {
    watch_rings();
    const Duration left = until == never ? Duration::max() : std::max(until - now(), Duration::zero());
    if (by_event_) {
      wait_for_event(left);
    } else {
      wait_in_ring(left);
    }
  }
  return poll();
}

void UringBackend::wait_in_ring(Duration left) noexcept {
  ++stats_.enters;
  gather_.entered();
  if (left == Duration::max()) {
    io_uring_submit_and_wait(&ring_, 1);
    return;
  }
  io_uring_cqe* cqe = nullptr;
  const timespec limit = timespec_of(left);
  __kernel_timespec timeout{limit.tv_sec, limit.tv_nsec};
  io_uring_submit_and_wait_timeout(&ring_, &cqe, 1, &timeout, nullptr);
}

/// Not the ring's own descriptor: under DEFER_TASKRUN nothing appears in the completion queue before its
/// thread asks, so that one would not become readable. But the kernel counts up a registered eventfd when
/// there is work to ask for. It is the one that wake() writes, and that other rings count up too. No ring
/// reads an eventfd from then on: what the end of such a read counts up, the kernel counts up later.
Result<int> UringBackend::descriptor() {
  if (by_event_) return wake_fd();
  if (const int error = -io_uring_register_eventfd(&ring_, wake_fd()); error != 0)
    return fail_errno(error, "io_uring: eventfd");
  for (DeviceRing* ring : rings_) TRY(ring->tell(wake_fd()));
  by_event_ = true;
  wake();  // what has happened so far was told elsewhere
  return wake_fd();
}

/// It is blocking, for the ring's sake; this does not block.
void UringBackend::forget_event() noexcept {
  std::uint64_t told = 0;
  const iovec into{&told, sizeof told};
  [[maybe_unused]] const ssize_t bytes = ::preadv2(wake_fd(), &into, 1, -1, RWF_NOWAIT);
}

void UringBackend::wait_for_event(Duration left) noexcept {
  if (io_uring_sq_ready(&ring_) != 0) enter();
  if (!pending() && io_uring_sq_ready(&ring_) == 0) {
    pollfd event{.fd = wake_fd(), .events = POLLIN, .revents = 0};
    const timespec limit = timespec_of(left);
    ::ppoll(&event, 1, left == Duration::max() ? nullptr : &limit, nullptr);
  }
  forget_event();
}

// The event is emptied before the kernel's flags are looked at: what completes after that look counts it up.
bool UringBackend::rest() noexcept {
  if (workers_ != nullptr) workers_->dispatch();
  if (!backlog_.empty() || !cancels_.empty() || rings_polling()) return false;
  if (by_event_) forget_event();
  watch_rings();
  if (io_uring_sq_ready(&ring_) != 0) enter();
  return io_uring_sq_ready(&ring_) == 0;  // what the kernel refused is tried again
}

unsigned UringBackend::reap() noexcept {
  unsigned seen = 0;
  unsigned finished = 0;
  unsigned head;
  io_uring_cqe* cqe;
  if (stats_.in_flight != 0 && io_uring_cq_ready(&ring_) != 0) seen_at_ = now();
  io_uring_for_each_cqe(&ring_, head, cqe) {
    ++seen;
    void* data = io_uring_cqe_get_data(cqe);
    if (data == this) {
      if (!by_event_) watch_wake();
    } else if (data == &ring_event_value_) {
      rings_watched_ = false;
    } else if (data != nullptr) {
      ++finished;
      completed(*static_cast<Operation*>(data), cqe->res, cqe->flags);
    }
  }
  io_uring_cq_advance(&ring_, seen);
  gather_.came_back(seen);
  return finished;
}

unsigned UringBackend::finish_deferred() noexcept {
  unsigned finished = 0;
  while (Operation* operation = deferred_.pop()) {
    finish(*operation, operation->result);
    ++finished;
  }
  return finished;
}

unsigned UringBackend::finish_workers() noexcept {
  if (workers_ == nullptr) return 0;
  unsigned finished = 0;
  OperationList done = workers_->collect();
  while (Operation* operation = done.pop()) {
    // The device discards, yet has refused the command: this kernel does not know it.
    if (operation->code == OpCode::discard && operation->result == 0) discard_commands_ = false;
    finish(*operation, operation->result);
    ++finished;
  }
  return finished;
}

void UringBackend::completed(Operation& operation, std::int32_t result, std::uint32_t flags) noexcept {
  switch (operation.code) {
    case OpCode::read:
    case OpCode::write:
      if (operation.chained) [[unlikely]] {
        chain_completed(operation, result);
      } else if (transfer_done(operation, result)) {
        stats_.ended(operation.backend_data, seen_at_);
        finish(operation, operation.result);
      } else {
        start(operation);
      }
      return;
    case OpCode::send:
      if (operation.zero_copy) {
        zero_copy_completed(operation, result, flags);
        return;
      }
      [[fallthrough]];
    case OpCode::receive: transfer_completed(operation, result); return;
    case OpCode::send_to:
    case OpCode::receive_from: message_completed(operation, result); return;
    case OpCode::send_file: splice_completed(operation, result); return;
    case OpCode::discard:
      if (operation.backend_data == discard_by_command && (result == -EINVAL || result == -EOPNOTSUPP)) {
        operation.backend_data = discard_by_worker;
        start(operation);
        return;
      }
      break;
    case OpCode::accept: accept_completed(operation, result, flags); return;
    case OpCode::receive_multishot: receive_completed(operation, result, flags); return;
    case OpCode::sync_directory: directory_step_completed(operation, result); return;
    case OpCode::open:
      if (result >= 0) register_file(result);
      break;
    case OpCode::resize:
      // Before Linux 6.9 there is no such operation; the system call is short.
      if (result == -EINVAL &&
          ::ftruncate(operation.handle.value, static_cast<off_t>(operation.length)) == 0) {
        result = 0;
      }
      break;
    default: break;
  }
  // -ECANCELED: a signal kept the kernel from making a worker for it, and it has not begun.
  if ((result == -EINTR || result == -EAGAIN || result == -ECANCELED) && !operation.cancel_requested) {
    start(operation);
    return;
  }
  finish(operation, result);
}

void UringBackend::transfer_completed(Operation& operation, std::int32_t result) noexcept {
  if (operation.code == OpCode::send && operation.vectors != nullptr)
    give_back(*reinterpret_cast<Message*>(operation.backend_data));
  if ((result == -EINTR || result == -EAGAIN) && !operation.cancel_requested) {
    start(operation);
    return;
  }
  const bool reading = operation.code == OpCode::receive;
  if (result < 0) {
    finish(operation, result);
    return;
  }
  advance(operation, static_cast<std::uint64_t>(result));
  if (bytes_left(operation) == 0 || (reading && (result == 0 || !operation.receive_all))) {
    finish(operation, static_cast<std::int64_t>(operation.transferred));
  } else if (operation.cancel_requested) {
    finish(operation, -ECANCELED);  // it came while a part was under way
  } else if (result == 0) {
    finish(operation, -EIO);  // a send that makes no progress
  } else {
    start(operation);
  }
}

// The steps before this one have ended well, whether they said so or not; those after it have not begun.
void UringBackend::chain_completed(Operation& step, std::int32_t result) noexcept {
  // -ECANCELED: the kernel has refused one of them as it is, and begun none. By itself it tells why.
  if (result == -ECANCELED || !transfer_done(step, result)) {
    start(step);
    return;
  }
  auto& first = *reinterpret_cast<Operation*>(step.backend_data);
  for (Operation* before = &first; before != &step; before = before->then)
    before->result = static_cast<std::int64_t>(before->length);
  if (step.result >= 0 && step.then != nullptr) {
    start(*step.then);
  } else {
    --stats_.in_flight;  // bulk, whose latency says nothing
    finish(first, chain_result(first));
  }
}

void UringBackend::accept_completed(Operation& operation, std::int32_t result, std::uint32_t flags) noexcept {
  if (result == -EINVAL && operation.backend_data == accept_multishot && !operation.cancel_requested) {
    multishot_accept_ = false;  // for this one and those that are under way
    start(operation);
    return;
  }
  const bool more = (flags & IORING_CQE_F_MORE) != 0;
  const bool transient = result >= 0 || result == -EINTR || result == -EAGAIN || result == -ECONNABORTED;
  if (!transient || (operation.cancel_requested && !more && result < 0)) {
    finish(operation, result);
    return;
  }
  if (result >= 0) {
    register_file(result);
    operation.result = result;
    deliver(operation, true);
  }
  if (more) return;
  if (operation.cancel_requested) {
    finish(operation, -ECANCELED);
  } else {
    start(operation);
  }
}

void UringBackend::receive_completed(Operation& operation, std::int32_t result,
                                     std::uint32_t flags) noexcept {
  const std::uint64_t tried = operation.backend_data;
  if (tried == receive_poll && result >= 0) {
    operation.backend_data = receive_readable;
    if (operation.cancel_requested) {
      finish(operation, -ECANCELED);
    } else {
      start(operation);
    }
    return;
  }
  if (tried == receive_readable) {
    if (operation.buffer == nullptr) {
      result = -ENOBUFS;  // still readable: it takes a buffer as soon as there is one
    } else {
      operation.backend_data = 0;
      if (result <= 0) receive_buffers_->give_back(*operation.buffer);
    }
  }
  // Linux 5.19 provides buffers, but not to a multishot receive; several may be under way when that shows.
  if (result == -EINVAL && tried == receive_multishot && !operation.cancel_requested) {
    multishot_receive_ = false;
    start(operation);
    return;
  }
  const bool more = (flags & IORING_CQE_F_MORE) != 0;
  if (result > 0) {
    ReceiveBuffer& buffer =
        receive_buffers_->provided()
            ? receive_buffers_->filled(static_cast<std::uint16_t>(flags >> IORING_CQE_BUFFER_SHIFT),
                                       static_cast<std::uint32_t>(result))
            : *operation.buffer;
    buffer.size = static_cast<std::uint32_t>(result);
    operation.buffer = &buffer;
    operation.result = result;
    deliver(operation, true);
  } else if ((flags & IORING_CQE_F_BUFFER) != 0) {  // picked, but the stream had ended
    receive_buffers_->give_back(
        receive_buffers_->filled(static_cast<std::uint16_t>(flags >> IORING_CQE_BUFFER_SHIFT), 0));
  }
  if (more) return;
  if (operation.cancel_requested) {
    finish(operation, result == 0 ? 0 : -ECANCELED);
  } else if (result > 0 || result == -EINTR || result == -EAGAIN) {
    start(operation);
  } else if (result == -ENOBUFS) {
    starved_.push(operation);
  } else {
    finish(operation, result);
  }
}

void UringBackend::recycle(ReceiveBuffer& buffer) noexcept {
  receive_buffers_->give_back(buffer);
}

void UringBackend::directory_step_completed(Operation& operation, std::int32_t result) noexcept {
  const auto step = operation.transferred++;
  if (step == 0) {
    if (result < 0) {
      finish(operation, result);
      return;
    }
    operation.backend_data = static_cast<std::uint64_t>(result) + 1;
    operation.result = 0;
  } else if (step == 1) {
    operation.result = result;
  } else {
    finish(operation, operation.result);
    return;
  }
  start(operation);
}

void UringBackend::deliver(Operation& operation, bool more) noexcept {
  operation.more = more;
  operation.complete(operation);
}

void UringBackend::finish(Operation& operation, std::int64_t result) noexcept {
  if (operation.cancel_requested && !cancels_.empty()) [[unlikely]]
    cancels_.remove(operation);  // it has ended by itself
  operation.result = result;
  operation.state = Operation::State::idle;
  --in_flight_;
  deliver(operation, false);
}

}  // namespace ashlar
