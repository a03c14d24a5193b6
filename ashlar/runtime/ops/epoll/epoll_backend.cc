#include "ashlar/runtime/ops/epoll/epoll_backend.h"

#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <chrono>

#include "ashlar/runtime/ops/file_operations.h"

namespace ashlar {

namespace {

constexpr int events_per_turn = 256;

/// epoll_pwait2 is Linux 5.11; before it, milliseconds, rounded up so that a timer is due when we wake.
int wait_for_events(int epoll_fd, epoll_event* events, Duration timeout, bool for_ever) noexcept {
  const timespec limit = timespec_of(timeout);
  int count = epoll_pwait2(epoll_fd, events, events_per_turn, for_ever ? nullptr : &limit, nullptr);
  if (count < 0 && (errno == ENOSYS || errno == EPERM)) {
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(timeout).count();
    count = epoll_wait(epoll_fd, events, events_per_turn,
                       for_ever ? -1 : static_cast<int>(std::min<std::int64_t>(ms, 1'000'000)));
  }
  return std::max(count, 0);  // EINTR: nothing happened
}

}  // namespace

struct EpollBackend::EventBuffer {
  std::array<epoll_event, events_per_turn> events;
};

Result<std::unique_ptr<EpollBackend>> EpollBackend::create(const EpollOptions& options) {
  std::unique_ptr<EpollBackend> backend(new EpollBackend(options));
  TRY(backend->open(options));
  return backend;
}

EpollBackend::EpollBackend(const EpollOptions& options)
    : SystemBackend(SOCK_NONBLOCK),
      events_(std::make_unique<EventBuffer>()),
      receive_buffer_bytes_(options.receive_buffer_bytes),
      files_(*this, std::max(options.file_threads_max, 1u)) {}

Result<> EpollBackend::open(const EpollOptions& options) {
  epoll_fd_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd_ < 0) return fail_errno(errno, "epoll");
  // Edge-triggered: each wake() is an event of its own, so that the counter need not be read.
  epoll_event wake{.events = EPOLLIN | EPOLLET, .data = {.fd = wake_fd()}};
  if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, wake_fd(), &wake) != 0) return fail_errno(errno, "epoll");

  receive_memory_bytes_ = std::size_t{options.receive_buffer_count} * options.receive_buffer_bytes;
  void* memory = mmap(nullptr, receive_memory_bytes_, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return fail_errno(errno, "receive buffers");
  receive_memory_ = static_cast<std::byte*>(memory);
  receive_buffers_.resize(options.receive_buffer_count);
  for (std::size_t i = receive_buffers_.size(); i-- > 0;) {
    ReceiveBuffer& buffer = receive_buffers_[i];
    buffer.data = receive_memory_ + i * options.receive_buffer_bytes;
    buffer.id = static_cast<std::uint16_t>(i);
    buffer.next = std::exchange(free_buffer_, &buffer);
  }
  return {};
}

EpollBackend::~EpollBackend() {
  assert(in_flight_ == 0 && "an operation outlived its shard");
  if (receive_memory_ != nullptr) munmap(receive_memory_, receive_memory_bytes_);
  if (epoll_fd_ >= 0) ::close(epoll_fd_);
}

void EpollBackend::submit(Operation& operation) noexcept {
  assert(operation.state == Operation::State::idle);
  operation.state = Operation::State::in_flight;
  operation.transferred = 0;
  operation.cancel_requested = false;
  operation.more = false;
  ++in_flight_;
  if (!is_file_operation(operation.code)) {
    make_ready(operation);
    return;
  }
  if (operation.code == OpCode::close) forget(operation.handle);
  files_.submit(operation);
}

void EpollBackend::cancel(Operation& operation) noexcept {
  if (operation.state != Operation::State::in_flight || is_file_operation(operation.code)) return;
  operation.cancel_requested = true;
  switch (static_cast<Place>(operation.backend_data)) {
    case Place::ready:
    case Place::active:
    case Place::working: return;  // whoever tries it looks at the request
    case Place::parked: parked_on(operation).remove(operation); break;
    case Place::starved: starved_.remove(operation); break;
  }
  make_ready(operation);
}

unsigned EpollBackend::poll() noexcept {
  return turn(epoll_wait(epoll_fd_, events_->events.data(), events_per_turn, 0));
}

unsigned EpollBackend::wait(Instant until) noexcept {
  files_.dispatch();
  if (pending()) return poll();
  const Duration left = until == never ? Duration::zero() : std::max(until - now(), Duration::zero());
  return turn(wait_for_events(epoll_fd_, events_->events.data(), left, until == never));
}

unsigned EpollBackend::turn(int event_count) noexcept {
  delivered_ = 0;
  collect_events(event_count);
  run_ready();
  complete_files();
  files_.dispatch();
  return delivered_;
}

void EpollBackend::collect_events(int event_count) noexcept {
  for (int i = 0; i < event_count; ++i) {
    const epoll_event& event = events_->events[static_cast<std::size_t>(i)];
    if (event.data.fd == wake_fd()) continue;
    Watch& changed = watch(Handle{event.data.fd});
    if ((event.events & ~std::uint32_t{EPOLLOUT}) != 0) {
      while (Operation* reader = changed.readers.pop()) make_ready(*reader);
    }
    if ((event.events & ~std::uint32_t{EPOLLIN | EPOLLRDHUP}) != 0) {
      while (Operation* writer = changed.writers.pop()) make_ready(*writer);
    }
  }
}

// Each ready operation once: what becomes ready meanwhile has its turn after other work.
void EpollBackend::run_ready() noexcept {
  OperationList batch = ready_.take();
  while (Operation* next = batch.pop()) {
    Operation& operation = *next;
    if (operation.cancel_requested) {
      finish(operation, -ECANCELED);
      continue;
    }
    operation.backend_data = static_cast<std::uint64_t>(Place::active);
    switch (behind_others(operation) ? Attempt::would_block : attempt(operation)) {
      case Attempt::finished:
      case Attempt::handed_over: break;
      case Attempt::would_block: park(operation); break;
      case Attempt::again: make_ready(operation); break;
      case Attempt::starved:
        operation.backend_data = static_cast<std::uint64_t>(Place::starved);
        starved_.push(operation);
        break;
    }
    // A receive that was woken for a buffer need not have taken it.
    if (free_buffer_ != nullptr && !starved_.empty()) make_ready(*starved_.pop());
  }
}

void EpollBackend::complete_files() noexcept {
  OperationList done = files_.collect();
  while (Operation* operation = done.pop()) {
    if (operation->code == OpCode::send_file && operation->result == -EAGAIN) {
      make_ready(*operation);  // the socket was full
    } else {
      finish(*operation, operation->result);
    }
  }
}

void EpollBackend::make_ready(Operation& operation) noexcept {
  operation.backend_data = static_cast<std::uint64_t>(Place::ready);
  ready_.push(operation);
}

// The descriptor is registered once, for both directions: a change between the attempt and the registration
// is reported at once, a later one as an edge.
void EpollBackend::park(Operation& operation) noexcept {
  Watch& socket = watch(operation.handle);
  if (!socket.registered) {
    epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                      .data = {.fd = operation.handle.value}};
    if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, operation.handle.value, &event) != 0) {
      finish(operation, -errno);
      return;
    }
    socket.registered = true;
  }
  operation.backend_data = static_cast<std::uint64_t>(Place::parked);
  parked_on(operation).push(operation);
}

EpollBackend::Watch& EpollBackend::watch(Handle handle) noexcept {
  const auto index = static_cast<std::size_t>(handle.value);
  if (index >= watches_.size()) watches_.resize(std::max(index + 1, 2 * watches_.size()));
  return watches_[index];
}

OperationList& EpollBackend::parked_on(const Operation& operation) noexcept {
  Watch& socket = watch(operation.handle);
  switch (operation.code) {
    case OpCode::send:
    case OpCode::send_to:
    case OpCode::send_file:
    case OpCode::connect: return socket.writers;
    default: return socket.readers;
  }
}

// Two sends on one socket keep their order, and two receives.
bool EpollBackend::behind_others(const Operation& operation) noexcept {
  const auto index = static_cast<std::size_t>(operation.handle.value);
  const bool parks = operation.code != OpCode::nop && operation.code != OpCode::shutdown;
  return parks && index < watches_.size() && !parked_on(operation).empty();
}

// Before the descriptor is closed: its number will name another socket.
void EpollBackend::forget(Handle handle) noexcept {
  const auto index = static_cast<std::size_t>(handle.value);
  if (index >= watches_.size() || !watches_[index].registered) return;
  assert(watches_[index].readers.empty() && watches_[index].writers.empty() && "closed while in use");
  epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, handle.value, nullptr);
  watches_[index].registered = false;
}

EpollBackend::Attempt EpollBackend::finish(Operation& operation, std::int64_t result) noexcept {
  operation.result = result;
  operation.more = false;
  operation.state = Operation::State::idle;
  --in_flight_;
  ++delivered_;
  operation.complete(operation);
  return Attempt::finished;
}

void EpollBackend::deliver(Operation& operation, std::int64_t result) noexcept {
  operation.result = result;
  operation.more = true;
  ++delivered_;
  operation.complete(operation);
}

void EpollBackend::recycle(ReceiveBuffer& buffer) noexcept {
  buffer.next = std::exchange(free_buffer_, &buffer);
  if (!starved_.empty()) make_ready(*starved_.pop());
}

}  // namespace ashlar
