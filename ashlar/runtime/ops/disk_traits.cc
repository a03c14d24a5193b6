/// A partition has no queue of its own: its directory lies in the disk's.

#include "ashlar/runtime/ops/disk_traits.h"

#include <string>
#include <string_view>

#include "ashlar/runtime/machine/file_tree.h"
#include "ashlar/runtime/ops/file_traits.h"

namespace ashlar {

namespace {

/// The directory of a disk in sysfs.
class Disk {
 public:
  Disk(const FileTree& tree, std::string directory) : tree_(tree), directory_(std::move(directory) + "/") {}

  std::string text(const char* name) const { return tree_.line(directory_ + name); }
  template <class Number = std::uint64_t>
  std::optional<Number> number(const char* name) const {
    return leading_number<Number>(text(name));
  }
  template <class Number = std::uint64_t>
  Number number_or_0(const char* name) const {
    return number<Number>(name).value_or(0);
  }
  std::optional<bool> flag(const char* name) const {
    const auto value = number(name);
    return value ? std::optional(*value != 0) : std::nullopt;
  }

 private:
  const FileTree& tree_;
  const std::string directory_;
};

// The node is an attribute of the controller, which is one to three steps above the disk.
std::optional<std::uint32_t> numa_node(const Disk& disk) {
  for (const char* name : {"device/numa_node", "device/device/numa_node", "device/device/device/numa_node"}) {
    const auto node = disk.number<std::int32_t>(name);
    if (node && *node >= 0) return static_cast<std::uint32_t>(*node);
  }
  return std::nullopt;
}

Zones zones_of(const Disk& disk) {
  const std::string model = disk.text("queue/zoned");
  if (model.empty() || model == "none") return {};
  return {.zone_bytes = disk.number_or_0("queue/chunk_sectors") * 512,  // whatever the logical block
          .count = disk.number_or_0<std::uint32_t>("queue/nr_zones"),
          .open_max = disk.number_or_0<std::uint32_t>("queue/max_open_zones"),
          .active_max = disk.number_or_0<std::uint32_t>("queue/max_active_zones"),
          .append_bytes_max = disk.number_or_0("queue/zone_append_max_bytes"),
          .sequential_only = model == "host-managed"};
}

// "T10-DIF-TYPE1-CRC", "EXT-DIF-TYPE3-CRC64"; "none", or "nop" where there is room for metadata and nobody
// has said what it holds.
Protection protection_of(const Disk& disk) {
  const std::string format = disk.text("integrity/format");
  const std::size_t type = format.find("-TYPE");
  if (type == format.npos || type + 5 >= format.size()) return {};
  const char digit = format[type + 5];
  if (digit < '1' || digit > '3') return {};
  return {.type = static_cast<std::uint8_t>(digit - '0'),
          .crc64 = format.ends_with("CRC64"),
          .interval_bytes = disk.number_or_0<std::uint32_t>("integrity/protection_interval_bytes"),
          .tag_bytes = disk.number_or_0<std::uint32_t>("integrity/tag_size"),
          .in_device = disk.flag("integrity/device_is_integrity_capable").value_or(false),
          .generated = disk.flag("integrity/write_generate").value_or(false),
          .verified = disk.flag("integrity/read_verify").value_or(false)};
}

}  // namespace

void describe_disk(const FileTree& tree, unsigned major, unsigned minor, FileTraits& traits) {
  std::string directory =
      tree.resolve("/sys/dev/block/" + std::to_string(major) + ":" + std::to_string(minor));
  if (directory.empty()) return;  // no block device: tmpfs, btrfs, overlay
  traits.partition = tree.exists(directory + "/partition");
  if (traits.partition) directory.resize(directory.rfind('/'));
  traits.disk = base_name(directory);

  const Disk disk(tree, directory);
  const std::string cache = disk.text("queue/write_cache");
  if (!cache.empty()) traits.volatile_cache = cache == "write back";
  traits.fua = disk.flag("queue/fua");
  traits.rotational = disk.flag("queue/rotational");
  traits.io_poll = disk.flag("queue/io_poll");
  traits.numa_node = numa_node(disk);
  traits.scheduler = bracketed(disk.text("queue/scheduler"));
  traits.logical_block_bytes = disk.number<std::uint32_t>("queue/logical_block_size").value_or(512);
  traits.physical_block_bytes =
      disk.number<std::uint32_t>("queue/physical_block_size").value_or(traits.logical_block_bytes);
  traits.queue_requests = disk.number_or_0<std::uint32_t>("queue/nr_requests");
  traits.discard_granularity = disk.number_or_0<std::uint32_t>("queue/discard_granularity");
  traits.discard_bytes_max = disk.number_or_0("queue/discard_max_bytes");
  traits.write_zeroes_bytes_max = disk.number_or_0("queue/write_zeroes_max_bytes");
  traits.zones = zones_of(disk);
  traits.protection = protection_of(disk);
}

}  // namespace ashlar
