#pragma once

/// Buffers for I/O: page-aligned, from regions that devices know. The only kind there is: what the log
/// writes, tables are built in, blocks are cached in and manifests are read into.
///
///   IoBuffer buffer = TRY(Shard::current().buffers().allocate(64_KiB));
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
///
/// Up to 2 MiB it lies in one region. A larger one is a run of whole regions that follow each other in memory
/// and in number, and not a list of pieces: a value, an index or a manifest is parsed, checksummed and
/// compared as one piece, and would otherwise be copied together first. A device that knows regions one by
/// one finds byte `n` in region() + n / Region::bytes and cuts its requests there.
class [[nodiscard]] IoBuffer {
 public:
  IoBuffer() = default;
  IoBuffer(IoBuffer&& other) noexcept
      : pool_(std::exchange(other.pool_, nullptr)),
        data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        region_(other.region_),
        purpose_(other.purpose_) {}
  IoBuffer& operator=(IoBuffer&& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(region_, other.region_);
    std::swap(purpose_, other.purpose_);
    return *this;
  }
  ~IoBuffer() { reset(); }

  explicit operator bool() const noexcept { return data_ != nullptr; }
  /// As many as were asked for; contents are arbitrary at first.
  MutableBytes bytes() const noexcept { return {data_, size_}; }
  std::byte* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  /// The number of the region it lies in, or of its first.
  std::uint32_t region() const noexcept { return region_; }
  void reset() noexcept;

 private:
  friend class BufferPool;
  IoBuffer(BufferPool& pool, std::byte* data, std::size_t size, std::uint32_t region,
           Purpose purpose) noexcept
      : pool_(&pool), data_(data), size_(size), region_(region), purpose_(purpose) {}

  BufferPool* pool_ = nullptr;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::uint32_t region_ = 0;
  Purpose purpose_ = Purpose::io_buffers;
};

/// Owner: one shard; no lock. Up to 2 MiB, sizes are rounded up to a power of two, each region serves one
/// size, and a buffer is found and returned in O(1). A region without a buffer in use goes back to the
/// process, but one of each size up to kept_bytes_max stays: 14 MiB at most. Charged to the budget by whole
/// regions: each buffer, with what rounding added, to its purpose, and what is free to io_buffers. Under ASan
/// a free buffer is poisoned. Lifecycle: destroyed when every buffer was returned.
class BufferPool {
 public:
  static constexpr std::size_t buffer_bytes_min = 4096;
  static constexpr std::size_t buffer_bytes_max = std::size_t{1} << 31;
  static constexpr std::size_t kept_bytes_max = std::size_t{256} << 10;

  BufferPool(Regions& regions, MemoryBudget& budget) noexcept : regions_(regions), budget_(budget) {}
  ~BufferPool();
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  /// At least `bytes` of memory, aligned to its size rounded up to a power of two: to 4 KiB at least, to 2
  /// MiB at most. `too_large` beyond 2 GiB; `no_memory` where the cap or the system refuses a region.
  Result<IoBuffer> allocate(std::size_t bytes, Purpose purpose = Purpose::io_buffers) {
    return allocate(bytes, purpose, false);
  }
  /// The same beyond the cap, if need be: for what frees memory (a flush), or was admitted before it came
  /// here (the log). `no_memory` where the system refuses.
  Result<IoBuffer> allocate_regardless(std::size_t bytes, Purpose purpose = Purpose::io_buffers) {
    return allocate(bytes, purpose, true);
  }

  std::size_t buffers_in_use() const noexcept { return in_use_; }
  std::size_t region_bytes() const noexcept { return regions_held_ * Region::bytes; }

 private:
  friend class IoBuffer;
  static constexpr std::size_t class_count = 10;
  static_assert(buffer_bytes_min << (class_count - 1) == Region::bytes, "one class per power of two");

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
    bool small_pages = false;  // the kernel was told not to make its region a huge page
  };

  Result<IoBuffer> allocate(std::size_t bytes, Purpose purpose, bool regardless);
  Result<IoBuffer> allocate_run(std::size_t bytes, Purpose purpose, bool regardless);
  Result<Region> take_regions(std::uint32_t count, bool regardless);
  void give_regions(Region first, std::uint32_t count) noexcept;
  Result<Slab*> add_slab(unsigned size_class, bool regardless);
  void remove_slab(Slab& slab) noexcept;
  void release(IoBuffer& buffer) noexcept;
  void release_to(Slab& slab, std::byte* data) noexcept;

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
