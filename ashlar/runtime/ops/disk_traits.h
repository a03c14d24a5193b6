#pragma once

/// What sysfs says of a disk, beyond its size.

#include <cstdint>

namespace ashlar {

class FileTree;
struct FileTraits;

/// A disk of zones, each of which is written from its start on and reset as a whole (SMR, ZNS).
struct Zones {
  std::uint64_t zone_bytes = 0;        ///< 0: the disk has none
  std::uint32_t count = 0;             ///< of the disk
  std::uint32_t open_max = 0;          ///< zones that may be open at once; 0: any
  std::uint32_t active_max = 0;        ///< zones that may be partly written at once; 0: any
  std::uint64_t append_bytes_max = 0;  ///< of one zone append; 0: there is none
  bool sequential_only = false;  ///< writes elsewhere than at a zone's write pointer fail (host-managed)

  explicit operator bool() const noexcept { return zone_bytes != 0; }
  bool operator==(const Zones&) const = default;
};

/// Protection information (T10 DIF, NVMe end-to-end): a tuple with guard, tag and reference beside each
/// interval of data, which whoever moves the data can check.
struct Protection {
  std::uint8_t type = 0;             ///< 1 to 3; 0: none
  bool crc64 = false;                ///< guard of 64 bits instead of 16
  std::uint32_t interval_bytes = 0;  ///< of data that one tuple covers; 0 where the kernel does not say
  std::uint32_t tag_bytes = 0;       ///< of the tuple, free for applications
  bool in_device = false;            ///< the disk keeps and checks the tuples; else the kernel emulates them
  bool generated = false;            ///< by the kernel, on writes that bring none
  bool verified = false;             ///< by the kernel, on reads

  explicit operator bool() const noexcept { return type != 0; }
  bool operator==(const Protection&) const = default;
};

/// Of the disk of a block device number, or of the disk that its partition lies on. What the kernel does not
/// show stays as it was.
void describe_disk(const FileTree& tree, unsigned major, unsigned minor, FileTraits& traits);

}  // namespace ashlar
