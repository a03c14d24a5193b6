/// 1. statx says kind, size and what O_DIRECT asks for.
/// 2. Of a block device, ioctls say size and blocks.
/// 3. Of its disk, or of the disk that a file's file system is on, sysfs has the rest (disk_traits.cc).

#include "ashlar/runtime/ops/file_traits.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "ashlar/runtime/machine/file_tree.h"

namespace ashlar {

namespace {

/// Enough for every disk and file system there is, where the kernel does not say.
constexpr std::uint32_t safe_alignment = 4096;

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

constexpr unsigned statx_write_atomic = 0x10000;

// Linux 6.11, which the C library does not name yet: the unit of RWF_ATOMIC, of which a file system says more
// than its disk does.
void describe_atomic_writes(const struct statx& status, FileTraits& traits) noexcept {
  constexpr std::size_t unit_min_at = 0xa8, unit_max_at = 0xac;
  static_assert(sizeof status >= unit_max_at + 4);
  traits.atomic_write_bytes_min = traits.atomic_write_bytes_max = 0;
  if ((status.stx_mask & statx_write_atomic) == 0) return;
  const auto* const from = reinterpret_cast<const char*>(&status);
  std::memcpy(&traits.atomic_write_bytes_min, from + unit_min_at, 4);
  std::memcpy(&traits.atomic_write_bytes_max, from + unit_max_at, 4);
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
  if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_DIOALIGN | statx_write_atomic, &status) != 0)
    return fail_errno(errno, "describe file");
  FileTraits traits;
  traits.kind = kind_of(status.stx_mode);
  traits.read_only = (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY;
  switch (traits.kind) {
    case FileTraits::Kind::regular:
      traits.bytes = status.stx_size;
      describe_disk(FileTree(), status.stx_dev_major, status.stx_dev_minor, traits);
      break;
    case FileTraits::Kind::block:
      describe_disk(FileTree(), status.stx_rdev_major, status.stx_rdev_minor, traits);
      TRY(describe_block_device(fd, traits));
      break;
    case FileTraits::Kind::character:
    case FileTraits::Kind::other:
      if (const off_t end = lseek(fd, 0, SEEK_END); end > 0) traits.bytes = static_cast<std::uint64_t>(end);
      return traits;
  }
  describe_atomic_writes(status, traits);
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
