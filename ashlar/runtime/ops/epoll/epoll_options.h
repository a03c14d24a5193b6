#pragma once

/// What the epoll back end is asked for.

namespace ashlar {

struct EpollOptions {
  unsigned file_threads_max = 8;  ///< file operations of this shard that run at once
  unsigned receive_buffer_count = 256;
  unsigned receive_buffer_bytes = 16384;
};

}  // namespace ashlar
