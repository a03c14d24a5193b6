/// shard-task: what a shard's loop adds to an operation. Ours: each of 32 tasks calls, again and again, a
/// coroutine that awaits a NOP. Peer: the same NOPs through liburing, 32 to a system call, nothing else.

#include <liburing.h>

#include <utility>

#include "ashlar/runtime/ops/file.h"
#include "ashlar/runtime/shard/runtime.h"
#include "ashlar/runtime/sync/scope.h"
#include "bench/case.h"
#include "bench/machine.h"

namespace ashlar::bench {

namespace {

constexpr unsigned in_flight = 32;
constexpr unsigned batches_per_slice = 100;

Task<Result<>> nop() {
  co_return co_await StatusAwaiter(OpCode::nop, {}, "nop", 0);
}

/// `clock`: of the one task that keeps the time for all.
Task<> issue(std::uint64_t slices, SliceClock* clock, Result<>* failed) {
  if (clock != nullptr) clock->mark();
  for (std::uint64_t slice = 0; slice < slices; ++slice) {
    for (unsigned i = 0; i < batches_per_slice; ++i) {
      if (auto done = co_await nop(); !done) *failed = std::move(done);
    }
    if (clock != nullptr) clock->mark();
  }
}

Task<Result<>> run_tasks(std::uint64_t slices, double* cycles_each) {
  Result<> failed;
  SliceClock clock(slices);
  TaskScope scope;
  for (unsigned i = 0; i < in_flight; ++i) scope.spawn(issue(slices, i == 0 ? &clock : nullptr, &failed));
  co_await scope.join();
  *cycles_each = clock.cycles_each(batches_per_slice * in_flight);
  co_return failed;
}

Result<Sample> measure_tasks(std::uint64_t slices) {
  Sample sample;
  Result<> result;
  on_cores({cores().back()}, [&] {
    Runtime runtime({.shards = 1, .shard = {}, .uring = {}});
    result = runtime.run([&](Shard&) { return run_tasks(slices, &sample.value); });
  });
  TRY(std::move(result));
  return sample;
}

/// One batch: 32 entries in, one system call, 32 completions out. Returns how many succeeded.
unsigned run_batch(io_uring& ring) {
  for (unsigned i = 0; i < in_flight; ++i) {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring);
    io_uring_prep_nop(sqe);
    io_uring_sqe_set_data(sqe, &ring);
  }
  io_uring_submit_and_wait(&ring, in_flight);
  unsigned seen = 0, succeeded = 0, head;
  io_uring_cqe* cqe;
  io_uring_for_each_cqe(&ring, head, cqe) {
    ++seen;
    succeeded += cqe->res == 0 && io_uring_cqe_get_data(cqe) == &ring;
  }
  io_uring_cq_advance(&ring, seen);
  return succeeded;
}

Result<Sample> measure_ring(std::uint64_t slices) {
  Sample sample;
  Result<> result;
  on_cores({cores().back()}, [&] {
    io_uring ring{};
    io_uring_params params{};
    params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL;
    if (const int error = -io_uring_queue_init_params(256, &ring, &params); error != 0) {
      result = fail_errno(error, "io_uring_setup");
      return;
    }
    io_uring_register_ring_fd(&ring);
    SliceClock clock(slices);
    clock.mark();
    for (std::uint64_t slice = 0; slice < slices && result; ++slice) {
      for (unsigned i = 0; i < batches_per_slice; ++i) {
        if (run_batch(ring) != in_flight) result = fail(Errc::io, "NOP");
      }
      clock.mark();
    }
    sample.value = clock.cycles_each(batches_per_slice * in_flight);
    io_uring_queue_exit(&ring);
  });
  TRY(std::move(result));
  return sample;
}

Result<Contest> prepare(const BenchOptions& options) {
  const std::uint64_t slices = scaled(options, 1'000);
  Contest contest;
  contest.ashlar = [=] { return measure_tasks(slices); };
  contest.peer = [=] { return measure_ring(slices); };
  contest.peer_version = "liburing " ASHLAR_LIBURING_VERSION;
  contest.configuration = {{"in flight", std::to_string(in_flight)},
                           {"operations", std::to_string(slices * batches_per_slice * in_flight)},
                           {"ring", "SINGLE_ISSUER, DEFER_TASKRUN, registered ring"},
                           {"pinned", "both sides to one core"}};
  return contest;
}

}  // namespace

void add_shard_cases(std::vector<Case>& cases) {
  cases.push_back({.name = "shard-task",
                   .summary = "a NOP through a Task on a shard, 32 in flight, beside a bare io_uring loop",
                   .unit = "cycles/op",
                   .more_is_better = false,
                   .peer_name = "liburing loop",
                   .target = 1 / 1.3,
                   .prepare = prepare});
}

}  // namespace ashlar::bench
