#include "ashlar/runtime/ops/uring/device_ring.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <utility>

#include "ashlar/runtime/ops/uring/ring.h"
#include "ashlar/runtime/ops/uring/transfers.h"
#include "ashlar/runtime/ops/uring/uring_backend.h"
#include "ashlar/runtime/shard/shard.h"

namespace ashlar {

namespace {

constexpr std::uint16_t fixed_files_max = 64;  // a ring serves a few devices

/// When the loop's turn began: one reading of the clock serves all that a turn submits.
std::uint64_t turn_ns() noexcept {
  return static_cast<std::uint64_t>(Shard::current().turn_time().time_since_epoch().count());
}

/// Pairs that every kernel refuses, with a bare EINVAL.
Result<> check(const RingOptions& options) {
  if (options.queue_depth == 0) return fail(Errc::invalid, "io_uring ring: queue depth 0");
  if (options.sqpoll && options.task_run == TaskRun::cooperative)
    return fail(Errc::invalid, "io_uring ring: SQPOLL excludes COOP_TASKRUN");
  if (options.sqpoll && options.task_run == TaskRun::deferred)
    return fail(Errc::invalid, "io_uring ring: SQPOLL excludes DEFER_TASKRUN");
  if (!options.sqpoll && options.sqpoll_cpu >= 0)
    return fail(Errc::invalid, "io_uring ring: SQ_AFF needs SQPOLL");
  if (options.task_run == TaskRun::deferred && !options.single_issuer)
    return fail(Errc::invalid, "io_uring ring: DEFER_TASKRUN needs SINGLE_ISSUER");
  return {};
}

}  // namespace

Result<std::unique_ptr<DeviceRing>> DeviceRing::open(UringBackend& owner, const RingOptions& options) {
  TRY(check(options));
  std::unique_ptr<DeviceRing> ring(new DeviceRing(owner, options));
  TRY(ring->open_ring());
  owner.add(*ring);
  return ring;
}

DeviceRing::~DeviceRing() {
  assert(stats_.in_flight == 0 && "an operation outlived its ring");
  if (!ring_open_) return;
  owner_.remove(*this);
  io_uring_queue_exit(&ring_);
}

void DeviceRing::note(std::string line) {
  if (std::ranges::find(notes_, line) == notes_.end()) notes_.push_back(std::move(line));
}

unsigned DeviceRing::wanted_flags() const noexcept {
  unsigned flags = IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CLAMP;
  if (options_.iopoll) flags |= IORING_SETUP_IOPOLL;
  if (options_.single_issuer) flags |= IORING_SETUP_SINGLE_ISSUER;
  if (options_.sqpoll) {
    flags |= IORING_SETUP_SQPOLL;
    if (options_.sqpoll_cpu >= 0) flags |= IORING_SETUP_SQ_AFF;
    return flags;
  }
  switch (options_.task_run) {
    case TaskRun::automatic:
      flags |= options_.single_issuer ? IORING_SETUP_DEFER_TASKRUN : IORING_SETUP_COOP_TASKRUN;
      break;
    case TaskRun::deferred: flags |= IORING_SETUP_DEFER_TASKRUN; break;
    case TaskRun::cooperative: flags |= IORING_SETUP_COOP_TASKRUN; break;
    case TaskRun::interrupting: return flags;
  }
  return flags | IORING_SETUP_TASKRUN_FLAG;
}

bool DeviceRing::takes_setup(unsigned flags) const noexcept {
  return owner_.setup_refused(flags) == 0 && kernel_takes_setup(flags);
}

// Each flag by itself: what this kernel refuses is left out, and said.
unsigned DeviceRing::known_flags(unsigned flags) {
  if ((flags & IORING_SETUP_DEFER_TASKRUN) != 0 &&
      !takes_setup(IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER)) {
    note("DEFER_TASKRUN needs Linux 6.1: completions run at any system call");
    flags = (flags & ~IORING_SETUP_DEFER_TASKRUN) | IORING_SETUP_COOP_TASKRUN;
  }
  if ((flags & IORING_SETUP_SINGLE_ISSUER) != 0 && !takes_setup(IORING_SETUP_SINGLE_ISSUER)) {
    note("SINGLE_ISSUER needs Linux 6.0: the kernel locks the ring");
    flags &= ~IORING_SETUP_SINGLE_ISSUER;
  }
  if ((flags & IORING_SETUP_COOP_TASKRUN) != 0 && !takes_setup(IORING_SETUP_COOP_TASKRUN)) {
    note("COOP_TASKRUN needs Linux 5.19: completions interrupt the shard");
    flags &= ~(IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG);
  }
  if (!takes_setup(IORING_SETUP_SUBMIT_ALL)) flags &= ~IORING_SETUP_SUBMIT_ALL;
  return flags;
}

// What to leave out next of flags that were refused; 0 where nothing is left to give up.
unsigned DeviceRing::step_down(unsigned flags, int error) {
  if (error == EINVAL) {
    if (const unsigned known = known_flags(flags); known != flags) return known;
    if ((flags & IORING_SETUP_SQ_AFF) != 0) {
      note("SQ_AFF: CPU " + std::to_string(options_.sqpoll_cpu) + " is refused: the poller runs anywhere");
      return flags & ~IORING_SETUP_SQ_AFF;
    }
  }
  if (!options_.sqpoll || (error != EPERM && error != EACCES && error != EAGAIN && error != EINVAL)) return 0;
  note("SQPOLL is refused (" + error_from_errno(error, "io_uring_setup").to_string() +
       "): the shard submits by system calls");
  options_.sqpoll = false;
  return known_flags(wanted_flags());
}

Result<> DeviceRing::open_ring() {
  for (flags_ = wanted_flags();;) {
    io_uring_params params{};
    params.flags = flags_;
    params.sq_thread_idle = options_.sqpoll_idle_ms;
    params.sq_thread_cpu = static_cast<unsigned>(std::max(options_.sqpoll_cpu, 0));
    int error = owner_.setup_refused(flags_);
    if (error == 0) error = -io_uring_queue_init_params(options_.queue_depth, &ring_, &params);
    if (error == 0) break;
    flags_ = step_down(flags_, error);
    if (flags_ == 0) return fail_errno(error, "io_uring_setup");
  }
  ring_open_ = true;
  options_.queue_depth = ring_.sq.ring_entries;
  set_up_extras();
  return tell(TRY(owner_.ring_event()));
}

Result<> DeviceRing::tell(int event) {
  if (options_.iopoll) return {};  // whoever polls for completions does not sleep
  (void)io_uring_unregister_eventfd(&ring_);
  if (const int error = -io_uring_register_eventfd(&ring_, event); error != 0)
    return fail_errno(error, "io_uring ring: eventfd");
  return {};
}

void DeviceRing::set_up_extras() {
  const bool linux_5_19 = owner_.kernel_age() <= KernelAge::linux_5_19;
  if (options_.registered_ring) {
    options_.registered_ring = linux_5_19 && io_uring_register_ring_fd(&ring_) == 1;
    if (!options_.registered_ring)
      note("a registered ring needs Linux 5.18: one look-up of its descriptor per system call");
  }
  if (options_.fixed_files) {
    options_.fixed_files = linux_5_19 && io_uring_register_files_sparse(&ring_, fixed_files_max) == 0;
    if (options_.fixed_files) {
      for (std::uint16_t slot = fixed_files_max; slot-- > 0;) free_slots_.push_back(slot);
    } else {
      note("sparse fixed files need Linux 5.19: one look-up of the file per operation");
    }
  }
  if (options_.workers_max != 0) {
    unsigned limits[2] = {options_.workers_max, options_.workers_max};
    if (!linux_5_19 || io_uring_register_iowq_max_workers(&ring_, limits) != 0) {
      note("IOWQ_MAX_WORKERS needs Linux 5.15: as many workers as the kernel likes");
      options_.workers_max = 0;
    }
  }
  if (options_.workers_cpu >= 0) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(static_cast<unsigned>(options_.workers_cpu), &cpus);
    // A CPU that does not exist the kernel takes without a word.
    const bool exists = linux_5_19 && options_.workers_cpu < ::sysconf(_SC_NPROCESSORS_CONF);
    const int error = exists ? -io_uring_register_iowq_aff(&ring_, sizeof cpus, &cpus) : EINVAL;
    if (error != 0)
      note("IOWQ_AFF is refused (" + error_from_errno(error, "CPU").to_string() + "): workers run anywhere");
  }
}

std::string DeviceRing::setup() const {
  static constexpr std::pair<unsigned, const char*> names[] = {
      {IORING_SETUP_SQPOLL, "SQPOLL"},
      {IORING_SETUP_SQ_AFF, "SQ_AFF"},
      {IORING_SETUP_IOPOLL, "IOPOLL"},
      {IORING_SETUP_SINGLE_ISSUER, "SINGLE_ISSUER"},
      {IORING_SETUP_DEFER_TASKRUN, "DEFER_TASKRUN"},
      {IORING_SETUP_COOP_TASKRUN, "COOP_TASKRUN"},
  };
  std::string text;
  for (const auto& [flag, name] : names) {
    if ((flags_ & flag) != 0) text += std::string(name) + ", ";
  }
  text += std::to_string(options_.queue_depth) + " entries";
  if (options_.registered_ring) text += ", registered ring";
  if (options_.fixed_files) text += ", fixed files";
  if (options_.workers_max != 0) text += ", " + std::to_string(options_.workers_max) + " workers at most";
  if (regions_.bytes() != 0) text += ", " + std::to_string(regions_.bytes() >> 20) + " MiB of fixed buffers";
  return text;
}

void DeviceRing::attach(Handle file) {
  if (file.value < 0) return;
  const auto descriptor = static_cast<std::size_t>(file.value);
  if (descriptor >= attached_.size()) attached_.resize(descriptor + 1);
  if (options_.iopoll) attach_polled(file);
  Attached& known = attached_[descriptor];
  if (!options_.fixed_files || known.slot != no_slot) return;
  if (free_slots_.empty()) {
    note("fixed files: all " + std::to_string(fixed_files_max) + " slots are taken: others are looked up");
    return;
  }
  const std::uint16_t slot = free_slots_.back();
  if (io_uring_register_files_update(&ring_, slot, &file.value, 1) != 1) return;
  free_slots_.pop_back();
  known.slot = slot;
}

// A trial read would not tell: without poll queues some kernels complete it by interrupt.
void DeviceRing::attach_polled(Handle file) {
  const auto traits = owner_.describe(file);
  const bool polls = traits && traits->io_poll.value_or(false);
  const bool direct = (::fcntl(file.value, F_GETFL) & O_DIRECT) != 0;
  if (!polls) {
    note("IOPOLL: " + (traits && !traits->disk.empty() ? traits->disk : std::string("the file's device")) +
         " does not poll (queue/io_poll is 0; NVMe: nvme.poll_queues=N): the main ring takes its I/O");
  } else if (!direct) {
    note("IOPOLL: only files opened with O_DIRECT poll: the main ring takes the others");
  }
  Attached& known = attached_[static_cast<std::size_t>(file.value)];
  known.polls = polls && direct;
  known.polls_durable =
      known.polls && (traits->fua.value_or(false) || !traits->volatile_cache.value_or(true));
}

// A slot that outlived the descriptor would keep the file open and, once the number is reused, name the wrong
// file.
void DeviceRing::forget(Handle file) noexcept {
  const std::uint16_t slot = attached(file).slot;
  if (slot != no_slot) {
    const int none = -1;
    io_uring_register_files_update(&ring_, slot, &none, 1);
    free_slots_.push_back(slot);
  }
  const auto descriptor = static_cast<std::size_t>(file.value);
  if (descriptor < attached_.size()) attached_[descriptor] = {};
}

const DeviceRing::Attached& DeviceRing::attached(Handle file) const noexcept {
  static constexpr Attached nothing{};
  const auto descriptor = static_cast<std::size_t>(file.value);
  return descriptor < attached_.size() ? attached_[descriptor] : nothing;
}

Result<> DeviceRing::register_region(std::uint32_t id, MutableBytes memory) {
  const Result<> added = regions_.add(ring_, id, memory, options_.regions_max);
  if (!added) {
    note(added.error().code == Errc::too_large
             ? "fixed buffers: regions from " + std::to_string(options_.regions_max) +
                   " on are not registered"
             : "fixed buffers end at " + std::to_string(regions_.bytes() >> 20) + " MiB (" +
                   added.error().to_string() + "): the others are pinned per operation");
  }
  return added;
}

bool DeviceRing::takes(const Operation& operation) const noexcept {
  if (operation.code != OpCode::read && operation.code != OpCode::write) return false;
  if (operation.code == OpCode::write && operation.then != nullptr) return false;  // the main ring's
  if (!options_.iopoll) return true;
  if (options_.log_writes_only && operation.code == OpCode::write && operation.role != IoRole::log)
    return false;
  const Attached& file = attached(operation.handle);
  return operation.durable ? file.polls_durable : file.polls;
}

void DeviceRing::submit(Operation& operation) noexcept {
  if (!takes(operation)) {
    owner_.submit(operation);
    return;
  }
  assert(operation.state == Operation::State::idle);
  operation.state = Operation::State::in_flight;
  operation.transferred = 0;
  operation.cancel_requested = false;
  operation.more = false;
  operation.backend_data = turn_ns();
  stats_.began();
  waiting_.push(operation);
  start_waiting();
}

// Null where the operation must wait: for another to complete, or for the poller to take what is there.
io_uring_sqe* DeviceRing::entry() noexcept {
  if (in_kernel_ >= options_.queue_depth) return nullptr;
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  if (sqe == nullptr) [[unlikely]] {
    hand_over();
    sqe = io_uring_get_sqe(&ring_);
  }
  return sqe;
}

void DeviceRing::start_waiting() noexcept {
  while (!waiting_.empty()) {
    io_uring_sqe* sqe = entry();
    if (sqe == nullptr) return;
    Operation& operation = *waiting_.pop();
    prepare_transfer(operation, *sqe);
    regions_.use(operation, *sqe);
    if (const std::uint16_t slot = attached(operation.handle).slot; slot != no_slot) {
      sqe->fd = slot;
      sqe->flags |= IOSQE_FIXED_FILE;
    }
    if (options_.always_async) sqe->flags |= IOSQE_ASYNC;
    io_uring_sqe_set_data(sqe, &operation);
    ++in_kernel_;
    if (gather_.reached(in_kernel_)) hand_over();
  }
}

void DeviceRing::hand_over() noexcept {
  if (io_uring_sq_ready(&ring_) == 0) return;
  // With SQPOLL a system call only where the poller sleeps.
  if (!options_.sqpoll || (*ring_.sq.kflags & IORING_SQ_NEED_WAKEUP) != 0) ++stats_.enters;
  io_uring_submit(&ring_);
  gather_.entered();
}

bool DeviceRing::pending() const noexcept {
  return stats_.in_flight != 0 && (options_.iopoll || io_uring_cq_ready(&ring_) != 0 || kernel_asks(ring_) ||
                                   (!waiting_.empty() && in_kernel_ < options_.queue_depth));
}

unsigned DeviceRing::poll() noexcept {
  if (stats_.in_flight == 0) return 0;
  start_waiting();
  if (options_.sqpoll) {
    hand_over();
    if (kernel_asks(ring_)) [[unlikely]] {
      ++stats_.enters;
      io_uring_get_events(&ring_);
    }
  } else if (options_.iopoll || io_uring_sq_ready(&ring_) != 0 || kernel_asks(ring_)) {
    ++stats_.enters;
    io_uring_submit_and_get_events(&ring_);
    gather_.entered();
  }
  return reap();
}

unsigned DeviceRing::reap() noexcept {
  unsigned seen = 0;
  unsigned finished = 0;
  unsigned head;
  io_uring_cqe* cqe;
  if (io_uring_cq_ready(&ring_) != 0) seen_at_ = owner_.now();
  io_uring_for_each_cqe(&ring_, head, cqe) {
    ++seen;
    --in_kernel_;
    if (completed(*static_cast<Operation*>(io_uring_cqe_get_data(cqe)), cqe->res)) ++finished;
  }
  io_uring_cq_advance(&ring_, seen);
  gather_.came_back(seen);
  return finished;
}

bool DeviceRing::completed(Operation& operation, std::int32_t result) noexcept {
  const bool cannot_poll = options_.iopoll && result == -EOPNOTSUPP && operation.transferred == 0;
  if (!cannot_poll && !transfer_done(operation, result)) {
    waiting_.push(operation);
    return false;
  }
  stats_.ended(operation.backend_data, seen_at_);
  operation.state = Operation::State::idle;
  if (cannot_poll) [[unlikely]] {  // sysfs said it could
    Attached& file = attached_[static_cast<std::size_t>(operation.handle.value)];
    file.polls = file.polls_durable = false;
    owner_.submit(operation);
    return false;
  }
  if (options_.iopoll) ++stats_.polled;
  operation.complete(operation);
  return true;
}

}  // namespace ashlar
