#include "ashlar/runtime/topology/topology.h"

#include <hwloc.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <map>
#include <memory>
#include <tuple>
#include <utility>

namespace ashlar {

namespace {

struct DestroyTopology {
  void operator()(hwloc_topology_t topology) const noexcept { hwloc_topology_destroy(topology); }
};
struct FreeBitmap {
  void operator()(hwloc_bitmap_t bitmap) const noexcept { hwloc_bitmap_free(bitmap); }
};
using TopologyHandle = std::unique_ptr<hwloc_topology, DestroyTopology>;
using Bitmap = std::unique_ptr<hwloc_bitmap_s, FreeBitmap>;

/// The hardware threads in `allowed`. Cores are numbered as hwloc does, siblings among those that are
/// allowed.
std::vector<Cpu> cpus_in(hwloc_topology_t topology, hwloc_const_bitmap_t allowed) {
  std::vector<Cpu> cpus;
  std::map<unsigned, unsigned> siblings;  // by core
  hwloc_obj_t unit = nullptr;
  while ((unit = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_PU, unit)) != nullptr) {
    if (hwloc_bitmap_isset(allowed, unit->os_index) == 0) continue;
    const hwloc_obj* core = hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_CORE, unit);
    const unsigned core_number = core != nullptr ? core->logical_index : unit->logical_index;
    const int node = unit->nodeset != nullptr ? hwloc_bitmap_first(unit->nodeset) : 0;
    cpus.push_back({.id = unit->os_index,
                    .core = core_number,
                    .sibling = siblings[core_number]++,
                    .node = static_cast<unsigned>(std::max(node, 0))});
  }
  std::ranges::sort(cpus, {}, &Cpu::id);
  return cpus;
}

std::vector<Cpu> cpus_of_affinity_mask() {
  cpu_set_t mask;
  std::vector<Cpu> cpus;
  if (sched_getaffinity(0, sizeof mask, &mask) != 0) return {Cpu{}};
  for (unsigned id = 0; id < CPU_SETSIZE; ++id) {
    if (CPU_ISSET(id, &mask)) cpus.push_back({.id = id, .core = id});
  }
  return cpus;
}

/// Picks `count` of `cpus`, which are of one kind: from as few nodes as will do, as evenly as can be.
std::vector<Cpu> pick(const std::vector<Cpu>& cpus, std::size_t count) {
  std::map<unsigned, std::vector<Cpu>> by_node;
  for (const Cpu& cpu : cpus) by_node[cpu.node].push_back(cpu);
  std::vector<std::vector<Cpu>> nodes;
  nodes.reserve(by_node.size());
  for (auto& [node, members] : by_node) nodes.push_back(std::move(members));
  std::ranges::sort(nodes, [](const std::vector<Cpu>& a, const std::vector<Cpu>& b) {
    return a.size() != b.size() ? a.size() > b.size() : a.front().node < b.front().node;
  });

  std::size_t needed = 0, held = 0;
  while (held < count) held += nodes[needed++].size();
  std::vector<Cpu> picked;
  for (std::size_t round = 0; picked.size() < count; ++round) {
    for (std::size_t node = 0; node < needed && picked.size() < count; ++node) {
      if (round < nodes[node].size()) picked.push_back(nodes[node][round]);
    }
  }
  return picked;
}

}  // namespace

Topology::Topology(std::vector<Cpu> cpus, std::uint64_t memory_bytes, const CgroupLimits& limits)
    : cpus_(std::move(cpus)),
      memory_bytes_(std::min(memory_bytes, limits.memory_bytes.value_or(memory_bytes))) {
  const auto cores = std::ranges::count(cpus_, 0u, &Cpu::sibling);
  const double at_once = std::min(limits.cpus.value_or(1e9), static_cast<double>(cores));
  shards_suggested_ = std::max(static_cast<unsigned>(at_once), 1u);
}

Topology Topology::detect() {
  const CgroupLimits limits = read_cgroup_limits();
  const auto pages = static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES));
  const std::uint64_t memory = pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));

  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) != 0) return {cpus_of_affinity_mask(), memory, limits};
  const TopologyHandle topology(raw);
  const Bitmap allowed(hwloc_bitmap_alloc());
  if (allowed == nullptr || hwloc_topology_load(raw) != 0 ||
      hwloc_get_cpubind(raw, allowed.get(), HWLOC_CPUBIND_THREAD) != 0) {
    return {cpus_of_affinity_mask(), memory, limits};
  }
  std::vector<Cpu> cpus = cpus_in(raw, allowed.get());
  if (cpus.empty()) cpus = cpus_of_affinity_mask();
  return {std::move(cpus), memory, limits};
}

Result<Topology> Topology::synthetic(const std::string& description, const CgroupLimits& limits,
                                     std::span<const unsigned> allowed) {
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) != 0) return fail(Errc::no_memory, "topology");
  const TopologyHandle topology(raw);
  if (hwloc_topology_set_synthetic(raw, description.c_str()) != 0 || hwloc_topology_load(raw) != 0) {
    return fail(Errc::invalid, "topology description");
  }
  const Bitmap mask(hwloc_bitmap_dup(hwloc_topology_get_topology_cpuset(raw)));
  if (mask == nullptr) return fail(Errc::no_memory, "topology");
  if (!allowed.empty()) {
    hwloc_bitmap_zero(mask.get());
    for (const unsigned id : allowed) hwloc_bitmap_set(mask.get(), id);
  }
  std::vector<Cpu> cpus = cpus_in(raw, mask.get());
  if (cpus.empty()) return fail(Errc::invalid, "topology: no CPU is allowed");
  return Topology(std::move(cpus), hwloc_get_root_obj(raw)->total_memory, limits);
}

// 1. All first threads of cores, then all second ones, until fewer are needed than there are of the kind.
// 2. Of the last kind, those that pick() chooses.
std::vector<Cpu> Topology::place(unsigned shard_count) const {
  std::vector<Cpu> placed;
  if (shard_count > cpus_.size()) return placed;
  for (unsigned sibling = 0; placed.size() < shard_count; ++sibling) {
    std::vector<Cpu> kind;
    std::ranges::copy_if(cpus_, std::back_inserter(kind),
                         [&](const Cpu& cpu) { return cpu.sibling == sibling; });
    const std::size_t wanted = shard_count - placed.size();
    if (kind.size() > wanted) kind = pick(kind, wanted);
    placed.insert(placed.end(), kind.begin(), kind.end());
  }
  std::ranges::sort(placed, [](const Cpu& a, const Cpu& b) {
    return std::tie(a.node, a.core, a.sibling) < std::tie(b.node, b.core, b.sibling);
  });
  return placed;
}

Result<> pin_this_thread(const Cpu& cpu) noexcept {
  cpu_set_t only;
  CPU_ZERO(&only);
  if (cpu.id >= CPU_SETSIZE) return fail(Errc::invalid, "pin thread");
  CPU_SET(cpu.id, &only);
  if (sched_setaffinity(0, sizeof only, &only) != 0) return fail_errno(errno, "pin thread");
  return {};
}

}  // namespace ashlar
