#pragma once

/// A table's last page: where everything else is.

#include "ashlar/base/result.h"
#include "ashlar/kv/lsm/table/format.h"

namespace ashlar::lsm {

struct Footer {
  std::uint64_t number = 0;               ///< of the table
  std::uint32_t block_bytes = 0;          ///< what one cache slot must hold
  std::uint64_t meta = 0;                 ///< offset of the first byte after the data blocks, whole pages
  std::uint64_t offset = 0;               ///< of the footer itself: the file ends one page later
  BlockHandle filter, index, properties;  ///< frames without padding; filter may be of 0 bytes

  /// Writes the page. `number` and `offset` are part of its checksum.
  void encode(std::span<std::byte, page_bytes> page) const noexcept;
  /// Decodes the last page of a file of `file_bytes`. Everything it says is within the file. Fails with
  /// `corrupt`, or `unsupported` for another format version.
  static Result<Footer> decode(Bytes page, std::uint64_t number, std::uint64_t file_bytes) noexcept;

  bool operator==(const Footer&) const = default;
};

}  // namespace ashlar::lsm
