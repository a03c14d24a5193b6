#pragma once

/// What the kernel lets this process do: version, modules, limits, capabilities, system call filter.

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "ashlar/base/result.h"
#include "ashlar/runtime/machine/file_tree.h"

namespace ashlar {

struct KernelVersion {
  unsigned major = 0, minor = 0;
  auto operator<=>(const KernelVersion&) const = default;
};
/// Of "6.18.44-generic"; 0.0 for anything else.
KernelVersion parse_kernel_version(std::string_view release);
KernelVersion kernel_version(const FileTree& tree);

enum class ModuleState : std::uint8_t {
  present,   ///< loaded, or part of the kernel
  loadable,  ///< `modprobe NAME` loads it
  absent,    ///< neither, though the kernel takes modules: another kernel package has it
  never,     ///< neither, and this kernel takes no modules: one has to be built with it
};
const char* to_string(ModuleState state) noexcept;
/// `name` as modprobe knows it: "vfio-pci".
ModuleState module_state(const FileTree& tree, std::string_view name);

/// A soft and a hard limit (setrlimit(2)).
struct ResourceLimit {
  static constexpr std::uint64_t unlimited = ~std::uint64_t{0};
  std::uint64_t soft = unlimited, hard = unlimited;
};

/// From /proc/self.
struct Process {
  enum Capability : unsigned { ipc_lock = 14, sys_admin = 21, sys_nice = 23, sys_resource = 24 };

  ResourceLimit locked_memory_bytes;
  ResourceLimit open_files;
  std::uint64_t capabilities = 0;  ///< effective, a bit each
  unsigned user = 0;
  std::vector<unsigned> groups;  ///< effective and supplementary
  bool seccomp = false;          ///< a filter looks at each system call

  bool capable(Capability what) const noexcept { return (capabilities >> what & 1) != 0; }
  /// Pinned memory is not counted against the limit.
  bool may_lock_all() const noexcept {
    return capable(ipc_lock) || locked_memory_bytes.soft == ResourceLimit::unlimited;
  }
};
Process read_process(const FileTree& tree);

/// What is in the way, and the exact command or setting that removes it.
struct Need {
  std::string lacks, remedy;
};
/// Who refused io_uring: a sysctl, a system call filter, the kernel itself, a limit. `error` is what creating
/// a ring gave.
Need explain_uring_refusal(const Error& error, const FileTree& tree);

}  // namespace ashlar
