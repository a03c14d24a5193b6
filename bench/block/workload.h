#pragma once

/// What is asked of each way to a disk.

#include <cstdint>
#include <span>
#include <string>

namespace ashlar::bench::block {

struct Workload {
  unsigned read_percent = 100;
  bool random = true;
  std::uint32_t io_bytes = 4096;
  unsigned queue_depth = 1;
  bool quick = false;    ///< part of --quick
  bool ceiling = false;  ///< also asked of what reaches no disk
  bool cached = true;    ///< also asked of the page cache

  bool writes() const noexcept { return read_percent != 100; }
  /// "4 KiB random read, QD 32".
  std::string title() const;
  /// "randread-4k-qd32": for JSON.
  std::string name() const;
};

/// All of them, in the order they are run.
std::span<const Workload> workloads();

/// A figure that was published, or measured on another day, for comparison.
struct Reference {
  double iops = 0;
  const char* way = "";  ///< "null": the way that it stands beside; or one that only this row knows
  const char* short_source = "";
  const char* source = "";  ///< in full, below the table
};

/// Those that belong to a workload.
std::span<const Reference> references(const Workload& workload);

}  // namespace ashlar::bench::block
