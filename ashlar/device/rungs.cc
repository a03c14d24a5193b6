#include "ashlar/device/rungs.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "ashlar/base/units.h"

namespace ashlar {

namespace {

using Kind = FileTraits::Kind;

template <class... Goals>
constexpr unsigned goals(Goals... each) {
  return (0u | ... | (1u << static_cast<unsigned>(each)));
}

/// The one disk below, or nothing where there are several.
const BlockDevice* only_disk(const Site& site) {
  if (!site.device) return nullptr;
  const auto disks = disks_of(*site.device);
  return disks.size() == 1 ? disks[0] : nullptr;
}

/// The device whose queue takes the requests: a partition has none of its own.
const BlockDevice* queue_device(const Site& site) {
  if (!site.device) return nullptr;
  return site.device->partition && !site.device->below.empty() ? &site.device->below[0] : &*site.device;
}

std::string queue(const Site& site, const BlockDevice& disk, const char* attribute) {
  return site.machine.tree.line(fmt::format("{}/queue/{}", disk.directory, attribute));
}

std::string driver_of(const BlockDevice& disk) {
  return disk.driver.empty() ? "a driver of its own" : disk.driver;
}

void need_module(const Site& site, const char* name, RungVerdict& verdict) {
  switch (module_state(site.machine.tree, name)) {
    case ModuleState::present: verdict.facts.push_back(fmt::format("{} is present", name)); return;
    case ModuleState::loadable:
      verdict.needs.push_back({fmt::format("{} is not loaded", name), fmt::format("modprobe {}", name)});
      return;
    case ModuleState::absent:
      verdict.needs.push_back({fmt::format("this kernel's packages have no {}", name),
                               fmt::format("install a kernel with {}", name)});
      return;
    case ModuleState::never:
      verdict.needs.push_back({fmt::format("this kernel has no {} and takes no modules", name),
                               fmt::format("boot a kernel that is built with {}", name)});
      return;
  }
}

/// Whether commands can go to an NVMe controller: the path is a whole namespace.
bool whole_namespace(const Site& site, RungVerdict& verdict) {
  if (site.traits.kind != Kind::block) {
    verdict.never = "a file: commands go to a whole NVMe namespace, past every file system";
  } else if (!site.nvme || !(site.device->driver == "nvme" || site.device->partition)) {
    verdict.never =
        fmt::format("{} is driven by {}, not by nvme", site.device ? site.device->name : site.path,
                    site.device ? driver_of(*site.device) : "nothing that is known");
  } else if (site.device->partition) {
    verdict.never = "a partition: commands go to the whole namespace";
  }
  return verdict.never.empty();
}

/// Where something is mounted from this device; empty if nothing is.
std::string mounted_at(const Site& site) {
  for (const Mount& mount : site.mounts) {
    const std::string name = block_device_name(site.machine.tree, mount);
    const auto below = name.empty() ? std::nullopt : block_device(site.machine.tree, name);
    if (!below) continue;
    for (const BlockDevice* disk : disks_of(*below)) {
      if (disk->name == site.device->name) return mount.point;
    }
  }
  return {};
}

/// What every driver in user space needs: a namespace on PCI Express that the kernel can let go of.
bool leaves_the_kernel(const Site& site, const char* driver, RungVerdict& verdict) {
  if (!whole_namespace(site, verdict)) return false;
  if (site.nvme->transport != "pcie") {
    verdict.never =
        fmt::format("{} is attached by {}, not by PCI Express", site.nvme->name, site.nvme->transport);
    return false;
  }
  const std::string nsid =
      site.machine.tree.line(only_disk(site) ? only_disk(site)->directory + "/nsid" : std::string());
  verdict.target = fmt::format("{}/{}", site.nvme->address, nsid.empty() ? "1" : nsid);
  if (const std::string point = mounted_at(site); !point.empty())
    verdict.needs.push_back({fmt::format("{} is mounted from it", point), fmt::format("umount {}", point)});
  need_module(site, driver, verdict);
  const std::string device = "/sys/bus/pci/devices/" + site.nvme->address;
  if (base_name(site.machine.tree.resolve(device + "/driver")) != driver)
    verdict.needs.push_back({"the controller is bound to the kernel's driver",
                             fmt::format("echo {0} > {1}/driver_override; echo {2} > {1}/driver/unbind; "
                                         "echo {2} > /sys/bus/pci/drivers_probe",
                                         driver, device, site.nvme->address)});
  return true;
}

void need_huge_pages(const Site& site, RungVerdict& verdict) {
  for (const HugePages& pages : huge_pages(site.machine.tree)) {
    if (pages.free == 0) continue;
    verdict.facts.push_back(
        fmt::format("{} huge pages of {} are free", pages.free, format_bytes(pages.page_bytes)));
    return;
  }
  verdict.needs.push_back({"no huge page is free", "sysctl -w vm.nr_hugepages=1024"});
}

void judge_vfio(const Site& site, RungVerdict& verdict) {
  if (!leaves_the_kernel(site, "vfio-pci", verdict)) return;
  need_huge_pages(site, verdict);
  const FileTree& tree = site.machine.tree;
  const std::string group = tree.resolve("/sys/bus/pci/devices/" + site.nvme->address + "/iommu_group");
  if (group.empty()) {
    verdict.needs.push_back({"there is no IOMMU", iommu(tree).remedy});
    return;
  }
  verdict.facts.push_back(fmt::format("IOMMU group {}", base_name(group)));
  const std::string node = "/dev/vfio/" + base_name(group);
  if (site.process.user != 0 && !site.process.capable(Process::sys_admin))
    verdict.needs.push_back({fmt::format("user {} needs {}", site.process.user, node),
                             fmt::format("chown {} {}", site.process.user, node)});
  if (!site.process.may_lock_all())
    verdict.needs.push_back(
        {fmt::format("at most {} may be pinned for DMA", format_bytes(site.process.locked_memory_bytes.soft)),
         "ulimit -l unlimited"});
}

void judge_uio(const Site& site, RungVerdict& verdict) {
  if (!leaves_the_kernel(site, "uio_pci_generic", verdict)) return;
  need_huge_pages(site, verdict);
  if (!site.process.capable(Process::sys_admin))
    verdict.needs.push_back({"physical addresses are shown to root alone", "run as root"});
}

void judge_spdk(const Site& site, RungVerdict& verdict) {
  const bool vfio = iommu(site.machine.tree).groups != 0;
  if (leaves_the_kernel(site, vfio ? "vfio-pci" : "uio_pci_generic", verdict)) need_huge_pages(site, verdict);
}

void need_generic_device(const Site& site, KernelVersion since, RungVerdict& verdict) {
  if (!whole_namespace(site, verdict)) return;
  if (site.kernel < since)
    verdict.needs.push_back({fmt::format("Linux {}.{} has it not", site.kernel.major, site.kernel.minor),
                             fmt::format("boot Linux {}.{} or newer", since.major, since.minor)});
  if (site.nvme->generic.empty()) {
    verdict.needs.push_back({"the namespace has no character device /dev/ngXnY", "boot Linux 5.13 or newer"});
    return;
  }
  verdict.target = site.nvme->generic;
  if (!site.process.capable(Process::sys_admin))
    verdict.needs.push_back(
        {fmt::format("user {} may not send it commands", site.process.user),
         fmt::format("run as root, or chown {} {} (Linux 6.2)", site.process.user, site.nvme->generic)});
}

void need_uring(const Site& site, RungVerdict& verdict) {
  if (!site.machine.uring) {
    verdict.needs.push_back(explain_uring_refusal(site.machine.uring.error(), site.machine.tree));
  } else if (!site.no_uring_here.empty()) {
    verdict.needs.push_back({site.no_uring_here, "run with --runtime-backend automatic"});
  } else {
    const auto& features = *site.machine.uring;
    verdict.facts.push_back(fmt::format("{} of {} features of io_uring are here",
                                        std::ranges::count(features, true, &UringFeature::present),
                                        features.size()));
  }
}

void judge_passthrough_ring(const Site& site, RungVerdict& verdict) {
  need_generic_device(site, {5, 19}, verdict);
  if (verdict.never.empty()) need_uring(site, verdict);
}
void judge_passthrough_ioctl(const Site& site, RungVerdict& verdict) {
  need_generic_device(site, {5, 13}, verdict);
}

void judge_dax(const Site& site, RungVerdict& verdict) {
  const BlockDevice* const disk = queue_device(site);
  if (disk == nullptr || queue(site, *disk, "dax") != "1") {
    verdict.never = fmt::format("{} is no memory that a CPU can address (queue/dax is 0)",
                                disk == nullptr ? site.path : disk->name);
    return;
  }
  verdict.facts.push_back(fmt::format("{} is persistent memory", disk->name));
  if (site.traits.kind != Kind::regular || !site.mount) return;
  const Mount& mount = *site.mount;
  const bool on = mount.has("dax") || mount.has("dax=always");
  if (!on)
    verdict.needs.push_back(
        {fmt::format("{} is mounted without DAX", mount.point),
         fmt::format("umount {0} && mount -o dax=always {1} {0}", mount.point, mount.source)});
}

void judge_fabric(const Site& site, const char* transport, RungVerdict& verdict) {
  if (!whole_namespace(site, verdict)) return;
  if (site.nvme->transport != transport)
    verdict.never = fmt::format("{} is attached by {}", site.nvme->name, site.nvme->transport);
  else
    verdict.target = site.nvme->address;
}
void judge_nvme_tcp(const Site& site, RungVerdict& verdict) {
  judge_fabric(site, "tcp", verdict);
}
void judge_nvme_rdma(const Site& site, RungVerdict& verdict) {
  judge_fabric(site, "rdma", verdict);
}

bool takes_direct(const Site& site, RungVerdict& verdict) {
  const FileTraits& traits = site.traits;
  if (traits.kind == Kind::character) {
    verdict.never = "a character device has no page cache to go past";
  } else if (traits.memory_alignment == 0 || traits.offset_alignment == 0) {
    verdict.never =
        fmt::format("{} has no direct I/O for this file", site.mount ? site.mount->type : site.path);
  } else if (traits.bytes % traits.offset_alignment != 0) {
    verdict.needs.push_back({fmt::format("its size is no multiple of {}, the alignment of direct I/O",
                                         format_bytes(traits.offset_alignment)),
                             fmt::format("truncate -s %{} {}", traits.offset_alignment, site.path)});
  } else {
    verdict.facts.push_back(fmt::format(
        "O_DIRECT aligned to {}{}", format_bytes(std::max(traits.memory_alignment, traits.offset_alignment)),
        traits.alignment_from_kernel ? "" : " (assumed: statx says it from Linux 6.1 on)"));
  }
  return verdict.never.empty();
}

/// Pinned buffers count against the limit, from the first of 2 MiB on.
void need_pinned_memory(const Site& site, RungVerdict& verdict) {
  constexpr std::uint64_t enough_bytes = 16_MiB;
  if (site.process.may_lock_all()) {
    verdict.facts.push_back("memory may be pinned without a limit");
  } else if (site.process.locked_memory_bytes.soft < enough_bytes) {
    verdict.needs.push_back({fmt::format("only {} may be locked, and registered buffers are",
                                         format_bytes(site.process.locked_memory_bytes.soft)),
                             "ulimit -l unlimited"});
  } else {
    verdict.facts.push_back(
        fmt::format("{} may be pinned", format_bytes(site.process.locked_memory_bytes.soft)));
  }
}

void need_polling(const Site& site, RungVerdict& verdict) {
  // The device mapper polls where what is below does; everything else stands for itself.
  const BlockDevice* disk = queue_device(site);
  if (disk != nullptr && disk->driver.starts_with("device-mapper")) disk = only_disk(site);
  if (site.traits.io_poll.value_or(false)) {
    verdict.facts.push_back(fmt::format("{} polls (queue/io_poll is 1)", site.traits.disk));
    return;
  }
  if (disk == nullptr) {
    verdict.never = "there is no single disk below that could poll";
    return;
  }
  const std::string module = disk->driver;
  const std::string parameter = fmt::format("/sys/module/{}/parameters/poll_queues", module);
  if (!site.machine.tree.exists(parameter)) {
    verdict.never = fmt::format("{} is driven by {}, which has no poll queues", disk->name, driver_of(*disk));
    return;
  }
  const std::string setting = fmt::format("{}.poll_queues={}", module, site.shards);
  // virtio_blk polls on queues that the hypervisor gives, and leaves the first to interrupts.
  if (module == "virtio_blk" && site.machine.tree.list(disk->directory + "/mq").size() == 1) {
    verdict.needs.push_back(
        {fmt::format("{} has one queue, and one that polls would be a second", disk->name),
         fmt::format("give it {} in the hypervisor (QEMU: num-queues), and boot with {}", site.shards + 1,
                     setting)});
    return;
  }
  verdict.needs.push_back({fmt::format("{} does not poll, for {} has {} poll queues", disk->name, module,
                                       site.machine.tree.line(parameter)),
                           "boot with " + setting});
}

/// Each shard's ring has a poller of its own.
void need_poller_cpu(const Site& site, RungVerdict& verdict) {
  const std::size_t cpus = site.machine.topology.cpus().size();
  if (2 * std::size_t{site.shards} <= cpus) {
    verdict.facts.push_back(
        fmt::format("{} CPUs carry {} and as many pollers", cpus,
                    site.shards == 1 ? "a shard" : fmt::format("{} shards", site.shards)));
    return;
  }
  verdict.needs.push_back({fmt::format("{} shards and as many of the kernel's pollers would share {} CPU{}",
                                       site.shards, cpus, cpus == 1 ? "" : "s"),
                           cpus > 1 ? fmt::format("--runtime-shards {}", cpus / 2) : "a second CPU"});
}

bool uring_direct(const Site& site, RungVerdict& verdict) {
  if (!takes_direct(site, verdict)) return false;
  need_uring(site, verdict);
  return true;
}

void judge_uring_poll_both(const Site& site, RungVerdict& verdict) {
  if (!uring_direct(site, verdict)) return;
  need_polling(site, verdict);
  need_poller_cpu(site, verdict);
}
void judge_uring_iopoll(const Site& site, RungVerdict& verdict) {
  if (uring_direct(site, verdict)) need_polling(site, verdict);
}
void judge_uring_sqpoll(const Site& site, RungVerdict& verdict) {
  if (uring_direct(site, verdict)) need_poller_cpu(site, verdict);
}
void judge_uring_fixed(const Site& site, RungVerdict& verdict) {
  if (uring_direct(site, verdict)) need_pinned_memory(site, verdict);
}
void judge_uring_direct(const Site& site, RungVerdict& verdict) {
  uring_direct(site, verdict);
}
void judge_uring_buffered(const Site& site, RungVerdict& verdict) {
  need_uring(site, verdict);
}

void judge_threads_direct(const Site& site, RungVerdict& verdict) {
  takes_direct(site, verdict);
}
void judge_mmap(const Site& site, RungVerdict& verdict) {
  if (site.traits.kind == Kind::character) {
    verdict.never = "a character device is not mapped";
  } else {
    verdict.facts.push_back("loads and stores in the page cache, populated off the loop");
  }
}
void judge_buffered(const Site&, RungVerdict& verdict) {
  verdict.facts.push_back("works on every kernel");
}

}  // namespace

Site::Site(const Machine& on, std::string canonical_path, FileTraits what, unsigned shard_count)
    : machine(on),
      path(std::move(canonical_path)),
      traits(std::move(what)),
      shards(shard_count),
      kernel(kernel_version(on.tree)),
      process(read_process(on.tree)),
      mounts(parse_mounts(on.tree.text("/proc/self/mountinfo"))) {
  if (traits.kind == Kind::regular) {
    mount = mount_of(mounts, path);
    if (mount) device = block_device(on.tree, block_device_name(on.tree, *mount));
  } else if (traits.kind == Kind::block) {
    device = block_device(on.tree, base_name(path));
  }
  if (const BlockDevice* const disk = only_disk(*this)) nvme = nvme_controller(on.tree, *disk);
}

bool serves(const Rung& rung, Goal goal) noexcept {
  return (rung.goals >> static_cast<unsigned>(goal) & 1) != 0;
}

std::span<const Rung> all_rungs() {
  using enum Goal;
  static const Rung table[] = {
      {"loads and stores (DAX)", "dax", "", goals(latency, throughput, persistent), judge_dax},
      {"NVMe driver in user space, vfio", "vfio", "", goals(latency, throughput, persistent, control),
       judge_vfio},
      {"NVMe driver in user space, uio", "uio", "unsafe", goals(latency, throughput, control), judge_uio},
      {"SPDK's NVMe driver", "spdk-nvme", "", goals(latency, throughput, persistent, control), judge_spdk},
      {"NVMe/TCP in user space", "nvme-tcp", "", goals(remote), judge_nvme_tcp},
      {"NVMe/RDMA in user space", "nvme-rdma", "", goals(remote), judge_nvme_rdma},
      {"NVMe commands by io_uring (URING_CMD)", "passthrough", "",
       goals(latency, throughput, persistent, control), judge_passthrough_ring},
      {"NVMe commands by ioctl", "passthrough", "ioctl", goals(control), judge_passthrough_ioctl},
      {"io_uring, SQPOLL and IOPOLL",
       "uring",
       "direct&sqpoll&iopoll",
       goals(latency),
       judge_uring_poll_both,
       {"io_uring", "SQPOLL", "IOPOLL"}},
      {"io_uring, IOPOLL",
       "uring",
       "direct&iopoll",
       goals(latency, throughput),
       judge_uring_iopoll,
       {"io_uring", "IOPOLL"}},
      {"io_uring, SQPOLL",
       "uring",
       "direct&sqpoll",
       goals(latency),
       judge_uring_sqpoll,
       {"io_uring", "SQPOLL"}},
      {"io_uring, registered buffers",
       "uring",
       "direct&fixed-buffers",
       goals(latency, throughput),
       judge_uring_fixed,
       {"io_uring", "fixed"}},
      {"io_uring, O_DIRECT",
       "uring",
       "direct",
       goals(latency, throughput, persistent, remote, control),
       judge_uring_direct,
       {"io_uring"}},
      {"io_uring, buffered",
       "uring",
       "direct=off",
       goals(latency, throughput, persistent, remote, control),
       judge_uring_buffered,
       {"io_uring"}},
      {"threads, O_DIRECT",
       "direct",
       "",
       goals(latency, throughput, persistent, portable, remote, control),
       judge_threads_direct,
       {"direct I/O"}},
      {"mapped memory", "mmap", "", goals(latency, throughput, persistent, portable), judge_mmap},
      {"threads, buffered", "direct", "buffered",
       goals(latency, throughput, persistent, portable, remote, control), judge_buffered},
  };
  return table;
}

}  // namespace ashlar
