#pragma once

/// Where things are on a device that holds blobs. Format: docs/formats/blob-device.md.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "ashlar/base/bytes.h"
#include "ashlar/blob/blocks.h"

namespace ashlar::blob {

/// Space is allocated in units.
constexpr std::uint64_t unit_bytes = std::uint64_t{64} << 10;
constexpr std::uint64_t chunk_bytes_min = std::uint64_t{1} << 20;
constexpr std::uint64_t chunk_bytes_max = std::uint64_t{1} << 30;

/// Where the two copies of the superblock are.
constexpr std::array<std::uint64_t, 2> superblock_at = {0, std::uint64_t{1} << 20};
constexpr std::uint64_t lease_tables_at = std::uint64_t{2} << 20;

/// Chunks that one block of the lease table describes.
constexpr std::uint64_t leases_per_block = 1008;

using DeviceId = std::array<std::byte, 16>;

/// The superblock's fields; offsets and sizes in bytes.
struct Superblock {
  std::uint64_t generation = 0;
  DeviceId id{};
  std::uint64_t used_bytes = 0;
  std::uint64_t chunk_bytes = 0;
  std::uint64_t chunk_count = 0;
  std::uint64_t lease_at = 0;
  std::uint64_t lease_blocks = 0;  ///< of one table; the second follows
  std::uint64_t first_chunk = 0;
  std::uint64_t created_ms = 0;

  /// The layout of a device of `device_bytes`; nothing where it is too small. `room`: how many times its size
  /// the lease tables can describe.
  static std::optional<Superblock> plan(std::uint64_t device_bytes, std::uint64_t chunk_bytes,
                                        std::uint64_t room);
  /// As many chunks as `device_bytes` holds and the lease tables describe.
  std::uint64_t chunks_in(std::uint64_t device_bytes) const noexcept;

  void encode(MutableBytes block) const noexcept;

  enum class Found : std::uint8_t { valid, zeroes, damaged, unknown_version };
  /// Fields that do not fit each other count as damage.
  static Found decode(Bytes block, Superblock& into) noexcept;

  std::uint64_t chunk_at(std::uint64_t chunk) const noexcept { return first_chunk + chunk * chunk_bytes; }
  std::uint64_t units_per_chunk() const noexcept { return chunk_bytes / unit_bytes; }
  /// Of one of the two metadata areas that begin a head chunk.
  std::uint64_t area_bytes() const noexcept;
  bool operator==(const Superblock&) const = default;
};

}  // namespace ashlar::blob
