#pragma once

/// Options of uring:, direct: and sim:, as one struct; each kind declares those that it has.

#include <cstdint>

#include "ashlar/base/options.h"
#include "ashlar/block/registry.h"
#include "ashlar/runtime/ops/io_ring.h"

namespace ashlar {

enum class FileKind : std::uint8_t { uring, direct, sim };

/// O_DIRECT. `flag` is "on" written without a value.
enum class DirectIo : std::uint8_t { automatic, on, off, flag };
/// What each write waits for: O_DSYNC, O_SYNC.
enum class SyncMode : std::uint8_t { none, dsync, sync };

struct FileOptions {
  std::uint32_t block_bytes = 0;  ///< 0: what the device has; of a file 4 KiB, or 512 where its size asks
  std::uint32_t queue_depth = 256;
  DirectIo direct = DirectIo::automatic;
  SyncMode sync = SyncMode::none;
  bool bounce = false;
  bool read_only = false;
  bool in_use = false;             ///< also a block device that somebody has claimed
  std::uint64_t create_bytes = 0;  ///< makes the file where there is none
  bool sparse = false;
  std::uint64_t size_bytes = 0;  ///< of a character device

  // uring:
  bool own_ring = false;
  bool fixed_buffers = false;
  std::uint32_t sqpoll_cpu = 0, workers_cpu = 0;  ///< only where they are given
  RingOptions ring;

  // direct:
  bool buffered = false;
  std::uint32_t threads = 8;
};

template <FileKind kind>
std::shared_ptr<void> describe_file_options(OptionSet& set);

/// Read from a spec, with the pairs that exclude each other refused by name, at the place of one of them.
SpecResult<FileOptions> file_options_of(const Spec& spec, FileKind kind);

/// Whether the spec sets an option.
const SpecOption* find_option(const Spec& spec, std::string_view name) noexcept;

}  // namespace ashlar
