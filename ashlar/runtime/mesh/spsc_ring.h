#pragma once

/// Bounded single-producer single-consumer ring of pointers: what shards talk through. Each side caches the
/// other's index, so that a batch costs one cache-line transfer in each direction.

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>

namespace ashlar {

/// Thread safety: exactly one producer thread and one consumer thread.
template <class T, std::size_t capacity>
class SpscRing {
  static_assert(std::has_single_bit(capacity), "indices wrap by masking");

 public:
  /// Producer: stores one item, not yet visible; false where the ring is full.
  bool stage(T* item) noexcept {
    if (tail_ - head_cache_ == capacity) {
      head_cache_ = head_.load(std::memory_order_acquire);
      if (tail_ - head_cache_ == capacity) return false;
    }
    slots_[tail_++ & (capacity - 1)] = item;
    return true;
  }
  /// Producer: shows everything staged to the consumer.
  void publish() noexcept { published_.store(tail_, std::memory_order_release); }

  /// Consumer: calls `consume(T&)` for all that is visible now; returns how many.
  template <class F>
  std::size_t drain(F&& consume) {
    const std::size_t end = published_.load(std::memory_order_acquire);
    const std::size_t begin = head_.load(std::memory_order_relaxed);
    for (std::size_t at = begin; at != end; ++at) consume(*slots_[at & (capacity - 1)]);
    if (begin != end) head_.store(end, std::memory_order_release);
    return end - begin;
  }
  /// Consumer: whether drain() would find something.
  bool empty() const noexcept {
    return published_.load(std::memory_order_acquire) == head_.load(std::memory_order_relaxed);
  }

 private:
  static constexpr std::size_t line = 64;

  alignas(line) std::size_t tail_ = 0;  // producer's
  std::size_t head_cache_ = 0;          // producer's view of head_
  alignas(line) std::atomic<std::size_t> published_{0};
  alignas(line) std::atomic<std::size_t> head_{0};
  alignas(line) std::array<T*, capacity> slots_{};
};

}  // namespace ashlar
