#pragma once

/// A table's last page: where everything else is.

#include "ashlar/base/result.h"
#include "ashlar/kv/lsm/table/format.h"

namespace ashlar::lsm {

/// Of a table whose partition nobody knows, or asks for.
constexpr std::uint64_t owner_unknown = ~std::uint64_t{0};

struct Footer {
  std::uint64_t number = 0;             ///< of the table
  std::uint64_t owner = owner_unknown;  ///< the partition that wrote it; unknown in version 1
  std::uint32_t block_bytes = 0;        ///< what one cache slot must hold
  bool partitioned = false;             ///< filters and index are in partitions, which follow the data blocks
  std::uint64_t data_end = 0;           ///< offset of the first byte after the data blocks, whole pages
  std::uint64_t meta = 0;               ///< of the first byte after the partitions, or the data blocks
  std::uint64_t offset = 0;             ///< of the footer itself: the file ends one page later
  BlockHandle filter, index, properties;  ///< frames without padding; filter may be of 0 bytes
  BlockHandle ranges;                     ///< of 0 bytes where the table carries no erased range
  bool newer_kinds = false;  ///< written: it has entries that a reader of version 2 does not know
  bool references = false;   ///< some of them refer to value tables

  /// Writes the page. `number` and `offset` are part of its checksum.
  void encode(std::span<std::byte, page_bytes> page) const noexcept;
  /// Decodes the last page of a file of `file_bytes`. Everything it says is within the file. Fails with
  /// `corrupt`, also where another partition than `owner` wrote it, or `unsupported` for another version.
  static Result<Footer> decode(Bytes page, std::uint64_t number, std::uint64_t file_bytes,
                               std::uint64_t owner = owner_unknown) noexcept;

  bool operator==(const Footer&) const = default;
};

}  // namespace ashlar::lsm
