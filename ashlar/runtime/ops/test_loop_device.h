#pragma once

/// A loop device over a file, for tests of block devices: needs root and free devices, and says so.

#include <fcntl.h>
#include <linux/blkpg.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "ashlar/base/result.h"

namespace ashlar::testing {

/// Lifecycle: attached until it is destroyed; the device goes when its last user has closed it.
class LoopDevice {
 public:
  LoopDevice(LoopDevice&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)),
        path_(std::move(other.path_)),
        file_(std::move(other.file_)) {}
  LoopDevice& operator=(LoopDevice&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    std::swap(path_, other.path_);
    std::swap(file_, other.file_);
    return *this;
  }
  ~LoopDevice() {
    if (descriptor_ < 0) return;
    ::ioctl(descriptor_, LOOP_CLR_FD);
    ::close(descriptor_);
  }

  /// The file's size is the device's. `unsupported` where this process or machine cannot.
  static Result<LoopDevice> attach(const std::string& file, unsigned block_bytes) {
    if (::geteuid() != 0) return fail(Errc::unsupported, "loop devices need root");
    const int control = ::open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (control < 0) return fail(Errc::unsupported, "no loop devices on this machine");
    const int backing = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
    Result<LoopDevice> device = fail(Errc::unsupported, "no loop device is free");
    for (int attempt = 0; backing >= 0 && attempt < 20 && !device; ++attempt) {
      const int number = ::ioctl(control, LOOP_CTL_GET_FREE);
      if (number < 0) break;
      const std::string path = "/dev/loop" + std::to_string(number);
      const int descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
      if (descriptor < 0) break;
      loop_config config{};
      config.fd = static_cast<__u32>(backing);
      config.block_size = block_bytes;
      config.info.lo_flags = LO_FLAGS_PARTSCAN;
      if (::ioctl(descriptor, LOOP_CONFIGURE, &config) == 0) {
        device = LoopDevice(descriptor, path, file);
      } else {
        ::close(descriptor);  // somebody was faster
      }
    }
    ::close(backing);
    ::close(control);
    return device;
  }

  const std::string& path() const noexcept { return path_; }

  /// The file's size changes, and the device takes it.
  bool resize(std::uint64_t bytes) const {
    return ::truncate(file_.c_str(), static_cast<off_t>(bytes)) == 0 &&
           ::ioctl(descriptor_, LOOP_SET_CAPACITY) == 0;
  }
  /// The kernel lets it go with the last who has it open; this object then holds a device no more.
  bool detach() {
    return ::ioctl(descriptor_, LOOP_CLR_FD) == 0 && ::close(std::exchange(descriptor_, -1)) == 0;
  }

  /// Adds partition 1, without a table on the device; its path. `unsupported` where no node appears for it.
  Result<std::string> add_partition(std::uint64_t offset, std::uint64_t bytes) {
    blkpg_partition partition{};
    partition.start = static_cast<long long>(offset);
    partition.length = static_cast<long long>(bytes);
    partition.pno = 1;
    blkpg_ioctl_arg request{};
    request.op = BLKPG_ADD_PARTITION;
    request.datalen = sizeof partition;
    request.data = &partition;
    std::string path = path_ + "p1";
    if (::ioctl(descriptor_, BLKPG, &request) != 0 || ::access(path.c_str(), F_OK) != 0)
      return fail(Errc::unsupported, "no partitions on loop devices here");
    return path;
  }

 private:
  LoopDevice(int descriptor, std::string path, std::string file)
      : descriptor_(descriptor), path_(std::move(path)), file_(std::move(file)) {}

  int descriptor_;
  std::string path_, file_;
};

}  // namespace ashlar::testing
