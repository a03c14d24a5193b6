#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>

#include "ashlar/runtime/ops/clock.h"

namespace ashlar {

/// Remembers for a while which parts of a mapping are in memory, so that not every read has to ask the kernel
/// (mincore). What was there may have gone meanwhile: reading it then blocks the shard for one page, and a
/// page that cannot be read is an error all the same. Owner: a channel.
class Residency {
 public:
  static constexpr std::uint64_t chunk_bytes = std::uint64_t{512} << 10;
  static constexpr Duration remembered_for = std::chrono::milliseconds(250);

  /// Whether [begin, end) of a mapping, which itself is [first, last) of the file, is in memory.
  /// `ask(begin, end)` asks the kernel.
  template <class Ask>
  bool holds(const void* mapping, std::uint64_t first, std::uint64_t last, std::uint64_t begin,
             std::uint64_t end, Instant now, Ask ask) {
    for (std::uint64_t at = begin; at < end;) {
      const std::uint64_t chunk = at / chunk_bytes;
      const std::uint64_t chunk_end = std::min((chunk + 1) * chunk_bytes, last);
      Known& known = known_[chunk % slots];
      if (known.mapping != mapping || known.chunk != chunk || known.until <= now)
        known = {mapping, chunk, now + remembered_for, ask(std::max(chunk * chunk_bytes, first), chunk_end)};
      // Of a chunk that is there in part, this part may be.
      if (!known.whole && !ask(at, std::min(end, chunk_end))) return false;
      at = chunk_end;
    }
    return true;
  }

 private:
  static constexpr std::size_t slots = 2048;  // 1 GiB
  struct Known {
    const void* mapping = nullptr;
    std::uint64_t chunk = 0;
    Instant until{};
    bool whole = false;
  };
  std::unique_ptr<Known[]> known_ = std::make_unique<Known[]>(slots);
};

}  // namespace ashlar
