#pragma once

/// A socket that is served from a device.

#include <cstdint>

#include "ashlar/block/channel.h"
#include "ashlar/runtime/ops/socket.h"

namespace ashlar {

/// Sends [lba, lba + blocks) of a device; the bytes pass through this process without being copied: the
/// device fills buffers of the shard's pool, and the socket sends from the same memory (SEND_ZC from
/// registered buffers; a copy in the kernel where it cannot). The next piece is read while one is sent. One
/// at a time on a socket; after an error the stream is of no use.
Task<Result<>> send_blocks(const Socket& to, Channel& from, Lba lba, std::uint64_t blocks);

}  // namespace ashlar
