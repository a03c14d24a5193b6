#pragma once

/// A machine as Ashlar sees it: what `ashlar doctor` and the ladder of transports judge by.

#include <cstdint>
#include <vector>

#include "ashlar/base/result.h"
#include "ashlar/runtime/machine/file_tree.h"
#include "ashlar/runtime/machine/process.h"
#include "ashlar/runtime/ops/uring/probe.h"
#include "ashlar/runtime/topology/topology.h"

namespace ashlar {

/// A picture taken once. Tests make one of a synthetic tree, a list of features and a described topology.
struct Machine {
  FileTree tree;
  Result<std::vector<UringFeature>> uring;  ///< what trying it gave
  Topology topology;

  /// This one. Opens and closes a few small rings; leaves nothing behind.
  static Machine here();
};

/// Huge pages of one size that were set aside, for those who ask for them by name.
struct HugePages {
  std::uint64_t page_bytes = 0, total = 0, free = 0;
};
/// By size; empty where the kernel has none.
std::vector<HugePages> huge_pages(const FileTree& tree);

/// Whether DMA goes through an IOMMU, and what turns it on.
struct Iommu {
  std::size_t groups = 0;   ///< of devices that can be handed out on their own; 0: no IOMMU
  const char* remedy = "";  ///< where there is none
  bool operator==(const Iommu&) const = default;
};
Iommu iommu(const FileTree& tree);

}  // namespace ashlar
