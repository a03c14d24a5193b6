#pragma once

/// Bounded single-producer single-consumer ring of messages: what shards talk through.
///
/// A slot says by itself whether it is filled: the lowest bit of its pointer is the lap's parity. So a
/// message alone costs one cache line from core to core; an index beside the slots would be a second, one
/// after the other. A batch is written behind its first slot, which is filled last: the consumer, who looks
/// at that one, does not take the lines away while they are being written. The slot carries the function too:
/// a message that needs nothing from its sender's frame does not touch it.

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "ashlar/runtime/mesh/message.h"

namespace ashlar {

/// Thread safety: exactly one producer thread and one consumer thread.
template <std::size_t capacity>
class MessageRing {
  static_assert(std::has_single_bit(capacity), "indices wrap by masking");

 public:
  /// Producer: adds one message, on which the consumer will call `deliver`; not yet visible. False where the
  /// ring is full.
  bool stage(Message& message, Message::Deliver deliver) noexcept {
    if (tail_ - head_seen_ == capacity) {
      head_seen_ = head_.load(std::memory_order_acquire);
      if (tail_ - head_seen_ == capacity) return false;
    }
    const std::size_t at = tail_++;
    Slot& slot = slots_[at % capacity];
    slot.deliver = deliver;
    const std::uintptr_t tagged = reinterpret_cast<std::uintptr_t>(&message) | lap(at);
    if (at == shown_) {
      first_ = tagged;
    } else {
      slot.message.store(tagged, std::memory_order_relaxed);
    }
    return true;
  }
  /// Producer: shows everything staged to the consumer.
  void publish() noexcept {
    if (shown_ == tail_) return;
    slots_[shown_ % capacity].message.store(first_, std::memory_order_release);
    shown_ = tail_;
  }

  /// Consumer: delivers what is there, at most one ring full; returns how many.
  std::size_t deliver_all() noexcept {
    const std::size_t begin = next_;
    std::size_t at = begin;
    for (; at - begin != capacity; ++at) {
      const Slot& slot = slots_[at % capacity];
      const std::uintptr_t tagged = slot.message.load(std::memory_order_acquire);
      if ((tagged & 1) != lap(at)) break;
      slot.deliver(*reinterpret_cast<Message*>(tagged - lap(at)));
    }
    if (at != begin) head_.store(next_ = at, std::memory_order_release);
    return at - begin;
  }
  /// Consumer: whether deliver_all() would find nothing.
  bool empty() const noexcept {
    return (slots_[next_ % capacity].message.load(std::memory_order_acquire) & 1) != lap(next_);
  }

 private:
  static constexpr std::size_t line = 64;
  static_assert(alignof(Message) > 1, "the lowest bit of a message's address is free");

  struct Slot {
    std::atomic<std::uintptr_t> message{0};  // address and lap
    Message::Deliver deliver = nullptr;      // valid where the lap is
  };
  // Starts at 1, so that the zeros of a new ring are of the lap before.
  static std::uintptr_t lap(std::size_t index) noexcept { return (index / capacity + 1) & 1; }

  alignas(line) std::size_t tail_ = 0;  // producer's
  std::size_t shown_ = 0;               // producer's: visible up to here
  std::uintptr_t first_ = 0;            // producer's: what goes into the slot at shown_
  std::size_t head_seen_ = 0;           // producer's view of head_
  alignas(line) std::size_t next_ = 0;  // consumer's
  alignas(line) std::atomic<std::size_t> head_{0};
  alignas(line) std::array<Slot, capacity> slots_{};
};

}  // namespace ashlar
