#include "ashlar/runtime/ops/uring/probe.h"

#include "ashlar/runtime/ops/uring/ring.h"

namespace ashlar {
namespace {

constexpr unsigned setup_no_sqarray = 1u << 16;  // liburing 2.3 does not name these
constexpr int op_ftruncate = 55, op_readv_fixed = 60;

bool takes_worker_limits(io_uring& ring) noexcept {
  unsigned unchanged[2] = {0, 0};
  return io_uring_register_iowq_max_workers(&ring, unchanged) == 0;
}

void add_setup(std::vector<UringFeature>& features, io_uring& ring) {
  const auto takes = kernel_takes_setup;
  features.insert(
      features.end(),
      {
          {"SUBMIT_ALL", "5.18", "a refused entry ends a batch", takes(IORING_SETUP_SUBMIT_ALL)},
          {"registered ring", "5.18", "one file look-up per system call",
           io_uring_unregister_ring_fd(&ring) == 1},
          {"COOP_TASKRUN", "5.19", "completions interrupt the shard", takes(IORING_SETUP_COOP_TASKRUN)},
          {"SINGLE_ISSUER", "6.0", "the kernel locks the ring", takes(IORING_SETUP_SINGLE_ISSUER)},
          {"DEFER_TASKRUN", "6.1", "completions run at any system call",
           takes(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN)},
          {"SQPOLL", "5.11", "the shard submits by system calls", takes(IORING_SETUP_SQPOLL)},
          {"SQ_AFF", "5.1", "the poller runs on any CPU", takes(IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF)},
          {"IOPOLL", "5.1", "the device interrupts", takes(IORING_SETUP_IOPOLL)},
          {"NO_SQARRAY", "6.6", "not used: liburing 2.3 would corrupt the ring", takes(setup_no_sqarray)},
          {"IOWQ_MAX_WORKERS", "5.15", "as many workers as the kernel likes", takes_worker_limits(ring)},
          {"IOWQ_AFF", "5.14", "workers run on any CPU", io_uring_unregister_iowq_aff(&ring) == 0},
      });
}

void add_memory_and_files(std::vector<UringFeature>& features, io_uring& ring, const Operations& operations) {
  const bool linux_5_19 = operations.has(IORING_OP_SOCKET);
  features.insert(features.end(),
                  {
                      {"registered files", "5.19", "one file look-up per operation",
                       io_uring_register_files_sparse(&ring, 1) == 0},
                      {"fixed buffers", "5.19", "pages are pinned per operation",
                       io_uring_register_buffers_sparse(&ring, 1) == 0},
                      {"READ_FIXED, WRITE_FIXED", "5.1", "pages are pinned per operation",
                       operations.has(IORING_OP_READ_FIXED) && operations.has(IORING_OP_WRITE_FIXED)},
                      {"READV_FIXED, WRITEV_FIXED", "6.15", "several buffers are pinned per operation",
                       operations.has(op_readv_fixed)},
                      {"buffer rings", "5.19", "a poll before each receive", linux_5_19},
                  });
}

void add_operations(std::vector<UringFeature>& features, const io_uring& ring, const Operations& operations) {
  const bool linux_5_19 = operations.has(IORING_OP_SOCKET), linux_6_0 = operations.has(IORING_OP_SEND_ZC);
  const auto feature = [&](unsigned flag) { return (ring.features & flag) != 0; };
  features.insert(
      features.end(),
      {
          {"FEAT_NODROP", "5.5", "the epoll back end", feature(IORING_FEAT_NODROP)},
          {"FEAT_EXT_ARG", "5.11", "the epoll back end", feature(IORING_FEAT_EXT_ARG)},
          {"multishot accept", "5.19", "one operation per connection", linux_5_19},
          {"multishot receive", "6.0", "one operation per receive", linux_6_0},
          {"IO_LINK", "5.3", "writes follow each other by the loop", true},  // since long before 5.11
          {"CQE_SKIP_SUCCESS", "5.17", "writes follow each other by the loop", feature(IORING_FEAT_CQE_SKIP)},
          {"IOSQE_ASYNC", "5.6", "operations start on the shard", operations.has(IORING_OP_READ)},
          {"ioprio", "5.1", "the thread's priority", operations.has(IORING_OP_READ)},
          {"FALLOCATE", "5.6", "the epoll back end", operations.has(IORING_OP_FALLOCATE)},
          {"FADVISE", "5.6", "hints are lost", operations.has(IORING_OP_FADVISE)},
          {"FTRUNCATE", "6.9", "a system call of the shard", operations.has(op_ftruncate)},
          {"URING_CMD", "5.19", "discards by a worker thread (by commands from 6.12 on)",
           operations.has(IORING_OP_URING_CMD)},
          {"SPLICE", "5.7", "files to sockets through memory", operations.has(IORING_OP_SPLICE)},
          {"SEND_ZC", "6.0", "sends are copied", linux_6_0},
      });
}

}  // namespace

Result<std::vector<UringFeature>> probe_uring() {
  io_uring ring{};
  TRY(set_up_ring(ring, 2, 4));
  std::vector<UringFeature> features;
  {
    const Operations operations(ring);
    add_setup(features, ring);
    add_memory_and_files(features, ring, operations);
    add_operations(features, ring, operations);
  }
  io_uring_queue_exit(&ring);
  return features;
}

}  // namespace ashlar
