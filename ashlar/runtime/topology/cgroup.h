#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace ashlar {

/// What the control groups of this process, versions 1 and 2, allow it; empty where they set no limit.
struct CgroupLimits {
  std::optional<double> cpus;                 ///< CPU time per time: 1.5 is one core and a half
  std::optional<std::uint64_t> memory_bytes;  ///< beyond it the kernel kills
};

/// The tightest limit from the process's own group up to the root. What cannot be read counts as no limit.
/// `root` stands before every path that is read, for tests.
CgroupLimits read_cgroup_limits(const std::string& root = "");

}  // namespace ashlar
