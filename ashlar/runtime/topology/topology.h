#pragma once

/// What this process may use of the machine, and which shard goes where on it.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ashlar/base/result.h"
#include "ashlar/runtime/topology/cgroup.h"

namespace ashlar {

/// One hardware thread that this process may run on.
struct Cpu {
  unsigned id = 0;       ///< as the operating system numbers it
  unsigned core = 0;     ///< physical core: its hardware threads share execution units and caches
  unsigned sibling = 0;  ///< which hardware thread of its core it is, among those we may use
  unsigned node = 0;     ///< NUMA node

  bool operator==(const Cpu&) const = default;
};

/// A picture taken once; immutable, so any thread may read it.
class Topology {
 public:
  /// This machine: what the affinity mask of the calling thread and its cpuset allow, and its control groups'
  /// limits. Never fails: where hwloc cannot tell, one node with the CPUs of the affinity mask.
  static Topology detect();
  /// A machine described as hwloc does ("numa:2 core:4 pu:2"), of which only `allowed` may be used (all where
  /// empty). `invalid` where the description is. For tests and what-if questions.
  static Result<Topology> synthetic(const std::string& description, const CgroupLimits& limits = {},
                                    std::span<const unsigned> allowed = {});

  /// By id.
  std::span<const Cpu> cpus() const noexcept { return cpus_; }
  /// How many shards to run where nobody says: one per usable physical core, no more than the CPU limit lets
  /// run at once (rounded down, for a shard that is throttled stalls all who wait for it), at least one.
  unsigned shards_suggested() const noexcept { return shards_suggested_; }
  /// Memory of the machine, or the control group's limit where that is less.
  std::uint64_t memory_bytes() const noexcept { return memory_bytes_; }

  /// A CPU for each shard, by shard: physical cores before their second threads, as few NUMA nodes as will
  /// do, evenly spread over those, neighbouring shards on one node. Empty where there are fewer CPUs than
  /// shards: pin none.
  std::vector<Cpu> place(unsigned shard_count) const;

 private:
  Topology(std::vector<Cpu> cpus, std::uint64_t memory_bytes, const CgroupLimits& limits);

  std::vector<Cpu> cpus_;
  std::uint64_t memory_bytes_;
  unsigned shards_suggested_;
};

/// Binds the calling thread to one CPU. `invalid` where it may not run there.
Result<> pin_this_thread(const Cpu& cpu) noexcept;

}  // namespace ashlar
