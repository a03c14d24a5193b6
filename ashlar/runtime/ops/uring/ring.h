#pragma once

/// Creating an io_uring with the best flags that this kernel takes, and asking what it knows.

#include <liburing.h>

#include <string>

#include "ashlar/base/result.h"
#include "ashlar/runtime/ops/uring/uring_options.h"

namespace ashlar {

/// Sets up `ring` for the calling thread, which alone may use it. `permission` where io_uring is forbidden
/// (sysctl kernel.io_uring_disabled, seccomp), `unsupported` before 5.11 (no EXT_ARG timeouts), `no_memory`
/// at a low memlock.
Result<RingProfile> set_up_ring(io_uring& ring, unsigned submission_entries, unsigned completion_entries,
                                RingProfile best = RingProfile::defer_taskrun);

/// Whether this kernel sets up a ring with these flags.
bool kernel_takes_setup(unsigned flags) noexcept;

/// Whether the kernel holds completions of a ring that it posts only when it is entered.
inline bool kernel_asks(const io_uring& ring) noexcept {
  constexpr unsigned asks = IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW;
  return (__atomic_load_n(ring.sq.kflags, __ATOMIC_RELAXED) & asks) != 0;
}

/// The operation codes that this kernel knows; those released together stand in for features without a code.
class Operations {
 public:
  explicit Operations(io_uring& ring) noexcept : probe_(io_uring_get_probe_ring(&ring)) {}
  Operations(const Operations&) = delete;
  Operations& operator=(const Operations&) = delete;
  ~Operations() { io_uring_free_probe(probe_); }

  bool has(int code) const noexcept {
    return probe_ != nullptr && io_uring_opcode_supported(probe_, code) != 0;
  }

 private:
  io_uring_probe* probe_;
};

}  // namespace ashlar
