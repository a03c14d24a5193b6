#pragma once

/// The block cache: parsed blocks in slots of fixed sizes, found by any thread with one load.
///
/// There is no hash table. Each open table has an array with a pointer for each of its blocks (CachedBlocks);
/// a reader that knows the ordinal of a block, as the index told it, loads the pointer and is there. The
/// owner alone changes these pointers. A slot taken from a block waits until every reader's epoch has passed
/// before it is used again. The partitions of a table's filter and index are cached like its blocks.
///
/// A hit by any thread is loads, and until the block is hot a plain store to note the use: two threads that
/// note at once may count as one, which is all that is lost for want of an atomic increment.
///
/// Memory comes a slab of slots at a time, as blocks come in and while the memory cap leaves room, and goes
/// back the same way where others want it.

#include <atomic>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "ashlar/base/intrusive_list.h"
#include "ashlar/kv/lsm/table/cached_block.h"
#include "ashlar/kv/lsm/table/s3_fifo.h"
#include "ashlar/kv/lsm/table/table.h"
#include "ashlar/runtime/memory/buffer_pool.h"
#include "ashlar/runtime/memory/epoch.h"
#include "ashlar/runtime/sync/queued_wait.h"

namespace ashlar::lsm {

/// Which blocks of one table are cached, and where. Lives with the open table. Owner shard, but for find().
/// Lifecycle: destroyed by the owner when no epoch and no BlockFill can hold the table any more; its slots
/// become free then, those that are pinned as soon as their pins go.
class CachedBlocks final : public CacheHome {
 public:
  CachedBlocks(BlockCache& cache, const Table& table);
  CachedBlocks(const CachedBlocks&) = delete;
  CachedBlocks& operator=(const CachedBlocks&) = delete;
  ~CachedBlocks();

  /// Memory for a table.
  static std::size_t bytes(const Table& table) noexcept { return table.ordinal_count() * sizeof(Place); }

  /// Block or partition `ordinal` of the table if it is cached. Any thread, inside an epoch. The owner may
  /// also pin what it finds, and has to, before it suspends or begins a fill.
  CachedBlock* find(std::uint32_t ordinal) const noexcept {
    CachedBlock* cached = places_[ordinal].block.load(std::memory_order_acquire);
    if (cached != nullptr) cached->touch();
    return cached;
  }
  /// The same, and starts loading where a look-up of `hash` in it begins, beside the block's description,
  /// which would tell.
  CachedBlock* find(std::uint32_t ordinal, std::uint64_t hash) const noexcept {
    prefetch_bucket(ordinal, hash);
    return find(ordinal);
  }
  /// In steps, for several look-ups at once: the place of `ordinal`, then what it leads to.
  void prefetch(std::uint32_t ordinal) const noexcept { __builtin_prefetch(&places_[ordinal]); }
  void prefetch_block(std::uint32_t ordinal, std::uint64_t hash) const noexcept {
    CachedBlock::prefetch(places_[ordinal].block.load(std::memory_order_relaxed));
    prefetch_bucket(ordinal, hash);
  }
  /// The fill of block `ordinal` that is under way, or nullptr. Owner.
  BlockFill* filling(std::uint32_t ordinal) noexcept;
  bool holds(std::uint32_t ordinal) const noexcept {
    return places_[ordinal].block.load(std::memory_order_relaxed) != nullptr;
  }

 private:
  friend class BlockCache;
  friend class BlockFill;
  friend class CachedBlock;

  struct Place {
    std::atomic<CachedBlock*> block{nullptr};
    std::atomic<std::uint64_t> hint{0};  // a Block::Hint, which may be of a block that was here before
  };

  std::uint64_t number() const noexcept override { return table_.number(); }
  void forget(const CachedBlock& block) noexcept override;
  void prefetch_bucket(std::uint32_t ordinal, std::uint64_t hash) const noexcept {
    Block::Hint(places_[ordinal].hint.load(std::memory_order_relaxed)).prefetch(hash);
  }

  BlockCache& cache_;
  const Table& table_;
  std::unique_ptr<Place[]> places_;  // by ordinal
  IntrusiveList<BlockFill> fills_;
};

/// Which values of one value table are cached. Lives with the open table; owner shard. A value of more than
/// value_bytes_max is not: it would push out hundreds of blocks, each of which answers for hundreds of keys,
/// and to read it takes long because it is long. Smaller ones are copied, without their frame, into a slot of
/// the next power of two from 4 KiB on, and come and go as blocks do.
class CachedValues final : public CacheHome {
 public:
  static constexpr std::size_t value_bytes_max = 64u << 10;

  CachedValues(BlockCache& cache, std::uint64_t number) noexcept : cache_(cache), number_(number) {}
  CachedValues(const CachedValues&) = delete;
  CachedValues& operator=(const CachedValues&) = delete;
  ~CachedValues();

  /// To be pinned before anything else happens.
  CachedBlock* find(std::uint32_t place) const noexcept;
  /// Keeps a copy, if it is small and there is room.
  void put(std::uint32_t place, Bytes value);

 private:
  std::uint64_t number() const noexcept override { return number_; }
  void forget(const CachedBlock& block) noexcept override;

  BlockCache& cache_;
  std::uint64_t number_;
  std::unordered_map<std::uint32_t, CachedBlock*> values_;  // by place in the table
};

/// A miss being served: memory to read the frame into, then the block, for this task and those that follow
/// it. Owner shard; may live across the read, which writes into its memory, so the read must end before it
/// does.
///
///   while (BlockFill* other = blocks.filling(ordinal)) {
///     LoadedBlock loaded = CO_TRY(co_await other->follow());
///     if (loaded) co_return loaded;
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
  /// Waits until the fill is finished: its block or its error. Nothing where the other task gave up: try
  /// again. `cancelled` where the waiting task's own scope ends first.
  Follow follow() noexcept;

 private:
  Result<LoadedBlock> accept();
  Result<> accept_block(ErrorPlace place);
  Result<> accept_partition(ErrorPlace place);
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

/// Slots of `slot_bytes`, as many as `bytes` hold, and of each power of two more up to a region: for the
/// blocks of large entries.
std::vector<SlotClass> slot_classes(std::uint32_t slot_bytes, std::uint64_t bytes);
/// The same, and smaller ones from a page on: for values.
std::vector<SlotClass> slot_classes_with_values(std::uint32_t slot_bytes, std::uint64_t bytes);

/// Owner shard: all of it; readers on other threads come in through CachedBlocks::find().
/// Lifecycle: outlives every CachedBlocks and every pin; pool, budget and epoch domain outlive it.
/// Invariants: slabs and loose blocks are charged to Purpose::cache. The first slab of the class for blocks
/// is taken whatever the cap says, and stays; more come only while the cap is roomy. All slabs together are
/// at most bytes_max: where that is reached, a class that is asked for more than it has room takes slabs from
/// the one that has most beyond what is asked of it.
class BlockCache {
 public:
  static constexpr std::uint64_t all_classes = ~std::uint64_t{0};

  BlockCache(BufferPool& buffers, MemoryBudget& budget, std::span<const SlotClass> classes,
             EpochDomain& epochs, std::uint64_t bytes_max = all_classes, std::uint32_t block_bytes = 0);
  BlockCache(const BlockCache&) = delete;
  BlockCache& operator=(const BlockCache&) = delete;
  ~BlockCache();

  /// Begins to give one slab back: evicts what is in it and frees it once its readers have left. Not inside
  /// an epoch. Whether another call may give more.
  bool shrink() noexcept;

  struct Counters {
    std::uint64_t fills = 0;  ///< blocks published, each after a miss
    std::uint64_t evictions = 0;
    std::uint64_t loose = 0;  ///< blocks that found no slot, or were not to stay
    std::uint64_t slots_used = 0;
    std::uint64_t slots = 0;  ///< there are now
  };
  Counters counters() const noexcept;

 private:
  friend class CachedBlock;
  friend class CachedBlocks;
  friend class CachedValues;
  friend class BlockFill;
  using Slab = CachedBlock::Slab;
  using Shelf = CachedBlock::Shelf;
  using Loose = CachedBlock::Loose;

  CachedBlock* take(std::size_t bytes);
  CachedBlock* take_loose(std::size_t bytes);
  bool grow(Shelf& shelf);
  void note_demand(Shelf& shelf) noexcept;
  void take_from_others(const Shelf& shelf);
  bool close_one(Shelf& shelf);
  void close(Slab& slab);
  std::uint64_t slab_bytes(const Shelf& shelf) const noexcept;
  void evict_some(Shelf& shelf);
  void retire(CachedBlock& slot);
  void publish(CachedBlock& slot, CachedBlocks& home, std::uint32_t ordinal);
  /// Into the queue, of whoever will say where it is.
  void enter(CachedBlock& slot, CacheHome& home, std::uint32_t place);
  /// Out of it, with its table.
  void leave(CachedBlock& slot) noexcept;
  void unpublish(CachedBlock& slot) noexcept;
  /// Back to the free list, or to the pool: nobody reads it.
  static void give_back(CachedBlock* slot) noexcept;

  BufferPool& buffers_;
  MemoryBudget& budget_;
  EpochDomain& epochs_;
  std::vector<std::unique_ptr<Shelf>> shelves_;  // by size, ascending
  Shelf* blocks_ = nullptr;                      // of most blocks
  std::uint64_t bytes_max_;
  std::uint64_t held_bytes_ = 0;   // of slabs that are not closing
  std::uint64_t asked_bytes_ = 0;  // of all shelves
  Counters counters_;
};

}  // namespace ashlar::lsm
