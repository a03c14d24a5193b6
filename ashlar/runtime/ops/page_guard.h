#pragma once

/// Memory that maps a file can fail to be there: the medium has an error, the file was truncated, the device
/// is gone. The kernel then raises SIGBUS, which ends the process. A guard turns it into a flag.
///
/// 1. A guard names a range of addresses. The first one installs a handler for SIGBUS.
/// 2. A fault inside a guarded range: the handler maps a page of zeros over it, marks the guard with the
///    lowest offset that failed, and returns: the access is repeated and reads zeros.
/// 3. Whoever used the memory asks ok() afterwards, and throws away what it read where that is false.
/// 4. A fault anywhere else goes to the handler that was there before, or ends the process as it would have.

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace ashlar {

/// Thread safety: watch() and release() from any thread; the memory may be touched, and ok() asked, from any
/// thread. Guards are kept in a table that only grows, so that the handler needs no lock.
class PageGuard {
 public:
  static constexpr std::uint64_t none = ~std::uint64_t{0};

  /// Guards [data, data + bytes), whole pages that overlap no other guard. Null where there is no memory.
  static PageGuard* watch(const std::byte* data, std::uint64_t bytes) noexcept;
  /// The range is not guarded any more; before its addresses are unmapped.
  static void release(PageGuard& guard) noexcept;

  bool ok() const noexcept { return first_bad() == none; }
  /// Offset in the range of the first page that failed.
  std::uint64_t first_bad() const noexcept { return first_bad_.load(std::memory_order_acquire); }

 private:
  friend struct PageGuardTable;
  bool take(std::uintptr_t address) noexcept;

  std::atomic<std::uintptr_t> begin_{0};  // 0: free
  std::atomic<std::uintptr_t> end_{0};
  std::atomic<std::uint64_t> first_bad_{none};
};

}  // namespace ashlar
