#pragma once

/// Reads what says where things are on a device of blobs, and checks that it agrees with itself: both
/// superblocks, lease table, each volume's metadata, and that every unit has one owner. Changes nothing.
/// The contents of tables and segments are their engine's to check. Format: docs/formats/blob-device.md.

#include <vector>

#include "ashlar/blob/device/blob_device.h"
#include "ashlar/blob/device/volume_state.h"

namespace ashlar::blob {

struct VolumeReport {
  VolumeNumber number = 0;
  std::uint64_t head = 0;        ///< its head chunk
  std::uint64_t chunks = 0;      ///< that it has, with the head
  std::uint64_t generation = 0;  ///< of its metadata
  VolumeState state;
  std::uint64_t used_units = 0, free_units = 0;  ///< of its chunks, without the metadata areas
  std::uint64_t free_runs = 0;                   ///< pieces that the free units are in
};

/// One thing that is wrong.
struct DeviceDamage {
  enum class Part : std::uint8_t { superblock, leases, metadata, extents, root };
  Part part = Part::superblock;
  VolumeNumber volume = 0;  ///< 0: none
  Error error;
  /// One of two copies: the other one is used, and the next open writes this one anew.
  bool mended_at_open = false;
};

struct DeviceReport {
  std::uint64_t device_bytes = 0;
  SuperblockCopies superblocks;
  Superblock layout;  ///< of the copy that counts
  std::uint64_t free_chunks = 0;
  std::vector<VolumeReport> volumes;  ///< by number, those whose metadata can be read
  std::vector<DeviceDamage> damages;

  /// Nothing that the next open would not mend.
  bool works() const noexcept;
};

/// Of a device that nobody else uses: claim() it before. An error where there is nothing to look at
/// (`not_found`: not formatted; `unsupported`: a newer format) or the device fails; damage is in the report.
Task<Result<DeviceReport>> check_device(Device& device);

}  // namespace ashlar::blob
