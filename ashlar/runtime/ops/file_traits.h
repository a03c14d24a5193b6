#pragma once

/// What stands behind a handle: a file or a device, and what it can do. Asked, never guessed.

#include <cstdint>
#include <optional>
#include <string>

#include "ashlar/base/result.h"
#include "ashlar/runtime/ops/disk_traits.h"
#include "ashlar/runtime/ops/operation.h"

namespace ashlar {

/// Empty optionals, and 0 where 0 makes no sense, stand for "the kernel does not say". What the queue of a
/// disk says is given for a regular file as well: of the disk that its file system is on, where that is one.
struct FileTraits {
  enum class Kind : std::uint8_t { regular, block, character, other };

  Kind kind = Kind::other;
  bool read_only = false;   ///< the handle was not opened for writing, or the device refuses it
  std::uint64_t bytes = 0;  ///< size now; 0 for a character device that does not say
  std::uint32_t logical_block_bytes = 512;   ///< the smallest unit of direct I/O that the disk addresses
  std::uint32_t physical_block_bytes = 512;  ///< the unit it writes without reading first

  /// What O_DIRECT asks of memory, and of offset and length, in bytes; 0: no direct I/O on this file.
  std::uint32_t memory_alignment = 0;
  std::uint32_t offset_alignment = 0;
  bool alignment_from_kernel = false;  ///< statx(STATX_DIOALIGN), Linux 6.1; else a value that is safe

  // Of the disk.
  std::string disk;  ///< "nvme0n1", of a partition its disk; empty: none
  bool partition = false;
  std::optional<bool> volatile_cache;  ///< a write is durable only after a flush, or with FUA
  std::optional<bool> fua;             ///< takes a single durable write without a flush
  std::optional<bool> rotational;
  std::optional<bool> io_poll;  ///< completions can be polled for (IOPOLL)
  std::optional<std::uint32_t> numa_node;
  std::string scheduler;             ///< "none", "mq-deadline"
  std::uint32_t queue_requests = 0;  ///< nr_requests: what the disk's queue holds
  std::uint32_t discard_granularity = 0;
  std::uint64_t discard_bytes_max = 0;       ///< of one request; 0: the disk does not discard
  std::uint64_t write_zeroes_bytes_max = 0;  ///< of one request; 0: zeros are written as data
  Zones zones;
  Protection protection;

  /// RWF_ATOMIC, Linux 6.11: between these, a power of two; 0: none. Of this file, not only of its disk.
  std::uint32_t atomic_write_bytes_min = 0, atomic_write_bytes_max = 0;
};

const char* to_string(FileTraits::Kind kind) noexcept;

/// The traits of a file descriptor of this process: what the back ends over the operating system answer.
Result<FileTraits> describe_descriptor(int descriptor);

}  // namespace ashlar
