#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cassert>
#include <cerrno>

#include "ashlar/runtime/ops/epoll/epoll_backend.h"
#include "ashlar/runtime/ops/transfer.h"

namespace ashlar {

namespace {

/// A multishot gives way to others after this many completions in a row.
constexpr unsigned burst_max = 16;

/// Errors of one connection that died while it waited to be accepted (accept(2)); the listener is well.
bool passes_on_accept(int error) noexcept {
  switch (error) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case ENOPROTOOPT:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
    case EPERM: return true;
    default: return false;
  }
}

/// A message header over what is left of a transfer.
struct Message {
  msghdr header{};
  iovec single{};

  explicit Message(const Operation& operation) noexcept {
    if (operation.vectors != nullptr) {
      header.msg_iov = operation.vectors;
      header.msg_iovlen = std::min(operation.vector_count, transfer_vectors_max);
    } else {
      single = {operation.data + operation.transferred, std::min(bytes_left(operation), transfer_bytes_max)};
      header.msg_iov = &single;
      header.msg_iovlen = 1;
    }
  }
};

}  // namespace

EpollBackend::Attempt EpollBackend::attempt(Operation& operation) noexcept {
  switch (operation.code) {
    case OpCode::nop: return finish(operation, 0);
    case OpCode::accept: return attempt_accept(operation);
    case OpCode::connect: return attempt_connect(operation);
    case OpCode::receive: return attempt_receive(operation);
    case OpCode::receive_multishot: return attempt_receive_multishot(operation);
    case OpCode::send: return attempt_send(operation);
    case OpCode::send_file: return attempt_send_file(operation);
    case OpCode::send_to: return attempt_send_to(operation);
    case OpCode::receive_from: return attempt_receive_from(operation);
    case OpCode::shutdown:
      return finish(operation, ::shutdown(operation.handle.value, SHUT_RDWR) == 0 ? 0 : -errno);
    default: assert(false && "a file operation on the socket path"); return finish(operation, -ENOSYS);
  }
}

EpollBackend::Attempt EpollBackend::attempt_accept(Operation& operation) noexcept {
  for (unsigned burst = 0; burst < burst_max; ++burst) {
    const int fd = ::accept4(operation.handle.value, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      deliver(operation, fd);
      if (operation.cancel_requested) return finish(operation, -ECANCELED);
    } else if (errno == EAGAIN) {
      return Attempt::would_block;
    } else if (!passes_on_accept(errno)) {
      return finish(operation, -errno);
    }
  }
  return Attempt::again;
}

// Asked again after it became writable, connect() says how the first call ended.
EpollBackend::Attempt EpollBackend::attempt_connect(Operation& operation) noexcept {
  const auto* address = reinterpret_cast<const sockaddr*>(operation.path2);
  if (::connect(operation.handle.value, address, operation.address_bytes) == 0) return finish(operation, 0);
  switch (errno) {
    case EISCONN: return finish(operation, 0);
    case EINPROGRESS:
    case EALREADY:
    case EINTR: return Attempt::would_block;
    case EAGAIN:  // a Unix socket whose backlog is full: no event will tell when it has room
      return Attempt::again;
    default: return finish(operation, -errno);
  }
}

EpollBackend::Attempt EpollBackend::attempt_receive(Operation& operation) noexcept {
  while (bytes_left(operation) != 0) {
    Message into(operation);
    const ssize_t bytes = ::recvmsg(operation.handle.value, &into.header, MSG_DONTWAIT);
    if (bytes < 0) {
      if (errno == EINTR) continue;
      return errno == EAGAIN ? Attempt::would_block : finish(operation, -errno);
    }
    advance(operation, static_cast<std::uint64_t>(bytes));
    if (bytes == 0 || !operation.receive_all) break;
  }
  return finish(operation, static_cast<std::int64_t>(operation.transferred));
}

EpollBackend::Attempt EpollBackend::attempt_receive_multishot(Operation& operation) noexcept {
  for (unsigned burst = 0; burst < burst_max; ++burst) {
    if (free_buffer_ == nullptr) return Attempt::starved;
    ReceiveBuffer& buffer = *free_buffer_;
    const ssize_t bytes = ::recv(operation.handle.value, buffer.data, receive_buffer_bytes_, MSG_DONTWAIT);
    if (bytes > 0) {
      free_buffer_ = buffer.next;
      buffer.next = nullptr;
      buffer.size = static_cast<std::uint32_t>(bytes);
      operation.buffer = &buffer;
      deliver(operation, bytes);
      if (operation.cancel_requested) return finish(operation, -ECANCELED);
    } else if (bytes == 0) {
      return finish(operation, 0);
    } else if (errno == EAGAIN) {
      return Attempt::would_block;
    } else if (errno != EINTR) {
      return finish(operation, -errno);
    }
  }
  return Attempt::again;
}

EpollBackend::Attempt EpollBackend::attempt_send(Operation& operation) noexcept {
  while (bytes_left(operation) != 0) {
    const Message from(operation);
    const ssize_t bytes = ::sendmsg(operation.handle.value, &from.header, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (bytes < 0) {
      if (errno == EINTR) continue;
      return errno == EAGAIN ? Attempt::would_block : finish(operation, -errno);
    }
    advance(operation, static_cast<std::uint64_t>(bytes));
  }
  return finish(operation, static_cast<std::int64_t>(operation.transferred));
}

// The file may have to be read: a thread does it, as far as the socket takes it now.
EpollBackend::Attempt EpollBackend::attempt_send_file(Operation& operation) noexcept {
  pollfd socket{.fd = operation.handle.value, .events = POLLOUT, .revents = 0};
  if (::poll(&socket, 1, 0) == 0) return Attempt::would_block;
  operation.backend_data = static_cast<std::uint64_t>(Place::working);
  files_.submit(operation);
  return Attempt::handed_over;
}

EpollBackend::Attempt EpollBackend::attempt_send_to(Operation& operation) noexcept {
  for (;;) {
    const ssize_t bytes =
        ::sendto(operation.handle.value, operation.data, operation.length, MSG_DONTWAIT | MSG_NOSIGNAL,
                 reinterpret_cast<const sockaddr*>(operation.path2), operation.address_bytes);
    if (bytes >= 0) return finish(operation, bytes);
    if (errno != EINTR) return errno == EAGAIN ? Attempt::would_block : finish(operation, -errno);
  }
}

EpollBackend::Attempt EpollBackend::attempt_receive_from(Operation& operation) noexcept {
  auto* const from = reinterpret_cast<sockaddr*>(const_cast<char*>(operation.path2));
  for (;;) {
    socklen_t size = sizeof(sockaddr_storage);
    const ssize_t bytes = ::recvfrom(operation.handle.value, operation.data, operation.length,
                                     MSG_DONTWAIT | MSG_TRUNC, from, &size);
    if (bytes >= 0) {
      operation.address_bytes = size;
      return finish(operation, bytes);
    }
    if (errno != EINTR) return errno == EAGAIN ? Attempt::would_block : finish(operation, -errno);
  }
}

}  // namespace ashlar
