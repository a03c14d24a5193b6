#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "ashlar/app/doctor.h"
#include "ashlar/base/units.h"
#include "ashlar/runtime/memory/regions.h"

namespace ashlar::app {
namespace {

using State = Finding::State;

std::string amount(std::uint64_t limit) {
  return limit == ResourceLimit::unlimited ? "unlimited" : format_bytes(limit);
}

Finding kernel(const Machine& machine) {
  const KernelVersion version = kernel_version(machine.tree);
  const std::string release = "Linux " + machine.tree.line("/proc/sys/kernel/osrelease");
  if (version >= KernelVersion{6, 1}) return {"kernel", State::ok, release, "", ""};
  return {"kernel", State::better, release,
          "from 6.1 on completions do not interrupt a shard (DEFER_TASKRUN), and files say how direct I/O is "
          "aligned",
          "boot Linux 6.1 or newer"};
}

Finding locked_memory(const Process& process) {
  constexpr std::uint64_t comfortable_bytes = 64_MiB;
  const ResourceLimit& limit = process.locked_memory_bytes;
  std::string detail = amount(limit.soft);
  if (limit.soft == ResourceLimit::unlimited) return {"locked memory", State::ok, detail, "", ""};
  if (process.capable(Process::ipc_lock))
    return {"locked memory", State::ok, detail + ", which CAP_IPC_LOCK exempts this process from", "", ""};
  detail += fmt::format(", room for {} registered buffers of {}", limit.soft / Region::bytes,
                        format_bytes(Region::bytes));
  if (limit.soft >= comfortable_bytes) return {"locked memory", State::ok, detail, "", ""};
  return {"locked memory", State::better, detail,
          "registered buffers (?fixed-buffers) count against it; beyond it pages are pinned for each I/O "
          "anew (INFO: locked_memory_bytes)",
          limit.hard > limit.soft
              ? "ulimit -l " +
                    (limit.hard == ResourceLimit::unlimited ? "unlimited" : fmt::to_string(limit.hard / 1024))
              : "LimitMEMLOCK=infinity in the systemd unit, or `* - memlock unlimited` in "
                "/etc/security/limits.conf"};
}

Finding open_files(const Process& process) {
  constexpr std::uint64_t comfortable = 65'536;
  const ResourceLimit& limit = process.open_files;
  const auto count = [](std::uint64_t number) {
    return number == ResourceLimit::unlimited ? "unlimited" : fmt::to_string(number);
  };
  std::string detail = count(limit.hard);
  if (limit.soft != limit.hard)
    detail += fmt::format(", once the server has raised it from {}", count(limit.soft));
  if (limit.hard >= comfortable) return {"open files", State::ok, detail, "", ""};
  return {"open files", State::better, detail, "each client and each table takes one",
          fmt::format("LimitNOFILE={0} in the systemd unit, or `* - nofile {0}` in /etc/security/limits.conf",
                      comfortable)};
}

/// "0-3,8": how the kernel writes sets of CPUs.
std::string ranges(const std::vector<unsigned>& sorted) {
  std::string text;
  for (std::size_t i = 0; i < sorted.size();) {
    std::size_t end = i + 1;
    while (end < sorted.size() && sorted[end] == sorted[end - 1] + 1) ++end;
    text += fmt::format("{}{}", text.empty() ? "" : ",", sorted[i]);
    if (end - i > 1) text += fmt::format("-{}", sorted[end - 1]);
    i = end;
  }
  return text;
}

std::string by_node(const std::vector<Cpu>& cpus) {
  std::map<unsigned, std::vector<unsigned>> nodes;
  for (const Cpu& cpu : cpus) nodes[cpu.node].push_back(cpu.id);
  std::string text;
  for (auto& [node, ids] : nodes) {
    std::ranges::sort(ids);
    text += fmt::format("{}CPU{} {} of node {}", text.empty() ? "" : ", ", ids.size() == 1 ? "" : "s",
                        ranges(ids), node);
  }
  return text;
}

std::size_t count_nodes(const Machine& machine) {
  std::map<unsigned, bool> nodes;
  for (const Cpu& cpu : machine.topology.cpus()) nodes[cpu.node] = true;
  return nodes.size();
}

Finding processors(const Machine& machine) {
  const auto cpus = machine.topology.cpus();
  const auto cores = std::ranges::count(cpus, 0u, &Cpu::sibling);
  const std::size_t nodes = count_nodes(machine);
  std::string detail = fmt::format("{} usable on {} cores and {} NUMA node{}", cpus.size(), cores, nodes,
                                   nodes == 1 ? "" : "s");
  const unsigned suggested = machine.topology.shards_suggested();
  if (suggested >= static_cast<std::size_t>(cores)) return {"processors", State::ok, detail, "", ""};
  return {"processors", State::better,
          fmt::format("{}, of which a control group's quota lets {} run", detail, suggested),
          "a shard that is throttled stalls all that wait for it",
          "raise cpu.max of the control group (docker: --cpus, systemd: CPUQuota=)"};
}

/// Who sits where.
Finding placement(const Machine& machine, unsigned shards) {
  const std::vector<Cpu> placed = machine.topology.place(shards);
  if (!placed.empty()) return {"shards", State::ok, fmt::format("{} on {}", shards, by_node(placed)), "", ""};
  return {"shards", State::better,
          fmt::format("{} on {} CPUs: none is pinned", shards, machine.topology.cpus().size()),
          "shards that share a CPU wait for each other",
          fmt::format("--runtime-shards {}", machine.topology.shards_suggested())};
}

void numa_balancing(const Machine& machine, std::vector<Finding>& findings) {
  if (count_nodes(machine) < 2 || machine.tree.number("/proc/sys/kernel/numa_balancing").value_or(0) == 0)
    return;
  findings.push_back({"NUMA balancing", State::better, "on",
                      "it unmaps pages to see who uses them, though shards are pinned and never move",
                      "sysctl -w kernel.numa_balancing=0"});
}

Finding governor(const Machine& machine) {
  constexpr const char* cpus = "/sys/devices/system/cpu";
  std::string slow;
  for (const std::string& name : machine.tree.list(cpus)) {
    const std::string found = machine.tree.line(fmt::format("{}/{}/cpufreq/scaling_governor", cpus, name));
    if (!found.empty() && found != "performance") slow = found;
  }
  if (!slow.empty())
    return {"CPU frequency", State::better, "governor " + slow,
            "a shard that wakes for one request runs it at a low clock",
            "echo performance | tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"};
  const bool ours = machine.tree.exists(std::string(cpus) + "/cpu0/cpufreq");
  return {"CPU frequency", State::ok, ours ? "governor performance" : "not in this kernel's hands", "", ""};
}

Finding memory(const Machine& machine) {
  const auto kib = leading_number(field(machine.tree.text("/proc/meminfo"), "MemTotal"));
  std::string detail = approximate_bytes(kib.value_or(0) * 1_KiB);
  const std::uint64_t usable = machine.topology.memory_bytes();
  if (kib && usable != 0 && usable < *kib * 1_KiB / 100 * 99)
    detail += fmt::format(", of which a control group allows {}", approximate_bytes(usable));
  return {"memory", State::ok, std::move(detail), "", ""};
}

Finding swap(const Machine& machine) {
  const std::string swaps = machine.tree.text("/proc/swaps");
  const std::string_view first = std::string_view(swaps).substr(std::min(swaps.find('\n'), swaps.size()));
  const auto in_use = words(first);
  if (in_use.empty()) return {"swap", State::ok, "none", "", ""};
  return {"swap", State::better, std::string(in_use[0]),
          "a shard that touches a swapped page stands still, with all that wait for it", "swapoff -a"};
}

Finding transparent_huge_pages(const Machine& machine) {
  const std::string file = "/sys/kernel/mm/transparent_hugepage/enabled";
  const std::string enabled = bracketed(machine.tree.line(file));
  if (enabled == "always" || enabled == "madvise")
    return {"transparent huge pages", State::ok, enabled, "", ""};
  if (enabled.empty())
    return {"transparent huge pages", State::better, "not in this kernel",
            "buffers take 512 TLB entries for one",
            "boot a kernel that is built with CONFIG_TRANSPARENT_HUGEPAGE=y"};
  return {"transparent huge pages", State::better, enabled, "buffers take 512 TLB entries for one",
          "echo madvise > " + file};
}

Finding reserved_huge_pages(const Machine& machine) {
  std::string detail;
  for (const HugePages& pages : huge_pages(machine.tree)) {
    if (pages.total == 0) continue;
    detail += fmt::format("{}{} of {}, {} free", detail.empty() ? "" : "; ", pages.total,
                          format_bytes(pages.page_bytes), pages.free);
  }
  if (detail.empty())
    detail = "none; only drivers in user space ask for them: sysctl -w vm.nr_hugepages=1024 sets 2GiB aside";
  return {"huge pages", State::ok, std::move(detail), "", ""};
}

Finding clock_source(const Machine& machine) {
  const std::string folder = "/sys/devices/system/clocksource/clocksource0/";
  const std::string current = machine.tree.line(folder + "current_clocksource");
  const std::string available = machine.tree.line(folder + "available_clocksource");
  const auto is = [&](const char* name) { return current == name; };
  if (current.empty() || is("tsc") || is("kvm-clock") || is("hyperv_clocksource_tsc_page") ||
      is("arch_sys_counter"))
    return {"clock source", State::ok, current.empty() ? "not shown" : current, "", ""};
  const auto known = words(available);
  const bool tsc = std::ranges::find(known, "tsc") != known.end();
  return {"clock source", State::better, current,
          "reading the clock is a system call, and a shard reads it often",
          tsc ? "echo tsc > " + folder + "current_clocksource" : "boot with tsc=reliable, if the TSC is"};
}

Finding iommu_finding(const Machine& machine) {
  const Iommu found = iommu(machine.tree);
  const bool nvme = !machine.tree.list("/sys/class/nvme").empty();
  if (found.groups != 0) return {"IOMMU", State::ok, fmt::format("{} groups", found.groups), "", ""};
  return {"IOMMU", State::ok,
          nvme ? fmt::format("none; an NVMe driver in user space would need it: {}", found.remedy)
               : "none, and no NVMe controller that a driver in user space could take",
          "", ""};
}

Finding modules(const Machine& machine) {
  std::string detail;
  bool none_taken = false;
  for (const char* name : {"nvme", "nvme-tcp", "vfio-pci", "uio_pci_generic", "ublk_drv"}) {
    const ModuleState state = module_state(machine.tree, name);
    none_taken |= state == ModuleState::never;
    detail += fmt::format("{}{} {}", detail.empty() ? "" : ", ", name,
                          state == ModuleState::never      ? "absent"
                          : state == ModuleState::loadable ? fmt::format("not loaded (modprobe {})", name)
                                                           : to_string(state));
  }
  if (none_taken) detail += "; this kernel takes no modules";
  return {"modules", State::ok, std::move(detail), "", ""};
}

}  // namespace

std::vector<Finding> examine_machine(const Machine& machine, unsigned shards) {
  const Process process = read_process(machine.tree);
  std::vector<Finding> findings{kernel(machine),
                                processors(machine),
                                placement(machine, shards),
                                governor(machine),
                                memory(machine),
                                swap(machine),
                                transparent_huge_pages(machine),
                                reserved_huge_pages(machine),
                                locked_memory(process),
                                open_files(process),
                                clock_source(machine),
                                iommu_finding(machine),
                                modules(machine)};
  numa_balancing(machine, findings);
  return findings;
}

std::vector<Finding> examine_uring(const Machine& machine) {
  std::vector<Finding> findings;
  if (!machine.uring) {
    const Need need = explain_uring_refusal(machine.uring.error(), machine.tree);
    return {{"io_uring", State::better, need.lacks,
             "epoll and threads do its work: a system call and two wake-ups more for each I/O", need.remedy}};
  }
  const Process process = read_process(machine.tree);
  const std::string disabled = machine.tree.line("/proc/sys/kernel/io_uring_disabled");
  findings.push_back(
      {"io_uring", State::ok,
       fmt::format("for files, sockets and wake-ups (kernel.io_uring_disabled {}, seccomp {})",
                   disabled.empty() ? "not in this kernel" : disabled, process.seccomp ? "on" : "off"),
       "", ""});
  for (const UringFeature& feature : *machine.uring) {
    if (feature.present) {
      findings.push_back({feature.name, State::ok, fmt::format("since Linux {}", feature.since), "", ""});
    } else {
      findings.push_back({feature.name, State::better, "not in this kernel",
                          fmt::format("instead: {}", feature.instead),
                          fmt::format("boot Linux {} or newer", feature.since)});
    }
  }
  return findings;
}

}  // namespace ashlar::app
