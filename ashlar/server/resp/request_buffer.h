#pragma once

/// The bytes of a request that did not arrive in one piece.

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>

#include "ashlar/base/bytes.h"

namespace ashlar::resp {

/// Contiguous, grows to what has arrived and not to what was announced, gives big memory back. Not
/// thread-safe.
class RequestBuffer {
 public:
  MutableBytes bytes() noexcept { return {data_.get() + begin_, end_ - begin_}; }
  bool empty() const noexcept { return begin_ == end_; }
  std::size_t capacity() const noexcept { return capacity_; }

  void append(Bytes more) {
    if (more.empty()) return;
    const MutableBytes space = extend(more.size());
    std::memcpy(space.data(), more.data(), more.size());
  }
  /// Drops all but the last `size` bytes.
  void keep_last(std::size_t size) noexcept { consume(end_ - begin_ - size); }

  /// `size` more bytes at the end, to be filled in by the caller. Earlier bytes may move.
  MutableBytes extend(std::size_t size) {
    if (capacity_ - end_ < size) make_room(size);
    end_ += size;
    return {data_.get() + end_ - size, size};
  }
  void consume(std::size_t size) noexcept {
    begin_ += size;
    if (begin_ != end_) return;
    begin_ = end_ = 0;
    if (capacity_ > kept_bytes_max) {
      data_.reset();
      capacity_ = 0;
    }
  }

 private:
  static constexpr std::size_t kept_bytes_max = 16 * 1024;

  void make_room(std::size_t size) {
    const std::size_t present = end_ - begin_;
    if (present + size > capacity_) {
      const std::size_t capacity = std::max(present + size, std::min(capacity_ * 2, capacity_ + (4u << 20)));
      auto grown = std::make_unique_for_overwrite<std::byte[]>(capacity);
      if (present != 0) std::memcpy(grown.get(), data_.get() + begin_, present);
      data_ = std::move(grown);
      capacity_ = capacity;
    } else {
      std::memmove(data_.get(), data_.get() + begin_, present);
    }
    begin_ = 0;
    end_ = present;
  }

  std::unique_ptr<std::byte[]> data_;
  std::size_t begin_ = 0, end_ = 0, capacity_ = 0;
};

}  // namespace ashlar::resp
