#pragma once

/// What a volume holds, as its metadata says. Format: docs/formats/blob-device.md, "Volume".

#include <cstdint>
#include <map>
#include <vector>

#include "ashlar/base/fields.h"
#include "ashlar/blob/device/extents.h"
#include "ashlar/blob/device/lease_table.h"
#include "ashlar/blob/store.h"

namespace ashlar::blob {

struct StoredBlob {
  std::uint64_t bytes = 0;
  Extents extents;
};
struct StoredRoot {
  std::uint64_t generation = 0;
  std::uint64_t bytes = 0;
  std::uint32_t checksum = 0;  ///< CRC32C of the payload
  Extents extents;
};

/// The sum of the edits of a volume. A plain value.
struct VolumeState {
  std::map<std::uint64_t, StoredBlob> tables;
  std::map<SegmentName, StoredBlob> segments;
  std::map<std::uint32_t, StoredRoot> roots;

  /// Applies an edit as a whole; on an error the state is not to be used any more. `unsupported` for a tag
  /// that must be understood; otherwise what does not fit is `corrupt`.
  Result<> apply(Bytes edit, VolumeNumber volume, ErrorPlace place);
  /// One edit that makes this state out of any other.
  std::vector<std::byte> snapshot(VolumeNumber volume) const;
};

// The edits of single operations.
std::vector<std::byte> edit_add_table(std::uint64_t number, const StoredBlob& table);
std::vector<std::byte> edit_remove_table(std::uint64_t number);
std::vector<std::byte> edit_add_segment(SegmentName name, const StoredBlob& segment);
std::vector<std::byte> edit_remove_segment(SegmentName name);
std::vector<std::byte> edit_set_root(std::uint32_t number, const StoredRoot& root);

}  // namespace ashlar::blob
