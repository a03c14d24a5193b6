#pragma once

/// What this process has pinned for fixed buffers, and how much it may pin.

#include <atomic>
#include <cstdint>

#include "ashlar/base/result.h"

namespace ashlar {

/// The account of pinned memory, over all rings of all shards: a region that two rings register is pinned
/// twice, as the kernel counts it. Thread safety: any thread; for set-up calls, not for a hot path.
/// Lifecycle: one for the process, never destroyed.
///
/// It stops at RLIMIT_MEMLOCK before the kernel is asked, so that what is refused is known and said at once.
/// The kernel's own count is of all processes of a user, hence it may still refuse what is granted here.
class LockedMemory {
 public:
  static constexpr std::uint64_t unlimited = ~std::uint64_t{0};

  static LockedMemory& process();
  /// What RLIMIT_MEMLOCK says now; unlimited for a thread with CAP_IPC_LOCK.
  static std::uint64_t limit_bytes() noexcept;

  /// Before memory is pinned. `no_memory` beyond the limit, of which the first refusal is logged.
  Result<> take(std::uint64_t bytes);
  /// After it was released, or could not be pinned.
  void give(std::uint64_t bytes) noexcept { bytes_.fetch_sub(bytes, std::memory_order_relaxed); }
  std::uint64_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> bytes_{0};
  std::atomic<bool> said_{false};
};

}  // namespace ashlar
