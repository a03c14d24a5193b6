#pragma once

/// What all parts of a table share: sizes, handles, options. Format: docs/formats/table.md.

#include <cstddef>
#include <cstdint>

#include "ashlar/kv/lsm/key.h"

namespace ashlar::lsm {

constexpr std::size_t page_bytes = 4096;
constexpr std::size_t frame_header_bytes = 16;
constexpr std::uint32_t block_bytes_min = 4096;
constexpr std::uint32_t block_bytes_max = 1u << 20;
constexpr std::uint32_t block_entries_max = 16383;

constexpr std::uint64_t round_up(std::uint64_t bytes, std::uint64_t to) noexcept {
  return (bytes + to - 1) & ~(to - 1);
}

/// No data frame is larger, in the file or decompressed: one entry of the largest key and value.
constexpr std::uint64_t data_frame_bytes_max =
    round_up(kv::value_bytes_max + kv::stored_key_bytes_max + 256, page_bytes);

enum class FrameType : std::uint8_t {
  data = 1,
  filter = 2,
  index = 3,
  properties = 4,
  footer = 5,
  partition = 6,  ///< filter and index of some of the data blocks
  ranges = 7,
  value = 8,         ///< of a value table
  value_footer = 9,  ///< likewise
};

enum class FilterKind : std::uint8_t {
  bloom = 1,   ///< one cache line for each look-up
  ribbon = 2,  ///< a third smaller, a few lines for each look-up
};

enum class Compression : std::uint8_t {
  none = 0,
  lz4 = 1,
  zstd = 2,
};

/// Where a frame stands in its table's file, in bytes. Those of data frames are whole pages.
struct BlockHandle {
  std::uint64_t offset = 0;
  std::uint32_t bytes = 0;
  bool operator==(const BlockHandle&) const = default;
};

/// How a table is written. Every table records what it was written with; readers need no options.
struct TableOptions {
  std::uint32_t block_bytes = 16384;  ///< power of two, block_bytes_min to block_bytes_max
  Compression compression = Compression::none;
  std::uint8_t zstd_level = 3;            ///< 1 to 19
  std::uint8_t restart_shift = 4;         ///< a restart every 2^n entries, n ≤ 7
  std::uint8_t filter_bits_per_key = 10;  ///< 0 writes no filter; at most 30
  FilterKind filter_kind = FilterKind::bloom;
  /// Filter and index in partitions of about a block each, which are cached like blocks; else whole, and in
  /// memory as long as the table is open. A table of a single partition has them whole.
  bool partitioned = false;
};

}  // namespace ashlar::lsm
