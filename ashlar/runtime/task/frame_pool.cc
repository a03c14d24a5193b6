#include "ashlar/runtime/task/frame_pool.h"

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <new>

#include "ashlar/runtime/memory/poison.h"
#include "ashlar/runtime/shard/shard.h"

namespace ashlar {

FramePool::~FramePool() {
  assert(frames_live_ == 0 && "a task outlived its shard");
  while (chunks_ != nullptr) {
    Chunk* next = chunks_->next;
    ASHLAR_UNPOISON(chunks_, chunk_bytes);
    std::free(chunks_);
    chunks_ = next;
  }
  budget_.give(Purpose::frames, bytes_reserved_);
}

void* FramePool::allocate(std::size_t bytes) {
  const std::size_t total = bytes + sizeof(Header);
  Shard* shard = Shard::current_or_null();
  if (shard == nullptr || total > frame_bytes_max) [[unlikely]]
    return allocate_from_heap(total, shard != nullptr ? &shard->frames() : nullptr);
  FramePool& pool = shard->frames();
  const std::size_t size_class = (total - 1) / class_bytes;
  auto* header = static_cast<Header*>(pool.take(size_class));
  *header = {&pool, size_class};
  return header + 1;
}

void FramePool::release(void* frame) noexcept {
  Header* header = static_cast<Header*>(frame) - 1;
  if (header->size_class >= class_count) [[unlikely]] {
    release_to_heap(header);
  } else {
    header->pool->give(header, header->size_class);
  }
}

void* FramePool::allocate_from_heap(std::size_t bytes, FramePool* pool) {
  bytes = std::max(bytes, class_count);
  auto* header = static_cast<Header*>(::operator new(bytes));
  *header = {pool, bytes};
  if (pool != nullptr) {
    ++pool->frames_live_;
    pool->budget_.take_regardless(Purpose::frames, bytes);
  }
  return header + 1;
}

void FramePool::release_to_heap(Header* header) noexcept {
  if (FramePool* pool = header->pool) {
    --pool->frames_live_;
    pool->budget_.give(Purpose::frames, header->size_class);
  }
  ::operator delete(header);
}

inline void* FramePool::take(std::size_t size_class) {
  if (free_[size_class] == nullptr) [[unlikely]]
    refill(size_class);
  Free* block = free_[size_class];
  ASHLAR_UNPOISON(block, (size_class + 1) * class_bytes);
  free_[size_class] = block->next;
  ++frames_live_;
  return block;
}

inline void FramePool::give(void* block, std::size_t size_class) noexcept {
  auto* free = static_cast<Free*>(block);
  free->next = free_[size_class];
  free_[size_class] = free;
  --frames_live_;
  ASHLAR_POISON(block, (size_class + 1) * class_bytes);
}

void FramePool::refill(std::size_t size_class) {
  auto* chunk = static_cast<Chunk*>(std::aligned_alloc(64, chunk_bytes));
  if (chunk == nullptr) std::abort();
  chunk->next = chunks_;
  chunks_ = chunk;
  bytes_reserved_ += chunk_bytes;
  budget_.take_regardless(Purpose::frames, chunk_bytes);
  const std::size_t block_bytes = (size_class + 1) * class_bytes;
  auto* base = reinterpret_cast<std::byte*>(chunk);
  for (std::size_t at = class_bytes; at + block_bytes <= chunk_bytes; at += block_bytes) {
    auto* free = reinterpret_cast<Free*>(base + at);
    free->next = free_[size_class];
    free_[size_class] = free;
    ASHLAR_POISON(free, block_bytes);
  }
}

}  // namespace ashlar
