#include "ashlar/kv/lsm/arena.h"

#include <utility>

namespace ashlar::lsm {

ChunkPool::Chunk ChunkPool::take() {
  if (free_.empty()) {
    charge(chunk_bytes);
    return std::make_unique_for_overwrite<std::byte[]>(chunk_bytes);
  }
  Chunk chunk = std::move(free_.back());
  free_.pop_back();
  return chunk;
}

void ChunkPool::give(Chunk chunk) {
  if (free_.size() < kept_chunks_ && (budget_ == nullptr || !budget_->cap().tight())) {
    free_.push_back(std::move(chunk));
  } else {
    uncharge(chunk_bytes);
  }
}

Arena::~Arena() {
  for (auto& chunk : chunks_) pool_.give(std::move(chunk));
  pool_.uncharge(large_bytes_);
}

std::byte* Arena::allocate_slow(std::size_t bytes) {
  if (bytes > ChunkPool::chunk_bytes / 4) {
    large_bytes_ += bytes;
    pool_.charge(bytes);
    return large_.emplace_back(std::make_unique_for_overwrite<std::byte[]>(bytes)).get();
  }
  at_ = chunks_.emplace_back(pool_.take()).get();
  left_ = ChunkPool::chunk_bytes;
  return allocate(bytes);
}

}  // namespace ashlar::lsm
