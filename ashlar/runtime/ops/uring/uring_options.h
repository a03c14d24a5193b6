#pragma once

/// What the io_uring back end is asked for. Without <liburing.h>: programs that start a runtime see this.

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

/// For tests: a kernel that is older than the one at hand. Each lacks what those before it lack.
enum class KernelAge : unsigned char {
  newest,
  linux_6_0,   ///< has no DEFER_TASKRUN
  linux_5_19,  ///< has no SINGLE_ISSUER and no SEND_ZC, and refuses a multishot receive with EINVAL
  linux_5_11,  ///< has no flag but SQPOLL, SQ_AFF and IOPOLL, no registered rings, sparse tables, limits of
               ///< workers, buffer rings, and no multishot at all; and every linked operation completes
};

struct UringOptions {
  unsigned submission_entries = 256;
  unsigned completion_entries = 4096;
  unsigned receive_buffer_count = 256;  ///< power of two, at most 32768
  unsigned receive_buffer_bytes = 16384;
  unsigned registered_files_max = 16384;  ///< lowered to the soft RLIMIT_NOFILE; 0 registers none
  RingProfile best_profile = RingProfile::defer_taskrun;
  KernelAge pretend = KernelAge::newest;
  unsigned gather = 16;          ///< see GatherBound
  unsigned cancels_refused = 0;  ///< for tests: so many cancels at first find no free submission entry
  int sqpoll_error = 0;          ///< for tests: SQPOLL is refused with this errno, as a security module does
};

}  // namespace ashlar
