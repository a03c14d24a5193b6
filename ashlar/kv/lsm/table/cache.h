#pragma once

/// The block cache: parsed blocks in slots of fixed sizes, found by any thread with one load.
///
/// There is no hash table. Each open table has an array with a pointer for each of its blocks (CachedBlocks);
/// a reader that knows the ordinal of a block, as the index told it, loads the pointer and is there. The
/// owner alone changes these pointers. A slot taken from a block waits until every reader's epoch has passed
/// before it is used again.
///
/// Memory comes a slab of slots at a time, as blocks come in and while the memory cap leaves room, and goes
/// back the same way where others want it.

#include <atomic>
#include <memory>
#include <span>
#include <vector>

#include "ashlar/base/intrusive_list.h"
#include "ashlar/kv/lsm/table/block.h"
#include "ashlar/kv/lsm/table/s3_fifo.h"
#include "ashlar/kv/lsm/table/table.h"
#include "ashlar/kv/pin.h"
#include "ashlar/runtime/memory/buffer_pool.h"
#include "ashlar/runtime/memory/epoch.h"
#include "ashlar/runtime/sync/queued_wait.h"

namespace ashlar::lsm {

class BlockCache;
class CachedBlocks;
class BlockFill;

/// A block in memory: in a slot of the cache, or loose where it is too large for one or none was free.
/// block() may be read by any thread inside an epoch, and by the owner while pinned; all else is the owner's.
class alignas(128) CachedBlock : public kv::Pinnable, public ListHook<> {
 public:
  const Block& block() const noexcept { return block_; }

  /// Notes a use, for eviction. Any thread: a plain store, and none once the block is hot.
  void touch() noexcept {
    const std::uint8_t heat = heat_.load(std::memory_order_relaxed);
    if (heat < heat_max) heat_.store(heat + 1, std::memory_order_relaxed);
  }

 protected:
  CachedBlock() = default;
  ~CachedBlock() = default;

 private:
  friend class BlockCache;
  friend class CachedBlocks;
  friend class BlockFill;
  template <class>
  friend class S3Fifo;
  struct Slot;
  struct Slab;
  struct Shelf;
  struct Loose;

  static constexpr std::uint8_t heat_max = 3;

  std::uint64_t identity() const noexcept;
  unsigned heat() const noexcept { return heat_.load(std::memory_order_relaxed); }
  void cool(unsigned heat) noexcept {
    heat_.store(static_cast<std::uint8_t>(heat), std::memory_order_relaxed);
  }
  bool pinned() const noexcept { return pins() != 0; }
  void released() noexcept override;

  Block block_;
  std::byte* memory_ = nullptr;
  Slab* slab_ = nullptr;          // null: loose
  CachedBlocks* home_ = nullptr;  // null: not published
  std::uint32_t ordinal_ = 0;
  std::atomic<std::uint8_t> heat_{0};
  bool in_main_ = false;
};

/// Which blocks of one table are cached, and where. Lives with the open table. Owner shard, but for find().
/// Lifecycle: destroyed by the owner when no epoch and no BlockFill can hold the table any more; its slots
/// become free then, those that are pinned as soon as their pins go.
class CachedBlocks {
 public:
  CachedBlocks(BlockCache& cache, const Table& table);
  CachedBlocks(const CachedBlocks&) = delete;
  CachedBlocks& operator=(const CachedBlocks&) = delete;
  ~CachedBlocks();

  /// Memory for a table.
  static std::size_t bytes(const Table& table) noexcept {
    return table.block_count() * sizeof(std::atomic<CachedBlock*>);
  }

  /// Block `ordinal` of the table if it is cached. Any thread, inside an epoch. The owner may also pin what
  /// it finds, and has to, before it suspends or begins a fill.
  CachedBlock* find(std::uint32_t ordinal) const noexcept {
    CachedBlock* cached = blocks_[ordinal].load(std::memory_order_acquire);
    if (cached != nullptr) cached->touch();
    return cached;
  }
  /// The fill of block `ordinal` that is under way, or nullptr. Owner.
  BlockFill* filling(std::uint32_t ordinal) noexcept;
  bool holds(std::uint32_t ordinal) const noexcept {
    return blocks_[ordinal].load(std::memory_order_relaxed) != nullptr;
  }

 private:
  friend class BlockCache;
  friend class BlockFill;
  friend class CachedBlock;

  BlockCache& cache_;
  const Table& table_;
  std::unique_ptr<std::atomic<CachedBlock*>[]> blocks_;
  IntrusiveList<BlockFill> fills_;
};

/// A block just loaded; valid as long as the pin.
struct LoadedBlock {
  const Block* block = nullptr;
  kv::Pin pin;

  LoadedBlock share() const noexcept { return {block, pin.share()}; }
};

/// A miss being served: memory to read the frame into, then the block, for this task and those that follow
/// it. Owner shard; may live across the read, which writes into its memory, so the read must end before it
/// does.
///
///   while (BlockFill* other = blocks.filling(ordinal)) {
///     LoadedBlock loaded = CO_TRY(co_await other->follow());
///     if (loaded.block != nullptr) co_return loaded;
///   }
///   BlockFill fill(blocks, ordinal);
///   co_return fill.finish(co_await file.read(fill.handle().offset, fill.memory()));
class BlockFill : public ListHook<> {
 public:
  /// Takes a slot for block `ordinal`, evicting if it must; where none is to be had, or the block is not to
  /// be kept, memory of its own. Not inside an epoch: it would keep evicted slots from being free.
  BlockFill(CachedBlocks& blocks, std::uint32_t ordinal, bool keep = true);
  BlockFill(const BlockFill&) = delete;
  BlockFill& operator=(const BlockFill&) = delete;
  /// Without finish(): followers try for themselves.
  ~BlockFill();

  /// Where the frame belongs: handle().bytes, aligned to pages.
  MutableBytes memory() noexcept { return {slot_->memory_, handle_.bytes}; }
  BlockHandle handle() const noexcept { return handle_; }
  std::uint32_t ordinal() const noexcept { return ordinal_; }

  /// Once, after the read: checks, decompresses and parses what it brought, publishes it, and wakes the
  /// followers. Fails as the read did, or with `corrupt`, and then nothing is published.
  Result<LoadedBlock> finish(const Result<>& read);

  class Follow;
  /// Waits until the fill is finished: its block or its error. The block is null where the other task gave
  /// up: try again. `cancelled` where the waiting task's own scope ends first.
  Follow follow() noexcept;

 private:
  Result<LoadedBlock> accept();
  void settle(const Result<LoadedBlock>& outcome) noexcept;

  CachedBlock* take(std::size_t bytes);

  CachedBlocks& blocks_;
  std::uint32_t ordinal_;
  bool keep_;
  BlockHandle handle_;
  CachedBlock* slot_;
  WaitQueue followers_;
};

class [[nodiscard]] BlockFill::Follow final : private QueuedWait {
 public:
  explicit Follow(BlockFill& fill) noexcept : fill_(fill) {}
  bool await_ready() noexcept { return cancelled_before(); }
  void await_suspend(std::coroutine_handle<> suspended) noexcept { enqueue(fill_.followers_, suspended); }
  Result<LoadedBlock> await_resume() noexcept {
    if (cancelled()) return fail(Errc::cancelled, "block fill");
    return std::move(outcome_);
  }

 private:
  friend class BlockFill;
  BlockFill& fill_;
  Result<LoadedBlock> outcome_;
};

inline BlockFill::Follow BlockFill::follow() noexcept {
  return Follow(*this);
}

/// Size of one kind of slot, and how many there may be.
struct SlotClass {
  std::uint32_t slot_bytes = 16384;  ///< whole pages, at most a region
  std::uint32_t slots = 0;
};

/// Owner shard: all of it; readers on other threads come in through CachedBlocks::find().
/// Lifecycle: outlives every CachedBlocks and every pin; pool, budget and epoch domain outlive it.
/// Invariants: slabs and loose blocks are charged to Purpose::cache. The first slab of a class is taken
/// whatever the cap says, and stays; more come only while the cap is roomy.
class BlockCache {
 public:
  BlockCache(BufferPool& buffers, MemoryBudget& budget, std::span<const SlotClass> classes,
             EpochDomain& epochs);
  BlockCache(const BlockCache&) = delete;
  BlockCache& operator=(const BlockCache&) = delete;
  ~BlockCache();

  /// Begins to give one slab back: evicts what is in it and frees it once its readers have left. Not inside
  /// an epoch. Whether another call may give more.
  bool shrink() noexcept;

  struct Counters {
    std::uint64_t fills = 0;  ///< blocks published, each after a miss
    std::uint64_t evictions = 0;
    std::uint64_t loose = 0;  ///< blocks that found no slot
    std::uint64_t slots_used = 0;
    std::uint64_t slots = 0;  ///< there are now
  };
  Counters counters() const noexcept;

 private:
  friend class CachedBlock;
  friend class CachedBlocks;
  friend class BlockFill;
  using Slab = CachedBlock::Slab;
  using Shelf = CachedBlock::Shelf;
  using Loose = CachedBlock::Loose;

  CachedBlock* take(std::size_t bytes);
  CachedBlock* take_loose(std::size_t bytes);
  bool grow(Shelf& shelf);
  void close(Slab& slab);
  void evict_some(Shelf& shelf);
  void retire(CachedBlock& slot);
  void publish(CachedBlock& slot, CachedBlocks& home, std::uint32_t ordinal, const Block& block);
  void unpublish(CachedBlock& slot) noexcept;
  /// Back to the free list, or to the pool: nobody reads it.
  static void give_back(CachedBlock* slot) noexcept;

  BufferPool& buffers_;
  MemoryBudget& budget_;
  EpochDomain& epochs_;
  std::vector<std::unique_ptr<Shelf>> shelves_;  // by size, ascending
  Counters counters_;
};

}  // namespace ashlar::lsm
