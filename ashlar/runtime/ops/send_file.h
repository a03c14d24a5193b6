#pragma once

/// Files to sockets.

#include <cstdint>

#include "ashlar/runtime/ops/file.h"
#include "ashlar/runtime/ops/socket.h"
#include "ashlar/runtime/task/task.h"

namespace ashlar {

/// Sends [offset, offset + bytes) of a file or block device; returns how many bytes were sent, fewer only at
/// its end. One at a time on a socket, and no other send beside it; after an error the stream is of no use.
///
/// 1. The kernel moves the pages: from file to pipe to socket (io_uring: IORING_OP_SPLICE), or straight
///    (epoll: sendfile on a thread, as often as the socket takes more).
/// 2. Where there is no such way (simulation, a file without splice), it is read into buffers of the pool,
///    which are sent without a copy where the socket can.
Task<Result<std::uint64_t>> send_file(const Socket& to, const File& from, std::uint64_t offset,
                                      std::uint64_t bytes);

}  // namespace ashlar
