#pragma once

/// What a device is: its size, its units and what it can do. Asked, never guessed.

#include <cstdint>

#include "ashlar/base/strong.h"
#include "ashlar/runtime/ops/disk_traits.h"

namespace ashlar {

/// Number of a logical block on a device.
using Lba = Strong<struct LbaTag, std::uint64_t>;

/// Sizes and abilities of a device as it is now. `blocks` may change while the device is open (an event
/// tells); nothing else does.
struct Geometry {
  std::uint32_t block_bytes = 512;           ///< unit of addresses and lengths; a power of two
  std::uint64_t blocks = 0;                  ///< capacity
  std::uint32_t physical_block_bytes = 512;  ///< writes of less are read-modify-write in the device
  std::uint32_t memory_alignment = 1;        ///< of each segment's address and size; a power of two
  std::uint32_t optimal_io_bytes = 0;        ///< the size the device likes best; 0 where it does not say
  std::uint32_t trim_granularity_bytes = 0;  ///< trims of less may do nothing; 0 where it does not say
  /// An atomic write is all or nothing after power loss: a power of two of bytes between these two, at a
  /// multiple of its own size. 0: the device has none.
  std::uint32_t atomic_write_bytes_min = 0, atomic_write_bytes_max = 0;
  std::int32_t numa_node = -1;  ///< where the device sits; -1 where unknown
  Zones zones = {};
  Protection protection = {};

  bool persistent = false;    ///< contents survive the process and, once flushed, power loss
  bool read_only = false;     ///< writes fail with `permission`
  bool write_cache = true;    ///< what was written and not flushed may be lost; true where unknown
  bool fua = false;           ///< a durable write costs no flush of the whole device
  bool trim = false;          ///< trim gives space back
  bool write_zeroes = false;  ///< without a transfer; elsewhere zeroes are written
  bool mappable = false;      ///< Device::map works
  bool poll = false;          ///< completions are polled, not interrupt driven
  bool rotational = false;

  std::uint64_t bytes() const noexcept { return blocks * block_bytes; }
  bool operator==(const Geometry&) const = default;
};

}  // namespace ashlar
