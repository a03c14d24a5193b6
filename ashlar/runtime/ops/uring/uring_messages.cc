/// Socket operations that need memory beside the operation: message headers, and the pipes that files go to
/// sockets through.
///
/// The steps of a send_file, of which one is in flight at a time:
/// 1. Splice a piece of the file into an empty pipe.
/// 2. Splice what is in the pipe to the socket, until the pipe is empty; then the next piece.
/// 3. A pipe that was left with something in it is closed, not used again.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "ashlar/runtime/ops/uring/transfers.h"
#include "ashlar/runtime/ops/uring/uring_backend.h"

namespace ashlar {

namespace {

constexpr int pipe_bytes = 1 << 20;  // as much as an ordinary user may have

}  // namespace

UringBackend::Message& UringBackend::take_message() noexcept {
  if (free_message_ == nullptr) {
    messages_.push_back(std::make_unique<Message>());
    free_message_ = messages_.back().get();
    free_message_->next = nullptr;
  }
  Message& message = *free_message_;
  free_message_ = message.next;
  message.header = {};
  return message;
}

void UringBackend::give_back(Message& message) noexcept {
  message.next = free_message_;
  free_message_ = &message;
}

void UringBackend::prepare_message(Operation& operation, io_uring_sqe& sqe) noexcept {
  const int fd = operation.handle.value;
  Message& message = take_message();
  operation.backend_data = reinterpret_cast<std::uintptr_t>(&message);
  if (operation.vectors != nullptr) {
    message.header.msg_iov = operation.vectors;
    message.header.msg_iovlen = transfer_vectors(operation);
    io_uring_prep_sendmsg(&sqe, fd, &message.header, MSG_NOSIGNAL | MSG_WAITALL);
    return;
  }
  message.single = {operation.data, operation.length};
  message.header.msg_iov = &message.single;
  message.header.msg_iovlen = 1;
  message.header.msg_name = const_cast<char*>(operation.path2);
  message.header.msg_namelen = operation.address_bytes;
  if (operation.code == OpCode::send_to) {
    io_uring_prep_sendmsg(&sqe, fd, &message.header, MSG_NOSIGNAL);
  } else {
    message.header.msg_namelen = sizeof(sockaddr_storage);
    io_uring_prep_recvmsg(&sqe, fd, &message.header, MSG_TRUNC);
  }
}

void UringBackend::message_completed(Operation& operation, std::int32_t result) noexcept {
  auto& message = *reinterpret_cast<Message*>(operation.backend_data);
  if (operation.code == OpCode::receive_from) operation.address_bytes = message.header.msg_namelen;
  give_back(message);
  if ((result == -EINTR || result == -EAGAIN) && !operation.cancel_requested) {
    start(operation);
  } else {
    finish(operation, result == -EINTR ? -ECANCELED : result);
  }
}

// First what was sent, then, in a completion of its own, that the kernel has let go of the memory. Only that
// one ends the operation.
void UringBackend::zero_copy_completed(Operation& operation, std::int32_t result,
                                       std::uint32_t flags) noexcept {
  if ((flags & IORING_CQE_F_NOTIF) != 0) {
    result = static_cast<std::int32_t>(operation.result);
  } else if ((flags & IORING_CQE_F_MORE) != 0) {
    operation.result = result;
    return;
  }
  // A kind of socket that cannot, or more pages than this user may lock: copied.
  const bool refused = result == -EOPNOTSUPP || result == -EINVAL || result == -ENOBUFS || result == -ENOMEM;
  if (refused && !operation.cancel_requested) {
    operation.zero_copy = false;
    start(operation);
    return;
  }
  transfer_completed(operation, result);
}

// False where the operation has ended.
bool UringBackend::take_pipe(Operation& operation) noexcept {
  if (free_pipe_ == nullptr) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) {
      finish_later(operation, -errno);
      return false;
    }
    auto pipe = std::make_unique<Pipe>();
    pipe->read_end = ends[0];
    pipe->write_end = ends[1];
    const int grown = ::fcntl(ends[1], F_SETPIPE_SZ, pipe_bytes);
    pipe->capacity =
        static_cast<unsigned>(std::max(grown > 0 ? grown : ::fcntl(ends[1], F_GETPIPE_SZ), 4096));
    pipes_.push_back(std::move(pipe));
    free_pipe_ = pipes_.back().get();
  }
  Pipe& pipe = *free_pipe_;
  free_pipe_ = std::exchange(pipe.next, nullptr);
  operation.backend_data = reinterpret_cast<std::uintptr_t>(&pipe);
  return true;
}

void UringBackend::let_go(Pipe& pipe) noexcept {
  if (pipe.filled == 0) {
    pipe.next = std::exchange(free_pipe_, &pipe);
    return;
  }
  ::close(pipe.read_end);
  ::close(pipe.write_end);
  std::erase_if(pipes_, [&](const std::unique_ptr<Pipe>& other) { return other.get() == &pipe; });
}

void UringBackend::prepare_splice(const Operation& operation, io_uring_sqe& sqe) noexcept {
  const auto& pipe = *reinterpret_cast<const Pipe*>(operation.backend_data);
  const std::uint64_t left = operation.length - operation.transferred;
  if (pipe.filled == 0) {
    const auto bytes = static_cast<unsigned>(std::min<std::uint64_t>(left, pipe.capacity));
    const auto at = static_cast<std::int64_t>(operation.offset + operation.transferred);
    io_uring_prep_splice(&sqe, operation.source.value, at, pipe.write_end, -1, bytes, SPLICE_F_MOVE);
  } else {
    // Not SPLICE_F_MORE: where the file ends early, its last bytes would wait for some that never come.
    io_uring_prep_splice(&sqe, pipe.read_end, -1, operation.handle.value, -1, pipe.filled, SPLICE_F_MOVE);
    use_registered(operation, sqe);
  }
}

void UringBackend::splice_completed(Operation& operation, std::int32_t result) noexcept {
  auto& pipe = *reinterpret_cast<Pipe*>(operation.backend_data);
  const bool into_pipe = pipe.filled == 0;
  bool done = false;
  if (result >= 0 && into_pipe) {
    pipe.filled = static_cast<unsigned>(result);
    done = result == 0;  // the end of the file
  } else if (result >= 0) {
    pipe.filled -= static_cast<unsigned>(result);
    operation.transferred += static_cast<std::uint64_t>(result);
    done = operation.transferred == operation.length;
    if (result == 0) result = -EIO;  // no progress
  } else if (result == -EINVAL && into_pipe && operation.transferred == 0) {
    result = -EOPNOTSUPP;
  }
  if (operation.cancel_requested && !done && result >= 0) result = -ECANCELED;
  if (result == -EINTR && operation.cancel_requested) result = -ECANCELED;
  if (done || (result < 0 && result != -EINTR && result != -EAGAIN)) {
    let_go(pipe);
    finish(operation, result < 0 ? result : static_cast<std::int64_t>(operation.transferred));
  } else {
    start(operation);
  }
}

}  // namespace ashlar
