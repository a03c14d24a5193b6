#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>

#include "ashlar/runtime/ops/file_operations.h"
#include "ashlar/runtime/ops/uring/transfers.h"
#include "ashlar/runtime/ops/uring/uring_backend.h"
#include "ashlar/runtime/shard/shard.h"

namespace ashlar {

namespace {

constexpr std::uint8_t op_ftruncate = 55;  // IORING_OP_FTRUNCATE, Linux 6.9; liburing 2.3 does not name it

// IORING_OP_URING_CMD with BLOCK_URING_CMD_DISCARD, Linux 6.12.
constexpr std::uint32_t command_discard = _IO(0x12, 0);

// Of each shard, for the few operations that no ring takes.
constexpr unsigned worker_threads_max = 2;

}  // namespace

Result<std::unique_ptr<UringBackend>> UringBackend::create(const UringOptions& options) {
  std::unique_ptr<UringBackend> backend(new UringBackend);
  TRY(backend->open(options));
  return backend;
}

Result<> UringBackend::open(const UringOptions& options) {
  profile_ = TRY(set_up_ring(ring_, options.submission_entries, options.completion_entries,
                             profile_of(options.pretend)));
  ring_open_ = true;
  receive_buffers_ = std::make_unique<ReceiveBuffers>();
  pretend_ = options.pretend;
  sqpoll_error_ = options.sqpoll_error;
  cancels_refused_ = options.cancels_refused;
  gather_ = GatherBound(options.gather);
  TRY(receive_buffers_->open(ring_, options.receive_buffer_count, options.receive_buffer_bytes,
                             pretend_ != KernelAge::linux_5_11));
  multishot_accept_ = multishot_receive_ = receive_buffers_->provided();
  zero_copy_ = pretend_ <= KernelAge::linux_6_0 && Operations(ring_).has(IORING_OP_SEND_ZC);
  links_ = (ring_.features & IORING_FEAT_CQE_SKIP) != 0 && pretend_ != KernelAge::linux_5_11;

  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const auto slots = static_cast<unsigned>(std::min<rlim_t>(options.registered_files_max, limit.rlim_cur));
  if (slots != 0 && io_uring_register_files_sparse(&ring_, slots) == 0) registered_.resize(slots);
  watch_wake();
  return {};
}

UringBackend::~UringBackend() {
  assert(in_flight_ == 0 && "an operation outlived its shard");
  assert(rings_.empty() && "a ring outlived its shard");
  receive_buffers_.reset();
  for (const auto& pipe : pipes_) {
    ::close(pipe->read_end);
    ::close(pipe->write_end);
  }
  if (ring_open_) io_uring_queue_exit(&ring_);
  if (ring_event_ >= 0) ::close(ring_event_);
}

void UringBackend::submit(Operation& operation) noexcept {
  assert(operation.state == Operation::State::idle);
  operation.state = Operation::State::in_flight;
  operation.transferred = 0;
  operation.backend_data = 0;
  operation.cancel_requested = false;
  operation.zero_copy = operation.zero_copy && zero_copy_ && operation.vectors == nullptr;
  operation.chained = false;
  ++in_flight_;
  const bool transfer = operation.code == OpCode::read || operation.code == OpCode::write;
  if (transfer) {
    const Shard* const shard = Shard::current_or_null();
    const Instant turn = shard != nullptr ? shard->turn_time() : now();
    operation.backend_data = static_cast<std::uint64_t>(turn.time_since_epoch().count());
    stats_.began();
  }
  if (operation.code == OpCode::write && operation.then != nullptr) [[unlikely]] {
    begin_chain(operation);
    for (Operation* step = &operation; step != nullptr; step = step->then) {
      step->chained = true;
      step->backend_data = reinterpret_cast<std::uintptr_t>(&operation);
    }
    if (links_ && backlog_.empty() && start_linked(operation)) return;
  }
  start(operation);
  if (transfer && gather_.reached(stats_.in_flight)) enter();
}

void UringBackend::enter() noexcept {
  ++stats_.enters;
  io_uring_submit(&ring_);
  gather_.entered();
}

// All of a chain in one submission, since a link ends with it. One completion says it all: that of the last
// write, or of the first that failed or was short, after which the kernel cancels the others in silence.
// False where the queue has no room for it; the steps then follow each other by the loop.
bool UringBackend::start_linked(Operation& first) noexcept {
  unsigned steps = 0;
  for (const Operation* step = &first; step != nullptr; step = step->then) ++steps;
  if (io_uring_sq_space_left(&ring_) < steps) enter();
  if (io_uring_sq_space_left(&ring_) < steps) return false;
  for (Operation* step = &first; step != nullptr; step = step->then) {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    prepare(*step, *sqe);
    if (step->then != nullptr) sqe->flags |= IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
  }
  return true;
}

void UringBackend::start(Operation& operation) noexcept {
  const bool may_be_for_workers = operation.code >= OpCode::discard && operation.code <= OpCode::unmap;
  if (may_be_for_workers && for_workers(operation)) [[unlikely]] {
    hand_to_workers(operation);
    return;
  }
  if (operation.code == OpCode::send_file && operation.backend_data == 0 && !take_pipe(operation)) return;
  io_uring_sqe* sqe = backlog_.empty() ? entry() : nullptr;
  if (sqe == nullptr) {
    backlog_.push(operation);
  } else {
    prepare(operation, *sqe);
  }
}

// A free submission entry; where the queue is full, the kernel takes what is in it first.
io_uring_sqe* UringBackend::entry() noexcept {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  if (sqe == nullptr) [[unlikely]] {
    enter();
    sqe = io_uring_get_sqe(&ring_);
  }
  return sqe;
}

void UringBackend::watch_wake() noexcept {
  io_uring_sqe* sqe = entry();
  wake_watched_ = sqe != nullptr;
  if (!wake_watched_) return;  // poll() tries again
  io_uring_prep_read(sqe, wake_fd(), &wake_value_, sizeof wake_value_, 0);
  io_uring_sqe_set_data(sqe, this);
}

// Only before sleeping: awake, the shard looks at the rings themselves.
void UringBackend::watch_rings() noexcept {
  bool busy = false;
  for (DeviceRing* ring : rings_) {
    ring->hand_over();
    busy |= ring->in_flight() != 0;
  }
  if (!busy || rings_watched_ || by_event_) return;
  io_uring_sqe* sqe = entry();
  rings_watched_ = sqe != nullptr;
  if (!rings_watched_) return;
  io_uring_prep_read(sqe, ring_event_, &ring_event_value_, sizeof ring_event_value_, 0);
  io_uring_sqe_set_data(sqe, &ring_event_value_);
}

bool UringBackend::rings_polling() const noexcept {
  return std::ranges::any_of(rings_, [](const DeviceRing* ring) { return ring->polling(); });
}

unsigned UringBackend::in_flight() const noexcept {
  unsigned total = in_flight_;
  for (const DeviceRing* ring : rings_) total += ring->in_flight();
  return total;
}

void UringBackend::prepare(Operation& operation, io_uring_sqe& sqe) noexcept {
  if (!prepare_file(operation, sqe)) prepare_socket(operation, sqe);
  io_uring_sqe_set_data(&sqe, &operation);
}

void UringBackend::use_registered(const Operation& operation, io_uring_sqe& sqe) const noexcept {
  const auto descriptor = static_cast<std::size_t>(operation.handle.value);
  if (descriptor < registered_.size() && registered_[descriptor]) sqe.flags |= IOSQE_FIXED_FILE;
}

bool UringBackend::prepare_file(Operation& operation, io_uring_sqe& sqe) noexcept {
  const int fd = operation.handle.value;
  const auto at = static_cast<off_t>(operation.offset);
  const auto length = static_cast<off_t>(operation.length);
  switch (operation.code) {
    case OpCode::nop: io_uring_prep_nop(&sqe); return true;
    case OpCode::open:
      io_uring_prep_openat(&sqe, AT_FDCWD, operation.path, operation.open_flags | O_CLOEXEC, operation.mode);
      return true;
    case OpCode::close:
      unregister_file(fd);
      for (DeviceRing* ring : rings_) ring->forget(operation.handle);
      io_uring_prep_close(&sqe, fd);
      return true;
    case OpCode::read:
    case OpCode::write:
      prepare_transfer(operation, sqe);
      regions_.use(operation, sqe);
      break;
    case OpCode::allocate: io_uring_prep_fallocate(&sqe, fd, 0, at, length); break;
    case OpCode::write_zeroes: io_uring_prep_fallocate(&sqe, fd, zero_range_mode, at, length); break;
    case OpCode::discard:
      if (operation.backend_data == discard_by_command) {
        io_uring_prep_rw(IORING_OP_URING_CMD, &sqe, fd, nullptr, 0, 0);
        sqe.cmd_op = command_discard;
        sqe.addr = operation.offset;
        sqe.addr3 = operation.length;
      } else {
        io_uring_prep_fallocate(&sqe, fd, punch_hole_mode, at, length);
      }
      break;
    case OpCode::advise:  // the length has 32 bits here; it is a hint
      io_uring_prep_fadvise(&sqe, fd, operation.offset,
                            static_cast<off_t>(std::min<std::uint64_t>(operation.length, ~std::uint32_t{0})),
                            static_cast<int>(operation.mode));
      break;
    case OpCode::sync: io_uring_prep_fsync(&sqe, fd, 0); break;
    case OpCode::data_sync: io_uring_prep_fsync(&sqe, fd, IORING_FSYNC_DATASYNC); break;
    case OpCode::resize: io_uring_prep_rw(op_ftruncate, &sqe, fd, nullptr, 0, operation.length); break;
    case OpCode::rename:
      io_uring_prep_renameat(&sqe, AT_FDCWD, operation.path, AT_FDCWD, operation.path2, 0);
      return true;
    case OpCode::link:
      io_uring_prep_linkat(&sqe, AT_FDCWD, operation.path, AT_FDCWD, operation.path2, 0);
      return true;
    case OpCode::unlink: io_uring_prep_unlinkat(&sqe, AT_FDCWD, operation.path, 0); return true;
    case OpCode::sync_directory: enter_directory_step(operation, sqe); return true;
    default: return false;
  }
  use_registered(operation, sqe);
  return true;
}

// Memory operations have no place on a ring, nor have discards of block devices before Linux 6.12.
bool UringBackend::for_workers(Operation& operation) noexcept {
  switch (operation.code) {
    case OpCode::populate:
    case OpCode::sync_memory:
    case OpCode::unmap: return true;
    case OpCode::discard:
      if (operation.backend_data == 0 && is_block_device(operation.handle.value))
        operation.backend_data = discard_commands_ ? discard_by_command : discard_by_worker;
      return operation.backend_data == discard_by_worker;
    default: return false;
  }
}

void UringBackend::hand_to_workers(Operation& operation) noexcept {
  if (workers_ == nullptr) workers_ = std::make_unique<FileWorkers>(*this, worker_threads_max);
  workers_->submit(operation);
}

// Three steps, each checked: open the directory, fsync it, close it. The descriptor + 1 is in backend_data.
void UringBackend::enter_directory_step(Operation& operation, io_uring_sqe& sqe) noexcept {
  const int fd = static_cast<int>(operation.backend_data) - 1;
  if (operation.transferred == 0) {
    io_uring_prep_openat(&sqe, AT_FDCWD, operation.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  } else if (operation.transferred == 1) {
    io_uring_prep_fsync(&sqe, fd, 0);
  } else {
    io_uring_prep_close(&sqe, fd);
  }
}

void UringBackend::prepare_socket(Operation& operation, io_uring_sqe& sqe) noexcept {
  const int fd = operation.handle.value;
  switch (operation.code) {
    case OpCode::accept:
      operation.backend_data = multishot_accept_ ? accept_multishot : 0;
      if (multishot_accept_) {
        io_uring_prep_multishot_accept(&sqe, fd, nullptr, nullptr, SOCK_CLOEXEC);
      } else {
        io_uring_prep_accept(&sqe, fd, nullptr, nullptr, SOCK_CLOEXEC);
      }
      break;
    case OpCode::connect:
      io_uring_prep_connect(&sqe, fd, reinterpret_cast<const sockaddr*>(operation.path2),
                            operation.address_bytes);
      break;
    case OpCode::receive:
      if (operation.vectors == nullptr) {
        io_uring_prep_recv(&sqe, fd, operation.data + operation.transferred, transfer_size(operation),
                           operation.receive_all ? MSG_WAITALL : 0);
      } else {
        io_uring_prep_readv(&sqe, fd, operation.vectors, transfer_vectors(operation), 0);
      }
      break;
    case OpCode::receive_multishot: prepare_receive_multishot(operation, sqe); break;
    case OpCode::send: prepare_send(operation, sqe); break;
    case OpCode::send_to:
    case OpCode::receive_from: prepare_message(operation, sqe); break;
    case OpCode::send_file: prepare_splice(operation, sqe); return;
    case OpCode::shutdown: io_uring_prep_shutdown(&sqe, fd, SHUT_RDWR); break;
    default: assert(false && "unknown operation"); io_uring_prep_nop(&sqe);
  }
  use_registered(operation, sqe);
}

void UringBackend::prepare_send(Operation& operation, io_uring_sqe& sqe) noexcept {
  const int fd = operation.handle.value;
  if (operation.vectors != nullptr) {
    prepare_message(operation, sqe);
    return;
  }
  const std::byte* const from = operation.data + operation.transferred;
  const unsigned size = transfer_size(operation);
  if (!operation.zero_copy) {
    io_uring_prep_send(&sqe, fd, from, size, MSG_NOSIGNAL | MSG_WAITALL);
  } else if (regions_.holds(operation.region, {from, size})) {
    io_uring_prep_send_zc_fixed(&sqe, fd, from, size, MSG_NOSIGNAL | MSG_WAITALL, 0, operation.region);
  } else {
    io_uring_prep_send_zc(&sqe, fd, from, size, MSG_NOSIGNAL | MSG_WAITALL, 0);
  }
}

// A receive that waits without a buffer, where the kernel takes one of the ring's when there is data; before
// Linux 5.19 a poll does the waiting, and the buffer is ours.
void UringBackend::prepare_receive_multishot(Operation& operation, io_uring_sqe& sqe) noexcept {
  const int fd = operation.handle.value;
  if (receive_buffers_->provided()) {
    operation.backend_data = multishot_receive_ ? receive_multishot : receive_provided;
    if (multishot_receive_) {
      io_uring_prep_recv_multishot(&sqe, fd, nullptr, 0, 0);
      if (pretend_ == KernelAge::linux_5_19) sqe.ioprio = 0xffff;  // flags that no kernel knows
    } else {
      io_uring_prep_recv(&sqe, fd, nullptr, receive_buffers_->buffer_bytes(), 0);
    }
    sqe.flags |= IOSQE_BUFFER_SELECT;
    sqe.buf_group = ReceiveBuffers::group;
    return;
  }
  if (operation.backend_data != receive_readable) {
    operation.backend_data = receive_poll;
    io_uring_prep_poll_add(&sqe, fd, POLLIN);
    return;
  }
  operation.buffer = receive_buffers_->take();
  if (operation.buffer == nullptr) {  // completes as if the kernel had found no buffer
    io_uring_prep_nop(&sqe);
    return;
  }
  io_uring_prep_recv(&sqe, fd, operation.buffer->data, receive_buffers_->buffer_bytes(), MSG_DONTWAIT);
}

void UringBackend::cancel(Operation& operation) noexcept {
  if (operation.state != Operation::State::in_flight || operation.cancel_requested) return;
  switch (operation.code) {
    case OpCode::accept:
    case OpCode::connect:
    case OpCode::receive:
    case OpCode::receive_multishot:
    case OpCode::send:
    case OpCode::send_file:
    case OpCode::send_to:
    case OpCode::receive_from: break;
    default: return;
  }
  operation.cancel_requested = true;
  if (starved_.remove(operation) || backlog_.remove(operation)) {
    finish_later(operation, -ECANCELED);
    return;
  }
  if (!cancels_.empty() || !submit_cancel(operation)) cancels_.push(operation);  // poll() tries again
}

bool UringBackend::submit_cancel(Operation& operation) noexcept {
  io_uring_sqe* sqe = cancels_refused_ != 0 ? nullptr : entry();
  cancels_refused_ -= cancels_refused_ != 0 ? 1 : 0;
  if (sqe == nullptr) return false;
  io_uring_prep_cancel(sqe, &operation, 0);
  io_uring_sqe_set_data(sqe, nullptr);  // its own completion says nothing: the operation's does
  return true;
}

Result<std::unique_ptr<IoRing>> UringBackend::open_ring(const RingOptions& options) {
  return TRY(DeviceRing::open(*this, options));
}

Result<int> UringBackend::ring_event() {
  if (by_event_) return wake_fd();
  if (ring_event_ >= 0) return ring_event_;
  ring_event_ = eventfd(0, EFD_CLOEXEC);
  if (ring_event_ < 0) return fail_errno(errno, "io_uring ring: eventfd");
  return ring_event_;
}

Result<> UringBackend::register_region(std::uint32_t id, MutableBytes memory) {
  return regions_.add(ring_, id, memory, FixedBuffers::slots_max);
}

void UringBackend::finish_later(Operation& operation, std::int64_t result) noexcept {
  operation.result = result;
  deferred_.push(operation);
}

void UringBackend::register_file(std::int32_t descriptor) noexcept {
  const auto slot = static_cast<std::size_t>(descriptor);
  if (slot >= registered_.size()) return;
  registered_[slot] =
      io_uring_register_files_update(&ring_, static_cast<unsigned>(slot), &descriptor, 1) == 1;
}

// Before the descriptor is closed: a slot that outlived it would keep the file open and, once the number is
// reused, name the wrong file.
void UringBackend::unregister_file(std::int32_t descriptor) noexcept {
  const auto slot = static_cast<std::size_t>(descriptor);
  if (slot >= registered_.size() || !registered_[slot]) return;
  const int none = -1;
  io_uring_register_files_update(&ring_, static_cast<unsigned>(slot), &none, 1);
  registered_[slot] = false;
}

}  // namespace ashlar
