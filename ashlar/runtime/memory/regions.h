#pragma once

/// Memory that devices may touch: 2 MiB-aligned regions of the process, known by their number (D8).

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "ashlar/base/result.h"

namespace ashlar {

/// One region. Its number stays its own for as long as the process lives: what a device registered under it
/// (a ring's buffer index, an IOVA, an RDMA key) stays valid.
struct Region {
  static constexpr std::size_t bytes = std::size_t{2} << 20;  // one huge page

  std::byte* data = nullptr;
  std::uint32_t id = 0;
};

/// All regions there are. Thread safety: any thread; takes a lock, so that pools take regions and not buffers
/// from here. Lifecycle: one for the process, or one for a test; a region that is given back is kept, never
/// unmapped before the end. Memory is used from the first touch on, hence comes from the NUMA node of the
/// shard that touches it. Under ASan a region that nobody has is poisoned.
class Regions {
 public:
  Regions() = default;
  ~Regions();
  Regions(const Regions&) = delete;
  Regions& operator=(const Regions&) = delete;

  /// Those of this process. Never destroyed: a thread may outlive main's objects.
  static Regions& process();

  /// A run of `count` regions of arbitrary contents, each behind the other in memory and in number; the first
  /// is returned. `no_memory` where the system refuses.
  Result<Region> take(std::uint32_t count = 1);
  /// Takes a run back: its pages are the system's at once, but for those that are kept.
  void give(Region first, std::uint32_t count = 1);
  /// From now on the region keeps its pages: before a device registers it, which goes on to reach those
  /// pages, whatever stands at the addresses.
  void keep_pages(std::uint32_t id);

  /// How many there are: ids are below this.
  std::uint32_t count() const;
  /// Where a region is, for devices that register it.
  Region at(std::uint32_t id) const;

 private:
  bool find_run(std::uint32_t count, std::uint32_t& first);
  Result<> grow(std::uint32_t count);

  mutable std::mutex mutex_;
  std::vector<std::byte*> all_;  // by id
  std::vector<std::uint32_t> free_;
  std::vector<bool> kept_;  // by id
};

}  // namespace ashlar
