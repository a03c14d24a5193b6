/// 1. statx says kind, size and what O_DIRECT asks for.
/// 2. Of a block device, ioctls say size and blocks.
/// 3. Of its disk, or of the disk that a file's file system is on, sysfs has the rest. A partition has no
///    queue of its own: its directory lies in the disk's.

#include "ashlar/runtime/ops/file_traits.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <string_view>

namespace ashlar {

namespace {

/// Enough for every disk and file system there is, where the kernel does not say.
constexpr std::uint32_t safe_alignment = 4096;

/// A directory of sysfs whose files hold one line each.
class Attributes {
 public:
  explicit Attributes(std::string directory) : directory_(std::move(directory)) {}

  /// Without the newline; empty where there is no such file.
  std::string text(const char* name) const {
    const int fd = ::open((directory_ + name).c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return {};
    std::array<char, 256> line{};
    const ssize_t bytes = ::read(fd, line.data(), line.size());
    ::close(fd);
    std::string_view view(line.data(), bytes > 0 ? static_cast<std::size_t>(bytes) : 0);
    return std::string(view.substr(0, view.find('\n')));
  }
  template <class Number = std::uint64_t>
  std::optional<Number> number(const char* name) const {
    const std::string line = text(name);
    Number value{};
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value);
    if (error != std::errc{} || end == line.data()) return std::nullopt;
    return value;
  }
  std::optional<bool> flag(const char* name) const {
    const auto value = number(name);
    return value ? std::optional(*value != 0) : std::nullopt;
  }

 private:
  std::string directory_;
};

/// "mq-deadline [none]" → "none".
std::string chosen(const std::string& line) {
  const std::size_t open = line.find('['), close = line.find(']');
  return open == std::string::npos || close == std::string::npos ? line
                                                                 : line.substr(open + 1, close - open - 1);
}

// The node is an attribute of the controller, which is one to three steps above the disk.
std::optional<std::uint32_t> numa_node(const Attributes& disk) {
  for (const char* name : {"device/numa_node", "device/device/numa_node", "device/device/device/numa_node"}) {
    const auto node = disk.number<std::int32_t>(name);
    if (node && *node >= 0) return static_cast<std::uint32_t>(*node);
  }
  return std::nullopt;
}

void describe_disk(dev_t device, FileTraits& traits) {
  const std::string link =
      "/sys/dev/block/" + std::to_string(major(device)) + ":" + std::to_string(minor(device));
  std::array<char, PATH_MAX> resolved{};
  if (::realpath(link.c_str(), resolved.data()) == nullptr) return;  // no block device: tmpfs, btrfs, overlay
  std::string directory = resolved.data();
  traits.partition = ::access((directory + "/partition").c_str(), F_OK) == 0;
  if (traits.partition) directory.resize(directory.rfind('/'));
  traits.disk = directory.substr(directory.rfind('/') + 1);

  const Attributes disk(directory + "/");
  const std::string cache = disk.text("queue/write_cache");
  if (!cache.empty()) traits.volatile_cache = cache == "write back";
  traits.fua = disk.flag("queue/fua");
  traits.rotational = disk.flag("queue/rotational");
  traits.io_poll = disk.flag("queue/io_poll");
  traits.numa_node = numa_node(disk);
  traits.scheduler = chosen(disk.text("queue/scheduler"));
  traits.logical_block_bytes = disk.number<std::uint32_t>("queue/logical_block_size").value_or(512);
  traits.physical_block_bytes =
      disk.number<std::uint32_t>("queue/physical_block_size").value_or(traits.logical_block_bytes);
  traits.queue_requests = disk.number<std::uint32_t>("queue/nr_requests").value_or(0);
  traits.discard_granularity = disk.number<std::uint32_t>("queue/discard_granularity").value_or(0);
  traits.discard_bytes_max = disk.number("queue/discard_max_bytes").value_or(0);
  traits.write_zeroes_bytes_max = disk.number("queue/write_zeroes_max_bytes").value_or(0);
  traits.atomic_write_bytes_max = disk.number<std::uint32_t>("queue/atomic_write_unit_max_bytes").value_or(0);
}

// BLKROGET and the others exist for partitions too, and know what sysfs of the disk does not.
Result<> describe_block_device(int fd, FileTraits& traits) {
  std::uint64_t bytes = 0;
  if (ioctl(fd, BLKGETSIZE64, &bytes) != 0) return fail_errno(errno, "describe block device");
  traits.bytes = bytes;
  int logical = 0, read_only = 0;
  unsigned physical = 0;
  if (ioctl(fd, BLKSSZGET, &logical) == 0) traits.logical_block_bytes = static_cast<std::uint32_t>(logical);
  if (ioctl(fd, BLKPBSZGET, &physical) == 0) traits.physical_block_bytes = physical;
  if (ioctl(fd, BLKROGET, &read_only) == 0 && read_only != 0) traits.read_only = true;
  return {};
}

FileTraits::Kind kind_of(unsigned mode) noexcept {
  if (S_ISREG(mode)) return FileTraits::Kind::regular;
  if (S_ISBLK(mode)) return FileTraits::Kind::block;
  if (S_ISCHR(mode)) return FileTraits::Kind::character;
  return FileTraits::Kind::other;
}

}  // namespace

const char* to_string(FileTraits::Kind kind) noexcept {
  switch (kind) {
    case FileTraits::Kind::regular: return "regular file";
    case FileTraits::Kind::block: return "block device";
    case FileTraits::Kind::character: return "character device";
    case FileTraits::Kind::other: return "neither file nor device";
  }
  return "?";
}

Result<FileTraits> describe_descriptor(int fd) {
  struct statx status{};
  if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_DIOALIGN, &status) != 0)
    return fail_errno(errno, "describe file");
  FileTraits traits;
  traits.kind = kind_of(status.stx_mode);
  traits.read_only = (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY;
  switch (traits.kind) {
    case FileTraits::Kind::regular:
      traits.bytes = status.stx_size;
      describe_disk(makedev(status.stx_dev_major, status.stx_dev_minor), traits);
      break;
    case FileTraits::Kind::block:
      describe_disk(makedev(status.stx_rdev_major, status.stx_rdev_minor), traits);
      TRY(describe_block_device(fd, traits));
      break;
    case FileTraits::Kind::character:
    case FileTraits::Kind::other:
      if (const off_t end = lseek(fd, 0, SEEK_END); end > 0) traits.bytes = static_cast<std::uint64_t>(end);
      return traits;
  }
  traits.alignment_from_kernel = (status.stx_mask & STATX_DIOALIGN) != 0;
  if (traits.alignment_from_kernel) {
    traits.memory_alignment = status.stx_dio_mem_align;
    traits.offset_alignment = status.stx_dio_offset_align;
  } else if (traits.kind == FileTraits::Kind::block) {
    traits.memory_alignment = traits.offset_alignment = traits.logical_block_bytes;
  } else {
    traits.memory_alignment = traits.offset_alignment = std::max(safe_alignment, traits.logical_block_bytes);
  }
  return traits;
}

}  // namespace ashlar
