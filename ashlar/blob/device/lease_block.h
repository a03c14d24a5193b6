#pragma once

/// One block of the lease table: who has which of its chunks. Format: docs/formats/blob-device.md, "Lease
/// table".

#include <array>
#include <cstdint>
#include <optional>

#include "ashlar/base/bytes.h"
#include "ashlar/blob/device/layout.h"

namespace ashlar::blob {

using VolumeNumber = std::uint32_t;
constexpr VolumeNumber volume_max = 0x7ffffffe;  ///< volumes are 1 to this

struct LeaseBlock {
  static constexpr std::uint32_t head_bit = 0x80000000;  ///< with a volume: the chunk is its head

  std::uint64_t generation = 0;
  std::array<std::uint32_t, leases_per_block> owners{};  ///< of each chunk: 0, or a volume

  /// `into` is a block. `device` is mixed into the checksum; `number`: which block of the table.
  void encode(const DeviceId& device, std::uint64_t number, MutableBytes into) const noexcept;
  /// Nothing where the block is not valid. `from` is a block.
  static std::optional<LeaseBlock> decode(const DeviceId& device, std::uint64_t number, Bytes from) noexcept;
  /// Whether somebody can have a chunk with this owner.
  static bool possible(std::uint32_t owner) noexcept {
    const VolumeNumber volume = owner & ~head_bit;
    return volume == 0 ? owner == 0 : volume <= volume_max;
  }
};

}  // namespace ashlar::blob
