#include "ashlar/runtime/ops/uring/fixed_buffers.h"

#include <algorithm>
#include <cerrno>

#include "ashlar/runtime/memory/locked_memory.h"
#include "ashlar/runtime/ops/uring/ring.h"

namespace ashlar {

namespace {

constexpr std::uint8_t op_readv_fixed = 60, op_writev_fixed = 61;  // liburing 2.3 does not name them

bool inside(const MutableBytes& region, std::uintptr_t address, std::uint64_t bytes) noexcept {
  const auto begin = reinterpret_cast<std::uintptr_t>(region.data());
  return address >= begin && bytes <= region.size() && address - begin <= region.size() - bytes;
}

}  // namespace

FixedBuffers::~FixedBuffers() {
  LockedMemory::process().give(bytes_);
}

Result<> FixedBuffers::add(io_uring& ring, std::uint32_t id, MutableBytes memory, unsigned slots) {
  TRY(Result<>(refused_));
  slots = std::min(slots, slots_max);
  if (id >= slots) return fail(Errc::too_large, "fixed buffers: region beyond the table", {.object = id});
  if (known_.empty()) {
    if (const int error = -io_uring_register_buffers_sparse(&ring, slots); error != 0) {
      refused_ = error == EINVAL ? fail(Errc::unsupported, "fixed buffers need Linux 5.19")
                                 : fail_errno(error, "fixed buffers: table");
      return refused_;
    }
    known_.resize(slots);
    vectored_ = Operations(ring).has(op_readv_fixed);
  }
  if (!known_[id].empty()) return {};
  if (const Result<> granted = LockedMemory::process().take(memory.size()); !granted) {
    refused_ = granted;
    return refused_;
  }
  const iovec pages{memory.data(), memory.size()};
  const __u64 tag = 0;
  if (const int added = io_uring_register_buffers_update_tag(&ring, id, &pages, &tag, 1); added != 1) {
    LockedMemory::process().give(memory.size());
    refused_ = fail_errno(added < 0 ? -added : ENOMEM, "fixed buffers: locked memory (ulimit -l)",
                          {.object = id, .offset = bytes_});
    return refused_;
  }
  known_[id] = memory;
  bytes_ += memory.size();
  return {};
}

bool FixedBuffers::holds(std::uint32_t region, Bytes memory) const noexcept {
  return region < known_.size() &&
         inside(known_[region], reinterpret_cast<std::uintptr_t>(memory.data()), memory.size());
}

void FixedBuffers::make_fixed(const Operation& operation, io_uring_sqe& sqe) const noexcept {
  const MutableBytes& region = known_[operation.region];
  if (sqe.opcode == IORING_OP_READ || sqe.opcode == IORING_OP_WRITE) {
    if (!inside(region, sqe.addr, sqe.len)) return;
    sqe.opcode = sqe.opcode == IORING_OP_READ ? IORING_OP_READ_FIXED : IORING_OP_WRITE_FIXED;
  } else {
    if (!vectored_) return;
    for (std::uint32_t i = 0; i < sqe.len; ++i) {
      const iovec& part = operation.vectors[i];
      if (!inside(region, reinterpret_cast<std::uintptr_t>(part.iov_base), part.iov_len)) return;
    }
    sqe.opcode = sqe.opcode == IORING_OP_READV ? op_readv_fixed : op_writev_fixed;
  }
  sqe.buf_index = static_cast<__u16>(operation.region);
}

}  // namespace ashlar
