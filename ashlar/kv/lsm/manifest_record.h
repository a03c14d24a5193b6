#pragma once

/// One record of a manifest's segment. Format: docs/formats/manifest.md.

#include <cstdint>
#include <optional>

#include "ashlar/base/bytes.h"
#include "ashlar/blob/blocks.h"

namespace ashlar::lsm {

struct ManifestRecord {
  static constexpr std::size_t header_bytes = 32;
  /// Index of a record that says that its segment is superseded by this generation.
  static constexpr std::uint64_t retirement = ~std::uint64_t{0};

  std::uint64_t generation = 0;
  std::uint64_t index = 0;
  Bytes edit;

  /// What it takes in the segment: whole blocks.
  std::uint64_t bytes() const noexcept { return blob::align_up(header_bytes + edit.size()); }
  /// `into` has bytes().
  void encode(MutableBytes into) const noexcept;
  /// The record that begins here, if one does; its edit is inside of `from`.
  static std::optional<ManifestRecord> decode(Bytes from) noexcept;
};

}  // namespace ashlar::lsm
