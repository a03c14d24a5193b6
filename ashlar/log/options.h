#pragma once

#include <chrono>
#include <cstdint>

namespace ashlar {
class OptionSet;
}

namespace ashlar::wal {

struct LogOptions {
  std::uint64_t segment_bytes = 64u << 20;  ///< also bounds a record: segment_bytes - 16 KiB
  std::uint64_t buffer_bytes = 64u << 10;   ///< a commit group closes when this is full
  std::uint64_t memory_bytes = 64u << 20;   ///< records that are not written yet, at most
  std::uint32_t spares = 1;                 ///< released segments kept for reuse beyond the next one
  /// More than that are kept so long, should they be needed again: to make one means to write all of it.
  std::chrono::milliseconds spare_period{10'000};
  std::chrono::milliseconds sync_period{
      100};  ///< longest time until a record that nobody waits for is durable
};
void describe(OptionSet& set, LogOptions& options);

}  // namespace ashlar::wal
