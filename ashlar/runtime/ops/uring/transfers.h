#pragma once

/// Reads and writes of files as submission entries, and what their completions mean: the same on every ring.

#include <liburing.h>

#include <algorithm>
#include <cerrno>

#include "ashlar/runtime/ops/transfer.h"

namespace ashlar {

inline unsigned transfer_size(const Operation& operation) noexcept {
  return static_cast<unsigned>(std::min(bytes_left(operation), transfer_bytes_max));
}
inline unsigned transfer_vectors(const Operation& operation) noexcept {
  return std::min(operation.vector_count, transfer_vectors_max);
}

/// A read or write of what is left of the operation.
inline void prepare_transfer(const Operation& operation, io_uring_sqe& sqe) noexcept {
  const bool reading = operation.code == OpCode::read;
  const std::uint64_t at = operation.offset + operation.transferred;
  if (operation.vectors == nullptr || operation.vector_count == 1) {
    const void* memory =
        operation.vectors == nullptr ? operation.data + operation.transferred : operation.vectors->iov_base;
    io_uring_prep_rw(reading ? IORING_OP_READ : IORING_OP_WRITE, &sqe, operation.handle.value, memory,
                     transfer_size(operation), at);
  } else {
    io_uring_prep_rw(reading ? IORING_OP_READV : IORING_OP_WRITEV, &sqe, operation.handle.value,
                     operation.vectors, transfer_vectors(operation), at);
  }
  sqe.ioprio = operation.priority;
  if (operation.async) sqe.flags |= IOSQE_ASYNC;
  if (!reading) sqe.rw_flags = write_flags(operation);
}

/// Accounts for a completion of it. True: done, with Operation::result set. False: the rest is to be
/// submitted.
inline bool transfer_done(Operation& operation, std::int32_t result) noexcept {
  const bool reading = operation.code == OpCode::read;
  if (result < 0) [[unlikely]] {
    if (result == -EINTR || result == -EAGAIN) return false;
    if (result == -EPERM && operation.priority != 0) {  // a class that this process may not use: only a hint
      operation.priority = 0;
      return false;
    }
    // The rest of a direct read that ended inside a block is misaligned: that is the end of the file.
    const bool end = reading && result == -EINVAL && operation.transferred != 0;
    operation.result = end ? static_cast<std::int64_t>(operation.transferred) : result;
    return true;
  }
  advance(operation, static_cast<std::uint64_t>(result));
  if (bytes_left(operation) != 0) {
    if (result != 0 && !operation.atomic) return false;
    if (!reading) {
      operation.result = -EIO;  // a write that makes no progress, or one that was to be whole
      return true;
    }
  }
  operation.result = static_cast<std::int64_t>(operation.transferred);
  return true;
}

}  // namespace ashlar
