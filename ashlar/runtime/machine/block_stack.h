#pragma once

/// What a path stands on: mount, partition, device mapper, loop, down to the disks.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar/runtime/machine/file_tree.h"

namespace ashlar {

/// A line of /proc/self/mountinfo.
struct Mount {
  std::string point;                 ///< "/var/lib"
  std::string type;                  ///< "ext4"
  std::string source;                ///< "/dev/vda1"
  std::string device;                ///< "254:1"
  std::vector<std::string> options;  ///< of the mount, then of the file system

  bool has(std::string_view option) const noexcept;
  /// Whether it vanishes with the machine's power: tmpfs and its like.
  bool volatile_memory() const noexcept;
};
/// In the order in which they were mounted.
std::vector<Mount> parse_mounts(std::string_view mountinfo);
/// The mount that an absolute path without symbolic links lies on.
std::optional<Mount> mount_of(const std::vector<Mount>& mounts, std::string_view path);

/// One block device of the stack. A partition is shown as such, above its disk.
struct BlockDevice {
  std::string name;          ///< "nvme0n1p2"
  std::string directory;     ///< in /sys, without symbolic links
  std::string driver;        ///< "nvme", "virtio_blk", "loop", "device-mapper (crypt)"
  std::string backing_file;  ///< of a loop device
  std::string number;        ///< "259:2"
  bool partition = false;
  std::vector<BlockDevice> below;  ///< what it is made of; empty for a disk
};
/// By its name in /sys/class/block, with everything below; empty where there is none. A loop device is
/// followed into the disk that its file is on.
std::optional<BlockDevice> block_device(const FileTree& tree, const std::string& name);
/// The name for "254:1"; empty where it is no block device.
std::string block_device_name(const FileTree& tree, const std::string& number);
/// The device that the file system of a mount is on; empty for one without (tmpfs, overlay, NFS).
std::string block_device_name(const FileTree& tree, const Mount& mount);
/// The disks at the bottom of the stack, each once.
std::vector<const BlockDevice*> disks_of(const BlockDevice& top);

/// Where an NVMe namespace is attached.
struct NvmeController {
  std::string name;       ///< "nvme0"
  std::string transport;  ///< "pcie", "tcp", "rdma", "fc"
  std::string address;    ///< "0000:01:00.0", or "traddr=…"
  std::string generic;    ///< "/dev/ng0n1", where the kernel has it
};
/// Empty for what is no NVMe namespace.
std::optional<NvmeController> nvme_controller(const FileTree& tree, const BlockDevice& disk);

}  // namespace ashlar
