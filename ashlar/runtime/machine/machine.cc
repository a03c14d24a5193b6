#include "ashlar/runtime/machine/machine.h"

#include <algorithm>
#include <string>

#include "ashlar/base/units.h"

namespace ashlar {

Machine Machine::here() {
  return {FileTree(), probe_uring(), Topology::detect()};
}

std::vector<HugePages> huge_pages(const FileTree& tree) {
  std::vector<HugePages> sizes;
  const std::string directory = "/sys/kernel/mm/hugepages";
  constexpr std::string_view prefix = "hugepages-";
  for (const std::string& name : tree.list(directory)) {
    if (!name.starts_with(prefix)) continue;
    const auto kib = leading_number(std::string_view(name).substr(prefix.size()));
    if (!kib) continue;
    const std::string of = directory + "/" + name;
    sizes.push_back({*kib * 1_KiB, tree.number(of + "/nr_hugepages").value_or(0),
                     tree.number(of + "/free_hugepages").value_or(0)});
  }
  std::ranges::sort(sizes, {}, &HugePages::page_bytes);
  return sizes;
}

Iommu iommu(const FileTree& tree) {
  const bool amd = tree.text("/proc/cpuinfo").find("AuthenticAMD") != std::string::npos;
  return {tree.list("/sys/kernel/iommu_groups").size(),
          amd ? "enable AMD-Vi (IOMMU) in the firmware and boot without amd_iommu=off"
              : "enable VT-d in the firmware and boot with intel_iommu=on"};
}

}  // namespace ashlar
