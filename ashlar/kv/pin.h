#pragma once

/// Pins: how a value is returned without being copied. What holds the bytes (a cached block, a memtable) is a
/// Pinnable; a Pin keeps it where it is.

#include <cstdint>
#include <utility>
#include <vector>

namespace ashlar::kv {

/// Memory that may be pinned. Owner shard only: the count is plain. Readers elsewhere copy inside an epoch.
class Pinnable {
 public:
  Pinnable() noexcept = default;
  Pinnable(const Pinnable&) = delete;
  Pinnable& operator=(const Pinnable&) = delete;

  void pin() noexcept { ++pins_; }
  void unpin() noexcept {
    if (--pins_ == 0) released();
  }
  std::uint32_t pins() const noexcept { return pins_; }

 protected:
  ~Pinnable() = default;
  /// The last pin has gone. May destroy the object.
  virtual void released() noexcept = 0;

 private:
  std::uint32_t pins_ = 0;
};

/// Keeps one Pinnable alive and in place. Movable; may be empty. Lives and dies on the owner shard.
class Pin {
 public:
  Pin() noexcept = default;
  explicit Pin(Pinnable& held) noexcept : held_(&held) { held.pin(); }
  Pin(Pin&& other) noexcept : held_(std::exchange(other.held_, nullptr)) {}
  Pin& operator=(Pin&& other) noexcept {
    if (this != &other) {
      reset();
      held_ = std::exchange(other.held_, nullptr);
    }
    return *this;
  }
  ~Pin() { reset(); }

  void reset() noexcept {
    if (held_ != nullptr) std::exchange(held_, nullptr)->unpin();
  }
  Pin share() const noexcept { return held_ != nullptr ? Pin(*held_) : Pin(); }
  Pinnable* held() const noexcept { return held_; }
  explicit operator bool() const noexcept { return held_ != nullptr; }

 private:
  Pinnable* held_ = nullptr;
};

/// A value that was made for its reader, on the heap; goes with its last pin.
class HeapValue final : public Pinnable {
 public:
  std::vector<std::byte> bytes;

 private:
  void released() noexcept override { delete this; }
};

}  // namespace ashlar::kv
