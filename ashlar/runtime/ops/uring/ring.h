#pragma once

/// Creating an io_uring with the best flags that this kernel takes.

#include <liburing.h>

#include <string>

#include "ashlar/base/result.h"

namespace ashlar {

/// What a ring was created with, best first; each step down costs some interrupts or system calls, never
/// correctness.
enum class RingProfile : unsigned char {
  defer_taskrun,  ///< 6.1: SINGLE_ISSUER | DEFER_TASKRUN | TASKRUN_FLAG | SUBMIT_ALL: completions when we ask
  single_issuer,  ///< 6.0: SINGLE_ISSUER | COOP_TASKRUN | TASKRUN_FLAG | SUBMIT_ALL
  coop_taskrun,   ///< 5.19: COOP_TASKRUN | TASKRUN_FLAG | SUBMIT_ALL
  plain,          ///< 5.11: no flag
};
const char* to_string(RingProfile profile) noexcept;

/// Sets up `ring` for the calling thread, which alone may use it. `permission` where io_uring is forbidden
/// (sysctl kernel.io_uring_disabled, seccomp), `unsupported` before 5.11 (no EXT_ARG timeouts), `no_memory`
/// at a low memlock.
Result<RingProfile> set_up_ring(io_uring& ring, unsigned submission_entries, unsigned completion_entries,
                              RingProfile best = RingProfile::defer_taskrun);

}  // namespace ashlar
