#pragma once

/// A block of the cache, as readers and the cache see it.

#include <atomic>
#include <cstdint>

#include "ashlar/base/intrusive_list.h"
#include "ashlar/kv/lsm/table/block.h"
#include "ashlar/kv/lsm/table/table_partition.h"
#include "ashlar/kv/pin.h"

namespace ashlar::lsm {

class BlockCache;
class CachedBlock;
class CachedBlocks;
class CachedValues;
class BlockFill;

/// Who knows where a block is: a table, of keys or of values. Owner shard.
class CacheHome {
 protected:
  ~CacheHome() = default;

 private:
  friend class BlockCache;
  friend class CachedBlock;
  virtual std::uint64_t number() const noexcept = 0;
  /// Readers that come from here on do not find it.
  virtual void forget(const CachedBlock& block) noexcept = 0;
};

/// A block, a partition or a value in memory: in a slot of the cache, or loose where it is too large for one,
/// or none was free, or it was not to be kept. What is public may be read by any thread inside an epoch, and
/// by the owner while pinned; all else is the owner's. Two lines: what a hit touches, which the owner's pins
/// leave alone, and the rest.
class alignas(128) CachedBlock : public kv::Pinnable, public ListHook<> {
 public:
  /// Of an ordinal of a data block; of a partition.
  const Block& block() const noexcept { return content_.block; }
  const TablePartition& partition() const noexcept { return *content_.partition; }
  /// Of a value table's; the owner's business.
  Bytes value() const noexcept { return {memory_, content_.value_bytes}; }

  /// Notes a use, for eviction. Any thread: a plain store, and none once the block is hot.
  void touch() noexcept {
    const std::uint8_t heat = heat_.load(std::memory_order_relaxed);
    if (heat < heat_max) heat_.store(heat + 1, std::memory_order_relaxed);
  }
  /// Starts loading what a hit touches; nothing where `cached` is null.
  static void prefetch(const CachedBlock* cached) noexcept {
    if (cached != nullptr) __builtin_prefetch(&cached->content_);
  }

 protected:
  CachedBlock() = default;
  ~CachedBlock() = default;

 private:
  friend class BlockCache;
  friend class CachedBlocks;
  friend class CachedValues;
  friend class BlockFill;
  template <class>
  friend class S3Fifo;
  struct Slot;
  struct Slab;
  struct Shelf;
  struct Loose;

  static constexpr std::uint8_t heat_max = 3;
  static constexpr std::size_t front_offset = 64;
  union Content {
    Content() noexcept : block() {}
    Block block;
    const TablePartition* partition;
    std::uint32_t value_bytes;
  };

  std::uint64_t identity() const noexcept;
  unsigned heat() const noexcept { return heat_.load(std::memory_order_relaxed); }
  void cool(unsigned heat) noexcept {
    heat_.store(static_cast<std::uint8_t>(heat), std::memory_order_relaxed);
  }
  bool pinned() const noexcept { return pins() != 0; }
  void released() noexcept override;

  std::byte* memory_ = nullptr;
  Slab* slab_ = nullptr;       // null: loose
  CacheHome* home_ = nullptr;  // null: not published
  std::uint32_t ordinal_ = 0;
  bool in_main_ = false;
  alignas(front_offset) Content content_;
  std::atomic<std::uint8_t> heat_{0};
};
static_assert(sizeof(CachedBlock) == 128, "a line for readers, a line for the owner");

/// A block or a partition in memory; valid as long as the pin.
struct LoadedBlock {
  const Block* block = nullptr;
  const TablePartition* partition = nullptr;
  kv::Pin pin;

  LoadedBlock() = default;
  LoadedBlock(CachedBlock& cached, bool is_partition) noexcept
      : block(is_partition ? nullptr : &cached.block()),
        partition(is_partition ? &cached.partition() : nullptr),
        pin(cached) {}

  explicit operator bool() const noexcept { return static_cast<bool>(pin); }
  LoadedBlock share() const noexcept {
    LoadedBlock shared;
    shared.block = block;
    shared.partition = partition;
    shared.pin = pin.share();
    return shared;
  }
};

}  // namespace ashlar::lsm
