#pragma once

/// One record of a volume's metadata area. Format: docs/formats/blob-device.md, "Volume".

#include <cstdint>
#include <optional>

#include "ashlar/blob/device/layout.h"
#include "ashlar/blob/device/lease_table.h"

namespace ashlar::blob {

struct VolumeRecord {
  static constexpr std::uint64_t header_bytes = 32;
  /// Index of a record that says that its area is superseded by this generation.
  static constexpr std::uint64_t retirement = ~std::uint64_t{0};

  std::uint64_t generation = 0;
  std::uint64_t index = 0;
  Bytes edit;

  /// What it takes in the area: whole blocks.
  std::uint64_t bytes() const noexcept { return align_up(header_bytes + edit.size()); }
  /// `into` has bytes(). `device` and `volume` are mixed into the checksum.
  void encode(const DeviceId& device, VolumeNumber volume, MutableBytes into) const noexcept;
  /// The record of that volume which begins here, if one does; its edit is inside of `from`.
  static std::optional<VolumeRecord> decode(const DeviceId& device, VolumeNumber volume, Bytes from) noexcept;
};

}  // namespace ashlar::blob
