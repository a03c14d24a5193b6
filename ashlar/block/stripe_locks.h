#pragma once

/// For devices that are memory, which every shard copies from and to by itself.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "ashlar/base/units.h"

namespace ashlar {

/// Keeps shards from copying into the same stripe at once, so that each block is as one of them left it. Held
/// for one memcpy of at most a stripe; a device of a single shard has none.
class StripeLocks {
 public:
  static constexpr std::uint64_t stripe_bytes = 64_KiB;

  explicit StripeLocks(bool needed) : locks_(needed ? std::make_unique<Lock[]>(count) : nullptr) {}

  template <class Copy>
  void locked(std::uint64_t stripe, Copy copy) noexcept {
    if (locks_ == nullptr) return copy();
    std::atomic_flag& flag = locks_[stripe % count].flag;
    while (flag.test_and_set(std::memory_order_acquire)) {
      while (flag.test(std::memory_order_relaxed)) __builtin_ia32_pause();
    }
    copy();
    flag.clear(std::memory_order_release);
  }

 private:
  static constexpr std::size_t count = 256;
  struct alignas(64) Lock {
    std::atomic_flag flag;
  };
  std::unique_ptr<Lock[]> locks_;
};

}  // namespace ashlar
