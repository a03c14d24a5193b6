#pragma once

/// Progress of a transfer that the kernel may complete in parts; shared by the back ends.

#include <algorithm>

#include "ashlar/runtime/ops/operation.h"

namespace ashlar {

/// One system call never moves more than this (Linux: MAX_RW_COUNT).
constexpr std::uint64_t transfer_bytes_max = 0x7ffff000;

/// Nor more buffers than this (Linux: IOV_MAX).
constexpr std::uint32_t transfer_vectors_max = 1024;

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
