#pragma once

/// What a stretch of this process's life cost: processor time, allocations, system calls, instructions, bytes
/// that went to the device. The same eyes for Ashlar and for every peer, each of which runs in a process of
/// its own.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace ashlar::bench {

using Columns = std::vector<std::pair<std::string, double>>;

/// Made before any thread is started: what it counts, it counts for all of them.
class Meter {
 public:
  /// System calls by the kernel's tracepoint, which costs each of them some 0.1 us.
  explicit Meter(bool count_system_calls);
  ~Meter();
  Meter(const Meter&) = delete;
  Meter& operator=(const Meter&) = delete;

  void begin();
  void end();

  /// Of each of so many operations: `cpu_us`, `allocations`, `system_calls`, `instructions` as far as they
  /// were counted; and `rss_mib`, the most that was resident.
  Columns columns(std::uint64_t operations, bool with_allocations) const;
  /// Bytes between the two that the kernel sent to devices, the page cache's share included.
  double written_bytes() const noexcept { return end_.written - begin_.written; }
  double read_bytes() const noexcept { return end_.read - begin_.read; }

 private:
  struct Reading {
    double cpu_seconds = 0, allocations = 0, system_calls = 0, instructions = 0, written = 0, read = 0;
  };
  Reading look() const;

  int system_calls_ = -1, instructions_ = -1;  // descriptors of perf events
  double callgrind_instructions_ = 0;
  Reading begin_, end_;
};

}  // namespace ashlar::bench
