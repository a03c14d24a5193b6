#pragma once

/// A low limit of locked memory, for a test.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace ashlar::testing {

/// While it lives, this thread may lock so much memory and no more. What is locked counts for the user, so
/// that tests of several processes take turns.
class LowMemlock {
 public:
  explicit LowMemlock(std::uint64_t bytes)
      : turn_(::open((::testing::TempDir() + "ashlar_test_memlock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC,
                     0666)) {
    ::flock(turn_, LOCK_EX);
    ::getrlimit(RLIMIT_MEMLOCK, &before_);
    const rlimit low{bytes, before_.rlim_max};
    may_ = ::setrlimit(RLIMIT_MEMLOCK, &low) == 0 && set_capability(false);
  }
  ~LowMemlock() {
    set_capability(true);
    ::setrlimit(RLIMIT_MEMLOCK, &before_);
    ::close(turn_);
  }
  LowMemlock(const LowMemlock&) = delete;
  LowMemlock& operator=(const LowMemlock&) = delete;

  /// False where this process cannot give up the right to lock all.
  bool works() const noexcept { return may_; }

 private:
  static bool set_capability(bool on) {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2]{};
    if (::syscall(SYS_capget, &header, data) != 0) return false;
    const std::uint32_t lock = 1u << CAP_IPC_LOCK;
    data[0].effective = on ? data[0].effective | (lock & data[0].permitted) : data[0].effective & ~lock;
    return ::syscall(SYS_capset, &header, data) == 0;
  }

  int turn_;  // a file that is locked
  rlimit before_{};
  bool may_ = false;
};

}  // namespace ashlar::testing
