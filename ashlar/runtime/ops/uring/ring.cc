#include "ashlar/runtime/ops/uring/ring.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace ashlar {

namespace {

unsigned setup_flags(RingProfile profile) noexcept {
  switch (profile) {
    case RingProfile::defer_taskrun:
      return IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
             IORING_SETUP_SUBMIT_ALL;
    case RingProfile::single_issuer:
      return IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
             IORING_SETUP_SUBMIT_ALL;
    case RingProfile::coop_taskrun:
      return IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL;
    case RingProfile::plain: return 0;
  }
  return 0;
}

// NODROP: a completion that does not fit is kept by the kernel. EXT_ARG: waiting with a timeout needs no
// operation.
constexpr unsigned required_features = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG | IORING_FEAT_SUBMIT_STABLE;

}  // namespace

const char* to_string(RingProfile profile) noexcept {
  switch (profile) {
    case RingProfile::defer_taskrun: return "SINGLE_ISSUER, DEFER_TASKRUN";
    case RingProfile::single_issuer: return "SINGLE_ISSUER, COOP_TASKRUN";
    case RingProfile::coop_taskrun: return "COOP_TASKRUN";
    case RingProfile::plain: return "no flags";
  }
  return "?";
}

// The bare system call: nothing is mapped, and liburing need not know the flags.
bool kernel_takes_setup(unsigned flags) noexcept {
  io_uring_params params{};
  params.flags = flags;
  const long ring = ::syscall(SYS_io_uring_setup, 2, &params);
  if (ring < 0) return false;
  ::close(static_cast<int>(ring));
  return true;
}

Result<RingProfile> set_up_ring(io_uring& ring, unsigned submission_entries, unsigned completion_entries,
                                RingProfile best) {
  for (auto step = static_cast<unsigned char>(best);; ++step) {
    const auto profile = static_cast<RingProfile>(step);
    io_uring_params params{};
    params.flags = setup_flags(profile) | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
    params.cq_entries = completion_entries;
    const int error = -io_uring_queue_init_params(submission_entries, &ring, &params);
    if (error == 0) {
      if ((params.features & required_features) != required_features) {
        io_uring_queue_exit(&ring);
        return fail(Errc::unsupported, "io_uring: Linux 5.11 or later is needed");
      }
      io_uring_register_ring_fd(
          &ring);  // saves a file look-up per system call; older kernels refuse, harmlessly
      return profile;
    }
    if (error != EINVAL || profile == RingProfile::plain) return fail_errno(error, "io_uring_setup");
  }
}

}  // namespace ashlar
