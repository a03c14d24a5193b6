#pragma once

/// Memory that direct I/O may use: aligned to blob::block_bytes.

#include <cstdint>
#include <cstdlib>
#include <utility>

#include "ashlar/base/bytes.h"
#include "ashlar/runtime/shard/shard.h"

namespace ashlar::blob {

/// The unit of writes and reads in tables and segments: offsets, sizes and memory are multiples of it.
constexpr std::uint64_t block_bytes = 4096;

constexpr std::uint64_t align_down(std::uint64_t bytes) noexcept {
  return bytes & ~(block_bytes - 1);
}
constexpr std::uint64_t align_up(std::uint64_t bytes) noexcept {
  return align_down(bytes + block_bytes - 1);
}
constexpr bool aligned(std::uint64_t bytes) noexcept {
  return bytes % block_bytes == 0;
}

/// Owns its memory, charged to the shard that it was made on; move-only. Contents are not initialised.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  /// Rounds up to whole blocks. Empty where memory is exhausted.
  explicit AlignedBuffer(std::size_t bytes, Purpose purpose = Purpose::io_buffers) noexcept
      : data_(static_cast<std::byte*>(std::aligned_alloc(block_bytes, align_up(bytes)))),
        size_(data_ == nullptr ? 0 : align_up(bytes)),
        purpose_(purpose) {
    if (Shard* shard = Shard::current_or_null(); shard != nullptr && size_ != 0) {
      budget_ = &shard->memory();
      budget_->take_regardless(purpose_, size_);
    }
  }
  AlignedBuffer(AlignedBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        budget_(std::exchange(other.budget_, nullptr)),
        purpose_(other.purpose_) {}
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(budget_, other.budget_);
    std::swap(purpose_, other.purpose_);
    return *this;
  }
  ~AlignedBuffer() {
    std::free(data_);
    if (budget_ != nullptr) budget_->give(purpose_, size_);
  }

  explicit operator bool() const noexcept { return data_ != nullptr; }
  std::byte* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  MutableBytes span() const noexcept { return {data_, size_}; }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  MemoryBudget* budget_ = nullptr;
  Purpose purpose_ = Purpose::io_buffers;
};

}  // namespace ashlar::blob
