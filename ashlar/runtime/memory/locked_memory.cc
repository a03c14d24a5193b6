#include "ashlar/runtime/memory/locked_memory.h"

#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ashlar/base/log.h"
#include "ashlar/base/units.h"

namespace ashlar {

namespace {

// By thread, as the kernel asks it.
bool may_lock_all() noexcept {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  return ::syscall(SYS_capget, &header, data) == 0 && (data[0].effective & 1u << CAP_IPC_LOCK) != 0;
}

}  // namespace

LockedMemory& LockedMemory::process() {
  static LockedMemory account;
  return account;
}

std::uint64_t LockedMemory::limit_bytes() noexcept {
  rlimit limit{};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || may_lock_all())
    return unlimited;
  return limit.rlim_cur;
}

Result<> LockedMemory::take(std::uint64_t bytes) {
  const std::uint64_t limit = limit_bytes();
  std::uint64_t held = bytes_.load(std::memory_order_relaxed);
  do {
    if (bytes > limit || held > limit - bytes) {
      if (!said_.exchange(true, std::memory_order_relaxed))
        log::warn(
            "fixed buffers: {} of the {} that may be locked are pinned (ulimit -l): the others are pinned "
            "per "
            "operation",
            format_bytes(held), format_bytes(limit));
      return fail(Errc::no_memory, "fixed buffers: the limit of locked memory (ulimit -l)");
    }
  } while (!bytes_.compare_exchange_weak(held, held + bytes, std::memory_order_relaxed));
  return {};
}

}  // namespace ashlar
