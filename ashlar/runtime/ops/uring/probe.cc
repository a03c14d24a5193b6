#include "ashlar/runtime/ops/uring/probe.h"

#include "ashlar/runtime/ops/uring/ring.h"

namespace ashlar {
Result<std::vector<UringFeature>> probe_uring() {
  io_uring ring{};
  TRY(set_up_ring(ring, 2, 4));
  std::vector<UringFeature> features;
  {
    const Operations operations(ring);
    const bool linux_5_19 = operations.has(IORING_OP_SOCKET), linux_6_0 = operations.has(IORING_OP_SEND_ZC);
    features = {
        {"SUBMIT_ALL", "5.18", "a refused entry ends a batch", kernel_takes_setup(IORING_SETUP_SUBMIT_ALL)},
        {"registered ring", "5.18", "one file look-up per system call",
         io_uring_unregister_ring_fd(&ring) == 1},
        {"COOP_TASKRUN", "5.19", "completions interrupt the shard",
         kernel_takes_setup(IORING_SETUP_COOP_TASKRUN)},
        {"registered files", "5.19", "one file look-up per operation",
         io_uring_register_files_sparse(&ring, 1) == 0},
        {"multishot accept", "5.19", "one operation per connection", linux_5_19},
        {"multishot receive", "6.0", "one operation per receive", linux_6_0},
        {"SINGLE_ISSUER", "6.0", "the kernel locks the ring", kernel_takes_setup(IORING_SETUP_SINGLE_ISSUER)},
        {"DEFER_TASKRUN", "6.1", "completions run at any system call",
         kernel_takes_setup(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN)},
    };
  }
  io_uring_queue_exit(&ring);
  return features;
}

}  // namespace ashlar
