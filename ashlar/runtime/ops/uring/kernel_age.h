#pragma once

/// For tests: a kernel that is older than the one at hand. What it lacks is refused before anybody asks the
/// real one, so that each step down is taken as it would be there.

#include <liburing.h>

#include "ashlar/runtime/ops/uring/ring.h"
#include "ashlar/runtime/ops/uring/uring_options.h"

namespace ashlar {

/// The best that a kernel of this age takes.
constexpr RingProfile profile_of(KernelAge age) noexcept {
  switch (age) {
    case KernelAge::newest: return RingProfile::defer_taskrun;
    case KernelAge::linux_6_0: return RingProfile::single_issuer;
    case KernelAge::linux_5_19: return RingProfile::coop_taskrun;
    case KernelAge::linux_5_11: break;
  }
  return RingProfile::plain;
}

/// The flags of io_uring_setup that a kernel of this age takes.
constexpr unsigned setup_flags_of(KernelAge age) noexcept {
  unsigned flags = ~0u;
  if (age >= KernelAge::linux_6_0) flags &= ~IORING_SETUP_DEFER_TASKRUN;
  if (age >= KernelAge::linux_5_19) flags &= ~IORING_SETUP_SINGLE_ISSUER;
  if (age >= KernelAge::linux_5_11)
    flags &= ~(IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL);
  return flags;
}

}  // namespace ashlar
