#include "ashlar/runtime/ops/uring/receive_buffers.h"

#include <sys/mman.h>

#include <cassert>
#include <cerrno>

namespace ashlar {

namespace {

std::byte* map_anonymous(std::size_t bytes) noexcept {
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<std::byte*>(memory);
}

}  // namespace

Result<> ReceiveBuffers::open(io_uring& ring, unsigned count, unsigned bytes, bool provide) {
  assert(count != 0 && (count & (count - 1)) == 0 && count <= 32768);
  ring_ = &ring;
  bytes_ = bytes;
  memory_ = map_anonymous(std::size_t{count} * bytes);
  if (memory_ == nullptr) return fail_errno(errno, "map receive buffers");
  buffers_.resize(count);
  for (unsigned i = 0; i < count; ++i) {
    buffers_[i] = {memory_ + std::size_t{i} * bytes, 0, static_cast<std::uint16_t>(i), nullptr};
  }

  kernel_ring_bytes_ = count * sizeof(io_uring_buf);
  std::byte* ring_memory = map_anonymous(kernel_ring_bytes_);
  if (ring_memory == nullptr) return fail_errno(errno, "map buffer ring");
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uintptr_t>(ring_memory);
  registration.ring_entries = count;
  registration.bgid = group;
  if (provide && io_uring_register_buf_ring(&ring, &registration, 0) == 0) {
    kernel_ring_ = reinterpret_cast<io_uring_buf_ring*>(ring_memory);
    io_uring_buf_ring_init(kernel_ring_);
  } else {
    ::munmap(ring_memory, kernel_ring_bytes_);
  }
  lent_ = count;
  for (ReceiveBuffer& buffer : buffers_) give_back(buffer);
  return {};
}

ReceiveBuffers::~ReceiveBuffers() {
  assert(lent_ == 0 && "a receive buffer was not recycled");
  if (kernel_ring_ != nullptr) {
    io_uring_unregister_buf_ring(ring_, group);
    ::munmap(kernel_ring_, kernel_ring_bytes_);
  }
  if (memory_ != nullptr) ::munmap(memory_, buffers_.size() * bytes_);
}

ReceiveBuffer& ReceiveBuffers::filled(std::uint16_t id, std::uint32_t size) noexcept {
  ReceiveBuffer& buffer = buffers_[id];
  buffer.size = size;
  buffer.next = nullptr;
  ++lent_;
  return buffer;
}

ReceiveBuffer* ReceiveBuffers::take() noexcept {
  ReceiveBuffer* buffer = free_;
  if (buffer == nullptr) return nullptr;
  free_ = buffer->next;
  buffer->next = nullptr;
  ++lent_;
  return buffer;
}

void ReceiveBuffers::give_back(ReceiveBuffer& buffer) noexcept {
  --lent_;
  if (kernel_ring_ == nullptr) {
    buffer.next = free_;
    free_ = &buffer;
    return;
  }
  const auto mask = io_uring_buf_ring_mask(static_cast<std::uint32_t>(buffers_.size()));
  io_uring_buf_ring_add(kernel_ring_, buffer.data, bytes_, buffer.id, mask, 0);
  io_uring_buf_ring_advance(kernel_ring_, 1);
}

}  // namespace ashlar
