#include "ashlar/server/resp/output_buffer.h"

#include <algorithm>
#include <new>

namespace ashlar::resp {

ChunkPool::~ChunkPool() {
  uncharge(idle_bytes_);
  for (Chunk* list : {small_, large_}) {
    while (list != nullptr) ::operator delete(std::exchange(list, list->next));
  }
}

bool ChunkPool::reclaim() noexcept {
  constexpr int chunks_at_once = 16;
  for (int i = 0; i < chunks_at_once && idle_bytes_ != 0; ++i) {
    Chunk*& first = large_ != nullptr ? large_ : small_;
    uncharge(first->bytes + sizeof(Chunk));
    ::operator delete(std::exchange(first, first->next));
  }
  return idle_bytes_ != 0;
}

Chunk* ChunkPool::take(std::size_t chunk_bytes) {
  Chunk*& first = idle(chunk_bytes);
  if (first != nullptr) {
    uncharge(chunk_bytes);
    return std::exchange(first, first->next);
  }
  auto* chunk = new (::operator new(chunk_bytes)) Chunk;
  chunk->bytes = chunk_bytes - sizeof(Chunk);
  return chunk;
}

void ChunkPool::give(Chunk* chunk) noexcept {
  const std::size_t chunk_bytes = chunk->bytes + sizeof(Chunk);
  if (idle_bytes_ + chunk_bytes > idle_bytes_max_) {
    ::operator delete(chunk);
    return;
  }
  charge(chunk_bytes);
  chunk->next = std::exchange(idle(chunk_bytes), chunk);
}

OutputBuffer::OutputBuffer(OutputBuffer&& other) noexcept
    : pool_(other.pool_),
      open_(std::exchange(other.open_, nullptr)),
      begin_(std::exchange(other.begin_, nullptr)),
      cursor_(std::exchange(other.cursor_, nullptr)),
      limit_(std::exchange(other.limit_, nullptr)),
      sealed_bytes_(std::exchange(other.sealed_bytes_, 0)),
      head_(std::exchange(other.head_, 0)),
      pieces_(std::exchange(other.pieces_, {})) {}

/// Ends the run being written; the chunk stays open behind it.
void OutputBuffer::seal() {
  if (cursor_ == begin_) return;
  pieces_.push_back({begin_, static_cast<std::size_t>(cursor_ - begin_), nullptr, {}});
  sealed_bytes_ += pieces_.back().size;
  begin_ = cursor_;
}

/// Ends the open chunk, which goes with the last piece.
void OutputBuffer::close_chunk() {
  if (open_ == nullptr) return;
  seal();
  if (head_ == pieces_.size() || pieces_.back().chunk != nullptr) {
    pieces_.push_back({cursor_, 0, open_, {}});
  } else {
    pieces_.back().chunk = open_;
  }
  open_ = nullptr;
  begin_ = cursor_ = limit_ = nullptr;
}

void OutputBuffer::open_chunk() {
  const bool first = open_ == nullptr && head_ == pieces_.size();
  close_chunk();
  open_ = pool_->take(first ? Chunk::small_bytes : Chunk::large_bytes);
  begin_ = cursor_ = open_->data;
  limit_ = begin_ + open_->bytes;
}

void OutputBuffer::append_slowly(std::string_view text) {
  while (!text.empty()) {
    if (cursor_ == limit_) open_chunk();
    const std::size_t size = std::min(text.size(), static_cast<std::size_t>(limit_ - cursor_));
    std::memcpy(cursor_, text.data(), size);
    cursor_ += size;
    text.remove_prefix(size);
  }
}

void OutputBuffer::append_pinned(std::string_view text, Pin pin) {
  seal();
  pieces_.push_back({text.data(), text.size(), nullptr, std::move(pin)});
  sealed_bytes_ += text.size();
}

void OutputBuffer::append_from(OutputBuffer& other, std::size_t bytes) {
  other.seal();
  while (bytes != 0) {
    Piece& piece = other.pieces_[other.head_];
    const std::size_t size = std::min(bytes, piece.size);
    if (size == piece.size && size >= pinned_bytes_min && (piece.pin || piece.chunk != nullptr)) {
      close_chunk();
      sealed_bytes_ += size;
      other.sealed_bytes_ -= size;
      pieces_.push_back(std::move(piece));
      ++other.head_;
    } else {
      append({piece.data, size});
      other.consume(size);
    }
    bytes -= size;
  }
}

std::size_t OutputBuffer::gather(std::span<Bytes> views) noexcept {
  std::size_t count = 0;
  for (std::size_t i = head_; i < pieces_.size() && count < views.size(); ++i) {
    if (pieces_[i].size != 0) views[count++] = as_bytes({pieces_[i].data, pieces_[i].size});
  }
  if (count < views.size() && cursor_ != begin_) {
    views[count++] = as_bytes({begin_, static_cast<std::size_t>(cursor_ - begin_)});
  }
  return count;
}

void OutputBuffer::pop_front() noexcept {
  Piece& piece = pieces_[head_++];
  if (piece.chunk != nullptr) pool_->give(piece.chunk);
  piece.pin = Pin();
}

void OutputBuffer::consume(std::size_t bytes) noexcept {
  while (head_ < pieces_.size() && bytes >= pieces_[head_].size) {
    bytes -= pieces_[head_].size;
    sealed_bytes_ -= pieces_[head_].size;
    pop_front();
  }
  if (head_ < pieces_.size()) {
    pieces_[head_].data += bytes;
    pieces_[head_].size -= bytes;
    sealed_bytes_ -= bytes;
    return;
  }
  pieces_.clear();
  head_ = 0;
  begin_ += bytes;
  if (begin_ != cursor_) return;
  if (open_ != nullptr) pool_->give(open_);
  open_ = nullptr;
  begin_ = cursor_ = limit_ = nullptr;
}

std::string OutputBuffer::take_text() {
  seal();
  std::string text;
  text.reserve(size());
  for (std::size_t i = head_; i < pieces_.size(); ++i) text.append(pieces_[i].data, pieces_[i].size);
  clear();
  return text;
}

void OutputBuffer::clear() noexcept {
  while (head_ < pieces_.size()) pop_front();
  pieces_.clear();
  head_ = 0;
  sealed_bytes_ = 0;
  if (open_ != nullptr) pool_->give(open_);
  open_ = nullptr;
  begin_ = cursor_ = limit_ = nullptr;
}

}  // namespace ashlar::resp
