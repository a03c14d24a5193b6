#include "ashlar/runtime/ops/file_operations.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "ashlar/runtime/ops/transfer.h"

namespace ashlar {

namespace {

/// Repeats a system call while a signal interrupts it; its result, or -errno.
template <class Call>
std::int64_t without_interrupts(Call call) noexcept {
  for (;;) {
    const std::int64_t result = call();
    if (result >= 0) return result;
    if (errno != EINTR) return -errno;
  }
}

/// What is left of a transfer, as the kernel takes it in one call.
struct Vectors {
  iovec single{};
  const iovec* first = nullptr;
  int count = 0;

  explicit Vectors(const Operation& operation) noexcept {
    if (operation.vectors != nullptr) {
      first = operation.vectors;
      count = static_cast<int>(std::min(operation.vector_count, transfer_vectors_max));
    } else {
      single = {operation.data + operation.transferred, std::min(bytes_left(operation), transfer_bytes_max)};
      first = &single;
      count = 1;
    }
  }
};

std::int64_t read_file(Operation& operation) noexcept {
  while (bytes_left(operation) != 0) {
    const Vectors into(operation);
    const auto at = static_cast<off_t>(operation.offset + operation.transferred);
    const std::int64_t bytes =
        without_interrupts([&] { return preadv(operation.handle.value, into.first, into.count, at); });
    // The rest of a direct read that ended inside a block is misaligned: that is the end of the file.
    if (bytes == 0 || (bytes == -EINVAL && operation.transferred != 0)) break;
    if (bytes < 0) return bytes;
    advance(operation, static_cast<std::uint64_t>(bytes));
  }
  return static_cast<std::int64_t>(operation.transferred);
}

std::int64_t write_file(Operation& operation) noexcept {
  int flags = write_flags(operation);
  bool sync_after = false;
  while (bytes_left(operation) != 0) {
    const Vectors from(operation);
    const auto at = static_cast<off_t>(operation.offset + operation.transferred);
    const std::int64_t bytes = without_interrupts(
        [&] { return pwritev2(operation.handle.value, from.first, from.count, at, flags); });
    // A file system that knows no flags: sync at the end instead. Nothing stands in for an atomic write.
    if (bytes == -EOPNOTSUPP && flags == RWF_DSYNC) {
      flags = 0;
      sync_after = true;
      continue;
    }
    if (bytes < 0) return bytes;
    if (bytes == 0) return -EIO;  // no progress
    if (operation.atomic && static_cast<std::uint64_t>(bytes) != bytes_left(operation)) return -EIO;
    advance(operation, static_cast<std::uint64_t>(bytes));
  }
  if (sync_after) {
    const std::int64_t synced = without_interrupts([&] { return fdatasync(operation.handle.value); });
    if (synced < 0) return synced;
  }
  return static_cast<std::int64_t>(operation.transferred);
}

std::int64_t write_chain(Operation& first) noexcept {
  begin_chain(first);
  for (Operation* step = &first; step != nullptr; step = step->then) {
    step->result = write_file(*step);
    if (step->result < 0) break;
  }
  return chain_result(first);
}

/// As much as a socket that does not block takes now: EAGAIN where it takes no more, with `transferred` of it
/// done.
std::int64_t send_file(Operation& operation) noexcept {
  while (operation.transferred < operation.length) {
    auto at = static_cast<off_t>(operation.offset + operation.transferred);
    const std::uint64_t left = std::min(operation.length - operation.transferred, transfer_bytes_max);
    const std::int64_t bytes = without_interrupts(
        [&] { return sendfile(operation.handle.value, operation.source.value, &at, left); });
    if (bytes == 0) break;  // the end of the file
    if ((bytes == -EINVAL || bytes == -ENOSYS) && operation.transferred == 0) return -EOPNOTSUPP;
    if (bytes < 0) return bytes;
    operation.transferred += static_cast<std::uint64_t>(bytes);
  }
  return static_cast<std::int64_t>(operation.transferred);
}

/// A hole in a file; of a block device BLKDISCARD, since a hole there would be a write of zeros.
std::int64_t discard(const Operation& operation) noexcept {
  const int fd = operation.handle.value;
  if (is_block_device(fd)) {
    std::uint64_t range[2] = {operation.offset, operation.length};
    return without_interrupts([&] { return ioctl(fd, BLKDISCARD, range); });
  }
  return without_interrupts([&] {
    return fallocate(fd, punch_hole_mode, static_cast<off_t>(operation.offset),
                     static_cast<off_t>(operation.length));
  });
}

/// Before Linux 5.14 there is no MADV_POPULATE: every page is touched. One that cannot be read then marks the
/// mapping's guard.
std::int64_t populate(const Operation& operation) noexcept {
  const bool writing = operation.mode != 0;
  if (madvise(operation.data, operation.length, writing ? MADV_POPULATE_WRITE : MADV_POPULATE_READ) == 0)
    return 0;
  if (errno == EFAULT || errno == EHWPOISON) return -EIO;  // SIGBUS, had it been touched
  if (errno != EINVAL) return -errno;
  const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  for (std::uint64_t at = 0; at < operation.length; at += page) {
    std::byte* const byte = operation.data + at;
    if (writing) {
      // Other threads may store there: an atomic that changes nothing.
      __atomic_fetch_or(reinterpret_cast<unsigned char*>(byte), 0, __ATOMIC_RELAXED);
    } else {
      (void)*const_cast<volatile std::byte*>(byte);
    }
  }
  return 0;
}

std::int64_t sync_directory(const char* path) noexcept {
  const std::int64_t directory =
      without_interrupts([&] { return ::open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (directory < 0) return directory;
  const int fd = static_cast<int>(directory);
  const std::int64_t synced = without_interrupts([&] { return fsync(fd); });
  ::close(fd);
  return synced;
}

/// Linux frees the descriptor whatever close() returns: to repeat it would be to close somebody else's.
std::int64_t close_file(int fd) noexcept {
  return ::close(fd) == 0 || errno == EINTR ? 0 : -errno;
}

}  // namespace

bool is_block_device(int fd) noexcept {
  struct stat status{};
  return fstat(fd, &status) == 0 && S_ISBLK(status.st_mode);
}

bool is_file_operation(OpCode code) noexcept {
  switch (code) {
    case OpCode::open:
    case OpCode::close:
    case OpCode::read:
    case OpCode::write:
    case OpCode::allocate:
    case OpCode::sync:
    case OpCode::data_sync:
    case OpCode::resize:
    case OpCode::rename:
    case OpCode::link:
    case OpCode::unlink:
    case OpCode::sync_directory:
    case OpCode::discard:
    case OpCode::write_zeroes:
    case OpCode::advise:
    case OpCode::populate:
    case OpCode::sync_memory:
    case OpCode::unmap: return true;
    default: return false;
  }
}

std::int64_t execute_file_operation(Operation& operation) noexcept {
  const int fd = operation.handle.value;
  const auto at = static_cast<off_t>(operation.offset);
  const auto length = static_cast<off_t>(operation.length);
  switch (operation.code) {
    case OpCode::open:
      return without_interrupts(
          [&] { return ::open(operation.path, operation.open_flags | O_CLOEXEC, operation.mode); });
    case OpCode::close: return close_file(fd);
    case OpCode::read: return read_file(operation);
    case OpCode::write: return operation.then == nullptr ? write_file(operation) : write_chain(operation);
    case OpCode::allocate: return without_interrupts([&] { return fallocate(fd, 0, at, length); });
    case OpCode::sync: return without_interrupts([&] { return fsync(fd); });
    case OpCode::data_sync: return without_interrupts([&] { return fdatasync(fd); });
    case OpCode::resize: return without_interrupts([&] { return ftruncate(fd, length); });
    case OpCode::rename: return without_interrupts([&] { return ::rename(operation.path, operation.path2); });
    case OpCode::link: return without_interrupts([&] { return ::link(operation.path, operation.path2); });
    case OpCode::unlink: return without_interrupts([&] { return ::unlink(operation.path); });
    case OpCode::sync_directory: return sync_directory(operation.path);
    case OpCode::discard: return discard(operation);
    case OpCode::write_zeroes:
      return without_interrupts([&] { return fallocate(fd, zero_range_mode, at, length); });
    case OpCode::send_file: return send_file(operation);
    case OpCode::advise: return -posix_fadvise(fd, at, length, static_cast<int>(operation.mode));
    case OpCode::populate: return populate(operation);
    case OpCode::sync_memory:
      return without_interrupts([&] { return msync(operation.data, operation.length, MS_SYNC); });
    case OpCode::unmap: return munmap(operation.data, operation.length) == 0 ? 0 : -errno;
    default: return -ENOSYS;
  }
}

}  // namespace ashlar
