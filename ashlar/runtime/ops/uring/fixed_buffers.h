#pragma once

/// Fixed buffers: regions whose pages one ring holds pinned, so that a read or write of them pins none.

#include <liburing.h>

#include <cstdint>
#include <vector>

#include "ashlar/base/bytes.h"
#include "ashlar/base/result.h"
#include "ashlar/runtime/ops/operation.h"

namespace ashlar {

/// Owner: that of one ring. What is pinned counts in LockedMemory, until this goes. The table is sparse, and
/// made at the first region: a region's number is its slot.
class FixedBuffers {
 public:
  FixedBuffers() = default;
  FixedBuffers(const FixedBuffers&) = delete;
  FixedBuffers& operator=(const FixedBuffers&) = delete;
  /// After the ring is gone, and with it the pins.
  ~FixedBuffers();

  static constexpr unsigned slots_max = 1u << 14;  ///< Linux: IORING_MAX_REG_BUFFERS

  /// Pins a region, unless it is known. `unsupported` before Linux 5.19, `too_large` for a number outside the
  /// table, `no_memory` where LockedMemory or the kernel does not allow it; a refusal other than that of the
  /// number is final, so that asking again costs nothing.
  Result<> add(io_uring& ring, std::uint32_t id, MutableBytes memory, unsigned slots);

  /// Makes a prepared read or write fixed, where all its memory lies in the region that it names.
  void use(const Operation& operation, io_uring_sqe& sqe) const noexcept {
    if (operation.region < known_.size()) [[unlikely]]
      make_fixed(operation, sqe);
  }
  /// Whether memory lies in a region that the ring knows.
  bool holds(std::uint32_t region, Bytes memory) const noexcept;
  std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  void make_fixed(const Operation& operation, io_uring_sqe& sqe) const noexcept;

  std::vector<MutableBytes> known_;  // by region
  std::uint64_t bytes_ = 0;
  bool vectored_ = false;  // Linux 6.15: of several buffers at once
  Result<> refused_{};
};

}  // namespace ashlar
