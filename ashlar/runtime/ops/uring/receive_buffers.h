#pragma once

/// The provided-buffer ring of one io_uring: memory that multishot receives fill, handed back by recycle().

#include <liburing.h>

#include <cstdint>
#include <vector>

#include "ashlar/base/result.h"
#include "ashlar/runtime/ops/operation.h"

namespace ashlar {

/// Owner: one UringBackend; destroyed before its ring. On kernels before 5.19 there is no such ring: the
/// backend then takes a buffer for each receive it submits.
class ReceiveBuffers {
 public:
  static constexpr std::uint16_t group = 0;

  ReceiveBuffers() = default;
  ~ReceiveBuffers();
  ReceiveBuffers(const ReceiveBuffers&) = delete;
  ReceiveBuffers& operator=(const ReceiveBuffers&) = delete;

  /// Maps `count` (a power of two, at most 32768) buffers of `bytes` each; pages are touched as they are
  /// first used. Without `provide` the kernel is not asked for a ring of them.
  Result<> open(io_uring& ring, unsigned count, unsigned bytes, bool provide);

  bool provided() const noexcept { return kernel_ring_ != nullptr; }
  unsigned buffer_bytes() const noexcept { return bytes_; }
  std::uint64_t bytes_total() const noexcept { return std::uint64_t{bytes_} * buffers_.size(); }
  /// Buffers that are with consumers.
  unsigned lent() const noexcept { return lent_; }
  /// Buffers that a receive would find, as far as we know: the kernel may have filled some already.
  unsigned available() const noexcept { return static_cast<unsigned>(buffers_.size()) - lent_; }

  /// The buffer that the kernel filled.
  ReceiveBuffer& filled(std::uint16_t id, std::uint32_t size) noexcept;
  /// Without a kernel ring: a free buffer, or null.
  ReceiveBuffer* take() noexcept;
  void give_back(ReceiveBuffer& buffer) noexcept;

 private:
  io_uring* ring_ = nullptr;
  io_uring_buf_ring* kernel_ring_ = nullptr;
  std::size_t kernel_ring_bytes_ = 0;
  std::byte* memory_ = nullptr;
  std::vector<ReceiveBuffer> buffers_;
  ReceiveBuffer* free_ = nullptr;
  unsigned bytes_ = 0;
  unsigned lent_ = 0;
};

}  // namespace ashlar
