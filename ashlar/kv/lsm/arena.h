#pragma once

/// Memory for memtables: chunks from a pool of the shard, bump-allocated, given back all at once.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "ashlar/runtime/memory/memory_cap.h"

namespace ashlar::lsm {

/// Purpose: keeps chunks of finished memtables for the next one, so that their pages stay mapped. Owner shard
/// only; outlives its arenas.
class ChunkPool {
 public:
  static constexpr std::size_t chunk_bytes = 256u << 10;

  /// Keeps at most `kept_bytes` of free chunks, and none while memory is tight. Charges what it holds and
  /// hands out to `budget`, if there is one, which outlives it.
  explicit ChunkPool(std::size_t kept_bytes, MemoryBudget* budget = nullptr) noexcept
      : kept_chunks_(kept_bytes / chunk_bytes), budget_(budget) {}
  ~ChunkPool() { uncharge(free_bytes()); }
  ChunkPool(const ChunkPool&) = delete;
  ChunkPool& operator=(const ChunkPool&) = delete;

  using Chunk = std::unique_ptr<std::byte[]>;
  Chunk take();
  void give(Chunk chunk);
  /// For memory beside the chunks. A write that was admitted is never refused here: it counts beyond the cap.
  void charge(std::size_t bytes) noexcept {
    if (budget_ != nullptr) budget_->take_regardless(Purpose::memtables, bytes);
  }
  void uncharge(std::size_t bytes) noexcept {
    if (budget_ != nullptr) budget_->give(Purpose::memtables, bytes);
  }
  /// Frees one kept chunk; whether there are more.
  bool trim() noexcept {
    if (free_.empty()) return false;
    free_.pop_back();
    uncharge(chunk_bytes);
    return !free_.empty();
  }
  std::size_t free_bytes() const noexcept { return free_.size() * chunk_bytes; }

 private:
  std::size_t kept_chunks_;
  MemoryBudget* budget_;
  std::vector<Chunk> free_;
};

/// Bump allocation. Single writer; what was allocated may be read by anyone until the arena ends.
class Arena {
 public:
  explicit Arena(ChunkPool& pool) noexcept : pool_(pool) {}
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena();

  /// Aligned to 8 bytes. Beyond a quarter of a chunk an allocation has memory of its own.
  std::byte* allocate(std::size_t bytes) {
    bytes = (bytes + 7) & ~std::size_t{7};
    if (bytes > left_) [[unlikely]]
      return allocate_slow(bytes);
    std::byte* result = at_;
    at_ += bytes;
    left_ -= bytes;
    return result;
  }
  /// Memory taken, used or not.
  std::size_t bytes() const noexcept { return chunks_.size() * ChunkPool::chunk_bytes + large_bytes_; }
  /// Memory handed out, with what the ends of chunks wasted.
  std::size_t bytes_used() const noexcept { return bytes() - left_; }

 private:
  std::byte* allocate_slow(std::size_t bytes);

  ChunkPool& pool_;
  std::byte* at_ = nullptr;
  std::size_t left_ = 0;
  std::size_t large_bytes_ = 0;
  std::vector<ChunkPool::Chunk> chunks_;
  std::vector<ChunkPool::Chunk> large_;
};

}  // namespace ashlar::lsm
