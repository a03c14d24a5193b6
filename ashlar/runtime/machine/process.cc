#include "ashlar/runtime/machine/process.h"

#include <algorithm>
#include <cerrno>

namespace ashlar {

namespace {

/// "Max locked memory         8388608              unlimited            bytes"
ResourceLimit limit_of(std::string_view text, std::string_view name) {
  const std::size_t at = text.find(name);
  if (at == text.npos) return {};
  text = text.substr(at + name.size());
  const auto values = words(text.substr(0, text.find('\n')));
  const auto value = [&](std::size_t index) {
    return index < values.size() ? leading_number(values[index]).value_or(ResourceLimit::unlimited)
                                 : ResourceLimit::unlimited;
  };
  return {value(0), value(1)};
}

/// "kernel/drivers/vfio/pci/vfio-pci.ko.xz: …", a line each: file names use '-' and '_' as their authors did.
bool names_module(std::string_view list, std::string name) {
  std::string other = name;
  std::ranges::replace(name, '-', '_');
  std::ranges::replace(other, '_', '-');
  return list.find("/" + name + ".ko") != list.npos || list.find("/" + other + ".ko") != list.npos;
}

}  // namespace

KernelVersion parse_kernel_version(std::string_view release) {
  const auto major = leading_number<unsigned>(release);
  const std::size_t dot = release.find('.');
  if (!major || dot == release.npos) return {};
  return {*major, leading_number<unsigned>(release.substr(dot + 1)).value_or(0)};
}

KernelVersion kernel_version(const FileTree& tree) {
  return parse_kernel_version(tree.line("/proc/sys/kernel/osrelease"));
}

const char* to_string(ModuleState state) noexcept {
  switch (state) {
    case ModuleState::present: return "present";
    case ModuleState::loadable: return "loadable";
    case ModuleState::absent: return "absent";
    case ModuleState::never: return "not in this kernel, which takes no modules";
  }
  return "?";
}

ModuleState module_state(const FileTree& tree, std::string_view name) {
  std::string underscored(name);
  std::ranges::replace(underscored, '-', '_');
  const std::string modules = "/lib/modules/" + tree.line("/proc/sys/kernel/osrelease");
  if (tree.exists("/sys/module/" + underscored) || tree.exists("/sys/bus/pci/drivers/" + std::string(name)) ||
      names_module(tree.text(modules + "/modules.builtin"), underscored))
    return ModuleState::present;
  if (!tree.exists("/proc/modules") || tree.line("/proc/sys/kernel/modules_disabled") == "1")
    return ModuleState::never;
  return names_module(tree.text(modules + "/modules.dep"), underscored) ? ModuleState::loadable
                                                                        : ModuleState::absent;
}

Process read_process(const FileTree& tree) {
  Process process;
  const std::string limits = tree.text("/proc/self/limits");
  process.locked_memory_bytes = limit_of(limits, "Max locked memory");
  process.open_files = limit_of(limits, "Max open files");

  const std::string status = tree.text("/proc/self/status");
  process.capabilities = leading_number(field(status, "CapEff"), 16).value_or(0);
  process.seccomp = leading_number(field(status, "Seccomp")).value_or(0) == 2;
  const auto users = words(field(status, "Uid")), groups = words(field(status, "Gid"));
  if (users.size() > 1) process.user = leading_number<unsigned>(users[1]).value_or(0);
  if (groups.size() > 1) process.groups.push_back(leading_number<unsigned>(groups[1]).value_or(0));
  for (const std::string_view group : words(field(status, "Groups")))
    process.groups.push_back(leading_number<unsigned>(group).value_or(0));
  return process;
}

// 1. The sysctl refuses with EPERM, before anything else: 2 everybody, 1 those without CAP_SYS_ADMIN that are
//    not in the group.
// 2. A filter answers what it likes, mostly EPERM or ENOSYS, and says in the status that it is there.
// 3. What remains of ENOSYS is a kernel without io_uring, of EPERM a security module.
Need explain_uring_refusal(const Error& error, const FileTree& tree) {
  const Process process = read_process(tree);
  const std::uint64_t disabled = tree.number("/proc/sys/kernel/io_uring_disabled").value_or(0);
  const std::string group = tree.line("/proc/sys/kernel/io_uring_group");
  const auto gid = leading_number<unsigned>(group);  // "-1": no group
  const bool in_group = gid && std::ranges::find(process.groups, *gid) != process.groups.end();
  if (disabled == 2)
    return {"sysctl kernel.io_uring_disabled is 2: forbidden to everybody",
            "sysctl -w kernel.io_uring_disabled=0"};
  if (disabled == 1 && !process.capable(Process::sys_admin) && !in_group)
    return {"sysctl kernel.io_uring_disabled is 1: forbidden without CAP_SYS_ADMIN outside of group " + group,
            gid ? "usermod -aG " + group + " USER (the group of kernel.io_uring_group)"
                : std::string("sysctl -w kernel.io_uring_disabled=0, or kernel.io_uring_group=GID")};
  const bool refused = error.native == EPERM || error.native == EACCES || error.native == ENOSYS;
  if (process.seccomp && refused)
    return {"a seccomp filter refuses io_uring_setup",
            "run with a seccomp profile that allows io_uring_setup, io_uring_enter and io_uring_register "
            "(docker: --security-opt seccomp=PROFILE.json; systemd: add @aio to SystemCallFilter=)"};
  if (error.native == ENOSYS)
    return {"the kernel has no io_uring", kernel_version(tree) < KernelVersion{5, 11}
                                              ? "boot Linux 5.11 or newer"
                                              : "boot a kernel that is built with CONFIG_IO_URING=y"};
  if (refused)
    return {"a security module refuses io_uring_setup",
            "allow it in the policy: see `ausearch -m AVC` or "
            "`dmesg | grep -i denied`"};
  if (error.code == Errc::no_memory)
    return {"the limit of locked memory is too low for a ring", "ulimit -l unlimited"};
  if (error.code == Errc::unsupported)
    return {"io_uring of this kernel is too old (no timeouts in io_uring_enter)", "boot Linux 5.11 or newer"};
  return {error.to_string(), "see io_uring_setup(2)"};
}

}  // namespace ashlar
