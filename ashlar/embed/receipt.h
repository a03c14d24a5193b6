#pragma once

/// What operations cost.

#include <chrono>
#include <cstdint>

namespace ashlar {

/// Operations that name it in their options add to it: one receipt may gather a whole request. The caller's;
/// outlives the call (of an asynchronous one: until it is answered), and belongs to one thread at a time.
/// Nothing is measured for operations that name none.
struct Receipt {
  std::uint64_t in_place = 0;  ///< look-ups that memory answered in the calling thread; all else is of others
  std::uint64_t blocks_cached = 0;         ///< of tables, found in memory
  std::uint64_t blocks_read = 0;           ///< from the device, by this operation or by one that it joined
  std::uint64_t bytes_read = 0;            ///< of those
  std::uint64_t bytes_logged = 0;          ///< a write's batch, encoded; across partitions every record of it
  std::chrono::nanoseconds device_time{};  ///< suspended until blocks were read
  std::chrono::nanoseconds queue_time{};   ///< suspended otherwise: for durability, locks, its turn to run
  std::uint64_t cycles = 0;                ///< of the shards' CPUs (their time stamp counters), while it ran
};

}  // namespace ashlar
