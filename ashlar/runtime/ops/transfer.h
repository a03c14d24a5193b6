#pragma once

/// Progress of a transfer that the kernel may complete in parts; shared by the back ends.

#include <sys/uio.h>

#include <algorithm>
#include <cerrno>

#include "ashlar/runtime/ops/operation.h"

namespace ashlar {

/// The chain of a write (Operation::then) begins: nothing of it has happened.
inline void begin_chain(Operation& first) noexcept {
  for (Operation* step = first.then; step != nullptr; step = step->then) {
    step->transferred = 0;
    step->result = -ECANCELED;
  }
}
/// Ends a chain of which each step has its result: what its first one completes with.
inline std::int64_t chain_result(const Operation& first) noexcept {
  std::int64_t total = 0;
  for (const Operation* step = &first; step != nullptr; step = step->then) {
    if (step->result < 0) return step->result;
    total += step->result;
  }
  return total;
}

/// One system call never moves more than this (Linux: MAX_RW_COUNT).
constexpr std::uint64_t transfer_bytes_max = 0x7ffff000;

/// Nor more buffers than this (Linux: IOV_MAX).
constexpr std::uint32_t transfer_vectors_max = 1024;

/// All of a write or nothing of it, after power loss too: Linux 6.11, which the C library does not name yet.
constexpr int rwf_atomic = 0x40;

/// Flags of pwritev2 for a write.
inline int write_flags(const Operation& operation) noexcept {
  return (operation.durable ? RWF_DSYNC : 0) | (operation.atomic ? rwf_atomic : 0);
}

/// Bytes that a read, write, receive or send still has to move.
inline std::uint64_t bytes_left(const Operation& operation) noexcept {
  if (operation.vectors == nullptr) return operation.length - operation.transferred;
  std::uint64_t left = 0;
  for (std::uint32_t i = 0; i < operation.vector_count; ++i) left += operation.vectors[i].iov_len;
  return left;
}

/// Accounts for `bytes` more; vectors are advanced in place.
inline void advance(Operation& operation, std::uint64_t bytes) noexcept {
  operation.transferred += bytes;
  while (operation.vectors != nullptr && operation.vector_count != 0) {
    iovec& first = *operation.vectors;
    const std::uint64_t part = std::min<std::uint64_t>(bytes, first.iov_len);
    first.iov_base = static_cast<char*>(first.iov_base) + part;
    first.iov_len -= part;
    bytes -= part;
    if (first.iov_len != 0) break;
    ++operation.vectors;
    --operation.vector_count;
  }
}

}  // namespace ashlar
