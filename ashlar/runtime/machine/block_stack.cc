#include "ashlar/runtime/machine/block_stack.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace ashlar {

namespace {

constexpr unsigned depth_max = 16;  // a stack that refers to itself ends here

/// "\040" is a blank: mountinfo writes blanks, tabs, newlines and backslashes so.
std::string unescape(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && text.size() - i > 3) {
      if (const auto code = leading_number<unsigned>(text.substr(i + 1, 3), 8); code && *code < 256) {
        plain += static_cast<char>(*code);
        i += 3;
        continue;
      }
    }
    plain += text[i];
  }
  return plain;
}

/// Mount and file system repeat some, such as "rw".
void add_options(std::vector<std::string>& options, std::string_view list) {
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(','), list.size());
    if (std::ranges::find(options, list.substr(0, end)) == options.end())
      options.emplace_back(list.substr(0, end));
    list.remove_prefix(std::min(end + 1, list.size()));
  }
}

/// Whether `path` is `directory` or below it.
bool inside(std::string_view path, std::string_view directory) {
  if (directory == "/") return path.starts_with('/');
  return path.starts_with(directory) && (path.size() == directory.size() || path[directory.size()] == '/');
}

/// "CRYPT-LUKS2-…", "LVM-…": the part of a device mapper's id that names its user.
std::string mapper_kind(const FileTree& tree, const std::string& directory) {
  std::string kind = tree.line(directory + "/dm/uuid");
  kind.resize(std::min(kind.find('-'), kind.size()));
  std::ranges::transform(kind, kind.begin(), [](unsigned char c) { return std::tolower(c); });
  return kind.empty() ? "device-mapper" : "device-mapper (" + kind + ")";
}

/// Drivers of disks without hardware name themselves in the disk's name.
std::string driver_of(const FileTree& tree, const std::string& name, const std::string& directory) {
  if (tree.exists(directory + "/dm")) return mapper_kind(tree, directory);
  if (tree.exists(directory + "/md")) return "md (" + tree.line(directory + "/md/level") + ")";
  for (const char* known : {"nvme", "loop", "zram", "nbd", "ublk", "pmem", "rbd", "ram"})
    if (name.starts_with(known)) return known;
  const std::string driver = tree.resolve(directory + "/device/driver");
  return driver.empty() ? "" : base_name(driver);
}

std::optional<BlockDevice> stack(const FileTree& tree, const std::string& name, unsigned depth);

void add_below(const FileTree& tree, BlockDevice& device, const std::string& name, unsigned depth) {
  if (name.empty() || depth == 0) return;
  if (auto lower = stack(tree, name, depth - 1)) device.below.push_back(*std::move(lower));
}

std::optional<BlockDevice> stack(const FileTree& tree, const std::string& name, unsigned depth) {
  if (name.empty()) return std::nullopt;
  const std::string directory = tree.resolve("/sys/class/block/" + name);
  if (directory.empty()) return std::nullopt;
  BlockDevice device{.name = name,
                     .directory = directory,
                     .driver = driver_of(tree, name, directory),
                     .backing_file = tree.line(directory + "/loop/backing_file"),
                     .number = tree.line(directory + "/dev"),
                     .partition = tree.exists(directory + "/partition"),
                     .below = {}};
  if (device.partition) {
    device.driver = "partition";
    add_below(tree, device, base_name(directory.substr(0, directory.rfind('/'))), depth);
    return device;
  }
  for (const std::string& lower : tree.list(directory + "/slaves")) add_below(tree, device, lower, depth);
  if (!device.backing_file.empty()) {
    const auto mounts = parse_mounts(tree.text("/proc/self/mountinfo"));
    if (const auto mount = mount_of(mounts, device.backing_file))
      add_below(tree, device, block_device_name(tree, *mount), depth);
  }
  return device;
}

void collect_disks(const BlockDevice& device, std::vector<const BlockDevice*>& disks) {
  for (const BlockDevice& lower : device.below) collect_disks(lower, disks);
  const bool known = std::ranges::any_of(disks, [&](const auto* disk) { return disk->name == device.name; });
  if (device.below.empty() && !known) disks.push_back(&device);
}

}  // namespace

bool Mount::has(std::string_view option) const noexcept {
  return std::ranges::find(options, option) != options.end();
}

bool Mount::volatile_memory() const noexcept {
  constexpr std::array kinds = {"tmpfs", "ramfs", "devtmpfs", "hugetlbfs", "rootfs"};
  return std::ranges::find(kinds, type) != kinds.end();
}

// "36 35 98:0 /root /mount/point rw,noatime master:1 - ext4 /dev/sda1 rw,errors=remount-ro": proc(5).
std::vector<Mount> parse_mounts(std::string_view mountinfo) {
  std::vector<Mount> mounts;
  while (!mountinfo.empty()) {
    const std::size_t end = std::min(mountinfo.find('\n'), mountinfo.size());
    const auto parts = words(mountinfo.substr(0, end));
    mountinfo.remove_prefix(std::min(end + 1, mountinfo.size()));
    const auto dash = std::ranges::find(parts, "-");
    if (dash - parts.begin() < 6 || parts.end() - dash < 4) continue;
    Mount mount{.point = unescape(parts[4]),
                .type = std::string(dash[1]),
                .source = unescape(dash[2]),
                .device = std::string(parts[2]),
                .options = {}};
    add_options(mount.options, parts[5]);
    add_options(mount.options, dash[3]);
    mounts.push_back(std::move(mount));
  }
  return mounts;
}

std::optional<Mount> mount_of(const std::vector<Mount>& mounts, std::string_view path) {
  const Mount* best = nullptr;
  for (const Mount& mount : mounts) {  // of two at the same point the later one hides the earlier
    if (inside(path, mount.point) && (best == nullptr || mount.point.size() >= best->point.size()))
      best = &mount;
  }
  return best == nullptr ? std::nullopt : std::optional(*best);
}

std::optional<BlockDevice> block_device(const FileTree& tree, const std::string& name) {
  return stack(tree, name, depth_max);
}

std::string block_device_name(const FileTree& tree, const std::string& number) {
  const std::string directory = tree.resolve("/sys/dev/block/" + number);
  return directory.empty() ? std::string() : base_name(directory);
}

// File systems over several devices (btrfs) show a device number that is no disk's; their source is one.
std::string block_device_name(const FileTree& tree, const Mount& mount) {
  if (std::string name = block_device_name(tree, mount.device); !name.empty()) return name;
  if (!mount.source.starts_with("/dev/")) return {};
  const std::string device = tree.resolve(mount.source);  // /dev/mapper/x is a link to /dev/dm-0
  std::string name = base_name(device.empty() ? mount.source : device);
  return tree.exists("/sys/class/block/" + name) ? name : std::string();
}

std::vector<const BlockDevice*> disks_of(const BlockDevice& top) {
  std::vector<const BlockDevice*> disks;
  collect_disks(top, disks);
  return disks;
}

// The namespace's "device" is its controller; with native multipath it is the subsystem, whose directory has
// a link to each controller.
std::optional<NvmeController> nvme_controller(const FileTree& tree, const BlockDevice& disk) {
  if (disk.driver != "nvme") return std::nullopt;
  std::string directory = tree.resolve(disk.directory + "/device");
  if (base_name(directory).starts_with("nvme-subsys")) {
    for (const std::string& name : tree.list(directory)) {
      if (name.starts_with("nvme") && tree.exists(directory + "/" + name + "/transport")) {
        directory += "/" + name;
        break;
      }
    }
  }
  NvmeController controller{.name = base_name(directory),
                            .transport = tree.line(directory + "/transport"),
                            .address = tree.line(directory + "/address"),
                            .generic = {}};
  const std::string generic = "ng" + disk.name.substr(4);
  if (tree.exists("/sys/class/nvme-generic/" + generic)) controller.generic = "/dev/" + generic;
  return controller;
}

}  // namespace ashlar
