#pragma once

/// Buffers for I/O: page-aligned, in sizes that are powers of two, from regions that devices know.
///
///   IoBuffer buffer = TRY(pool.allocate(64_KiB));
///   CO_TRY(co_await file.read(buffer.bytes(), offset));       // O_DIRECT or not

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "ashlar/base/bytes.h"
#include "ashlar/base/intrusive_list.h"
#include "ashlar/base/result.h"
#include "ashlar/runtime/memory/memory_cap.h"
#include "ashlar/runtime/memory/regions.h"

namespace ashlar {

class BufferPool;

/// A buffer of a pool, which takes it back when it is destroyed. Move-only; owned on the pool's shard.
class [[nodiscard]] IoBuffer {
 public:
  IoBuffer() = default;
  IoBuffer(IoBuffer&& other) noexcept
      : pool_(std::exchange(other.pool_, nullptr)),
        data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        region_(other.region_) {}
  IoBuffer& operator=(IoBuffer&& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(region_, other.region_);
    return *this;
  }
  ~IoBuffer() { reset(); }

  explicit operator bool() const noexcept { return data_ != nullptr; }
  /// As many as were asked for; contents are arbitrary at first.
  MutableBytes bytes() const noexcept { return {data_, size_}; }
  std::byte* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  /// The number of the region it lies in.
  std::uint32_t region() const noexcept { return region_; }
  void reset() noexcept;

 private:
  friend class BufferPool;
  IoBuffer(BufferPool& pool, std::byte* data, std::uint32_t size, std::uint32_t region) noexcept
      : pool_(&pool), data_(data), size_(size), region_(region) {}

  BufferPool* pool_ = nullptr;
  std::byte* data_ = nullptr;
  std::uint32_t size_ = 0;
  std::uint32_t region_ = 0;
};

/// Owner: one shard; no lock. Each region serves one size; a buffer is found and returned in O(1). A region
/// without a buffer in use goes back to the process, but one of each size stays. Charged to the budget by
/// whole regions. Under ASan a free buffer is poisoned. Lifecycle: destroyed when every buffer was returned.
class BufferPool {
 public:
  static constexpr std::size_t buffer_bytes_min = 4096;
  static constexpr std::size_t buffer_bytes_max = Region::bytes;

  BufferPool(Regions& regions, MemoryBudget& budget) noexcept : regions_(regions), budget_(budget) {}
  ~BufferPool();
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  /// At least `bytes` of memory, aligned to its size rounded up to a power of two (so to 4 KiB at least).
  /// `too_large` beyond 2 MiB; `no_memory` where the cap or the system refuses a region.
  Result<IoBuffer> allocate(std::size_t bytes);

  std::size_t buffers_in_use() const noexcept { return in_use_; }
  std::size_t region_bytes() const noexcept { return regions_held_ * Region::bytes; }

 private:
  friend class IoBuffer;
  static constexpr std::size_t class_count = 10;
  static_assert(buffer_bytes_min << (class_count - 1) == buffer_bytes_max, "one class per power of two");

  struct FreeBuffer {
    FreeBuffer* next;
  };
  /// A region cut into buffers of one size; on its class's list while one of them is free.
  struct Slab : ListHook<> {
    Region region;
    unsigned size_class = 0;
    std::uint32_t used = 0;
    std::uint32_t carved = 0;  // buffers that were ever handed out: those beyond are untouched memory
    FreeBuffer* free = nullptr;
  };

  Result<Slab*> add_slab(unsigned size_class);
  void remove_slab(Slab& slab) noexcept;
  void release(IoBuffer& buffer) noexcept;

  Regions& regions_;
  MemoryBudget& budget_;
  std::array<IntrusiveList<Slab>, class_count> usable_;  // slabs with a free buffer, by class
  std::vector<Slab*> slabs_;                             // by region
  std::size_t in_use_ = 0;
  std::size_t regions_held_ = 0;
};

inline void IoBuffer::reset() noexcept {
  if (pool_ != nullptr) std::exchange(pool_, nullptr)->release(*this);
}

}  // namespace ashlar
