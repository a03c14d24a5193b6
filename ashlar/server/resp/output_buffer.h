#pragma once

/// Replies waiting to be sent: a chain of chunks from a pool, and of bytes borrowed from elsewhere.

#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ashlar/base/bytes.h"
#include "ashlar/runtime/memory/memory_cap.h"

namespace ashlar::resp {

/// Keeps borrowed bytes where they are until they are sent. Move-only; releases once.
class Pin {
 public:
  using Release = void (*)(void* object) noexcept;

  Pin() noexcept = default;
  Pin(Release release, void* object) noexcept : release_(release), object_(object) {}
  Pin(Pin&& other) noexcept : release_(std::exchange(other.release_, nullptr)), object_(other.object_) {}
  Pin& operator=(Pin&& other) noexcept {
    std::swap(release_, other.release_);
    std::swap(object_, other.object_);
    return *this;
  }
  ~Pin() {
    if (release_ != nullptr) release_(object_);
  }
  explicit operator bool() const noexcept { return release_ != nullptr; }

 private:
  Release release_ = nullptr;
  void* object_ = nullptr;
};

/// A piece of memory for replies. Two sizes: most replies are short, and a long one wants few pieces.
struct Chunk {
  static constexpr std::size_t small_bytes = 1024;
  static constexpr std::size_t large_bytes = 16 * 1024;

  Chunk* next = nullptr;
  std::size_t bytes = 0;  // of data
  char data[];
};

/// Chunks for the output buffers of one shard. Keeps what was in use and hands it out again, up to a bound
/// and while nobody else wants the memory. Charges what it keeps to `budget`, if there is one; chunks in use
/// are charged by the connection that holds them. Not thread-safe; outlives its buffers.
class ChunkPool final : private MemoryReclaimer {
 public:
  explicit ChunkPool(std::size_t idle_bytes_max = 8 << 20, MemoryBudget* budget = nullptr) noexcept
      : idle_bytes_max_(idle_bytes_max), budget_(budget) {
    if (budget_ != nullptr) budget_->add(*this);
  }
  ~ChunkPool();
  ChunkPool(const ChunkPool&) = delete;
  ChunkPool& operator=(const ChunkPool&) = delete;

  Chunk* take(std::size_t chunk_bytes);  ///< small_bytes or large_bytes
  void give(Chunk* chunk) noexcept;      ///< from this pool or another shard's

 private:
  bool reclaim() noexcept override;
  void charge(std::size_t bytes) noexcept {
    idle_bytes_ += bytes;
    if (budget_ != nullptr) budget_->take_regardless(Purpose::connections, bytes);
  }
  void uncharge(std::size_t bytes) noexcept {
    idle_bytes_ -= bytes;
    if (budget_ != nullptr) budget_->give(Purpose::connections, bytes);
  }
  Chunk*& idle(std::size_t chunk_bytes) noexcept {
    return chunk_bytes == Chunk::small_bytes ? small_ : large_;
  }

  Chunk* small_ = nullptr;
  Chunk* large_ = nullptr;
  std::size_t idle_bytes_ = 0;
  std::size_t idle_bytes_max_;
  MemoryBudget* budget_;
};

/// The bytes that one connection is to be sent, in order. Small things are copied into chunks, big ones are
/// referenced and pinned.
///
/// Not thread-safe. Empty, it holds no chunk; after warming up it allocates nothing.
class OutputBuffer {
 public:
  explicit OutputBuffer(ChunkPool& pool) noexcept : pool_(&pool) {}
  OutputBuffer(OutputBuffer&& other) noexcept;
  OutputBuffer& operator=(OutputBuffer&&) = delete;
  ~OutputBuffer() { clear(); }

  void append(std::string_view text) {
    if (text.size() <= static_cast<std::size_t>(limit_ - cursor_)) [[likely]] {
      if (!text.empty()) std::memcpy(cursor_, text.data(), text.size());
      cursor_ += text.size();
    } else {
      append_slowly(text);
    }
  }

  static constexpr std::size_t reserve_bytes_max = 512;
  /// `size` contiguous bytes to write into, at most reserve_bytes_max; commit() says how many were written.
  char* reserve(std::size_t size) {
    if (size > static_cast<std::size_t>(limit_ - cursor_)) [[unlikely]]
      open_chunk();
    return cursor_;
  }
  void commit(std::size_t size) noexcept { cursor_ += size; }

  /// Below it, copying is cheaper than a piece of its own.
  static constexpr std::size_t pinned_bytes_min = 8 * 1024;
  /// References `text`, which stays where it is until `pin` is released: after it was sent.
  void append_pinned(std::string_view text, Pin pin);

  /// Moves the first `bytes` of `other` behind what is here: copies little, and takes over chunks and pins of
  /// much. `other` may have been written on another shard.
  void append_from(OutputBuffer& other, std::size_t bytes);

  /// From here on chunks go back to `pool`: for a buffer that was written on another shard. Pins stay what
  /// they are, so such a buffer has none that is bound to its shard.
  void rehome(ChunkPool& pool) noexcept { pool_ = &pool; }

  std::size_t size() const noexcept { return sealed_bytes_ + static_cast<std::size_t>(cursor_ - begin_); }
  bool empty() const noexcept { return size() == 0; }

  /// Up to views.size() views of what is to be sent next; returns how many. They stay valid until consumed,
  /// whatever is appended meanwhile.
  std::size_t gather(std::span<Bytes> views) noexcept;
  /// The first `bytes` were sent: releases their chunks and pins.
  void consume(std::size_t bytes) noexcept;
  void clear() noexcept;
  /// Everything as one string, and empties the buffer. For the rare paths and for tests.
  std::string take_text();

 private:
  /// A run of bytes in a chunk, or borrowed. A chunk belongs to the last piece in it.
  struct Piece {
    const char* data = nullptr;
    std::size_t size = 0;
    Chunk* chunk = nullptr;
    Pin pin;
  };

  void append_slowly(std::string_view text);
  void open_chunk();
  void close_chunk();
  void seal();
  void pop_front() noexcept;

  ChunkPool* pool_;
  Chunk* open_ = nullptr;
  char* begin_ = nullptr;   // in open_: where the run being written starts,
  char* cursor_ = nullptr;  // where its next byte goes,
  char* limit_ = nullptr;   // and where the chunk ends
  std::size_t sealed_bytes_ = 0;
  std::size_t head_ = 0;  // pieces before it were sent
  std::vector<Piece> pieces_;
};

}  // namespace ashlar::resp
