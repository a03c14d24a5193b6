#pragma once

/// Memory for coroutine frames: free lists by size class, one pool per shard, no lock, no system call once
/// warm.

#include <array>
#include <cstddef>
#include <cstdint>

namespace ashlar {

class MemoryBudget;

/// Purpose: O(1) frames. Owner: one shard (or one thread that runs no shard); not thread-safe. A frame
/// returns to the pool it came from, and pools outlive their frames. Frames above frame_bytes_max come from
/// the heap; all are charged. Under ASan a free frame is poisoned, so that use of a finished coroutine is
/// reported where it happens.
class FramePool {
 public:
  static constexpr std::size_t frame_bytes_max = 4096;

  explicit FramePool(MemoryBudget& budget) noexcept : budget_(budget) {}
  FramePool(const FramePool&) = delete;
  FramePool& operator=(const FramePool&) = delete;
  ~FramePool();

  /// Frame memory aligned to 16 bytes, from the pool of the current shard. Never null: out of memory
  /// terminates.
  static void* allocate(std::size_t bytes);
  static void release(void* frame) noexcept;

  /// Frames handed out and not yet returned; 0 once every task has ended.
  std::size_t frames_live() const noexcept { return frames_live_; }
  std::size_t bytes_reserved() const noexcept { return bytes_reserved_; }

 private:
  static constexpr std::size_t class_bytes = 64;
  static constexpr std::size_t class_count = frame_bytes_max / class_bytes;
  static constexpr std::size_t chunk_bytes = 64 * 1024;

  struct Header {
    FramePool* pool;         // null: made where there was no shard
    std::size_t size_class;  // from class_count on: bytes from the heap
  };
  struct Free {
    Free* next;
  };
  struct Chunk {
    Chunk* next;
    std::size_t unused;
  };
  static_assert(sizeof(Header) == 16, "keeps frames aligned to 16 bytes");

  void* take(std::size_t size_class);
  void give(void* block, std::size_t size_class) noexcept;
  void refill(std::size_t size_class);
  static void* allocate_from_heap(std::size_t bytes, FramePool* pool);
  static void release_to_heap(Header* header) noexcept;

  MemoryBudget& budget_;
  std::array<Free*, class_count> free_{};
  Chunk* chunks_ = nullptr;
  std::size_t frames_live_ = 0;
  std::size_t bytes_reserved_ = 0;
};

}  // namespace ashlar
