/// How a slot lives:
///  1. free → BlockFill takes it; where a shelf has none free, a batch is evicted: unpublished, retired
///  through the
///     epoch, and free again when the last reader that may have seen it has left.
///  2. The frame is read into it, checked and parsed. A compressed one is decompressed into a second slot.
///  3. Published: the table's pointer is stored with release, and the slot joins the queues of S3-FIFO.
///  4. Evicted when cold (back to 1), or given up with its table. A pinned slot is never evicted; given up
///  while
///     pinned, it becomes free when the last pin goes.
///
/// How a slab lives: taken where a slot is wanted, none is free and the cap is roomy. It closes where others
/// want the memory: its free slots leave the free list, the others are evicted, and with the last of them it
/// goes.

#include "ashlar/kv/lsm/table/cache.h"

#include <algorithm>
#include <cassert>
#include <cstdlib>

#include "ashlar/kv/lsm/table/frame.h"

namespace ashlar::lsm {

/// A block in a slab.
struct CachedBlock::Slot final : CachedBlock {};

/// One piece of memory and its slots.
struct CachedBlock::Slab {
  Slab(Shelf& owner, IoBuffer buffer, std::uint32_t slot_count, MemoryBudget& budget)
      : shelf(owner),
        memory(std::move(buffer)),
        charge(budget.charge_regardless(Purpose::cache, slot_count * sizeof(Slot))),
        count(slot_count),
        slots(new Slot[slot_count]) {}

  Shelf& shelf;
  IoBuffer memory;
  MemoryCharge charge;
  std::uint32_t count;
  std::unique_ptr<Slot[]> slots;
  bool closing = false;
  std::uint32_t left = 0;  // slots that a closing slab waits for
};

/// The slots of one size.
struct CachedBlock::Shelf {
  Shelf(SlotClass c, MemoryBudget& budget) : slot_bytes(c.slot_bytes), slots_max(c.slots), queue(c.slots) {
    charge = budget.charge_regardless(Purpose::cache, queue.memory_bytes());
  }
  ~Shelf() { free.clear(); }

  void add(std::unique_ptr<Slab> slab);
  void remove(Slab& slab) noexcept;

  std::uint32_t slot_bytes;
  std::uint32_t slots_max;
  std::uint32_t count = 0;    // of slots, those of a closing slab not counted
  std::uint32_t leaving = 0;  // evicted, not yet free
  std::size_t next_slab = 0;  // the next to be looked at by shrink()
  MemoryCharge charge;
  std::vector<std::unique_ptr<Slab>> slabs;
  IntrusiveList<CachedBlock> free;
  S3Fifo<CachedBlock> queue;
};

/// A block with memory of its own, which lives as long as its pin.
struct CachedBlock::Loose final : CachedBlock {
  explicit Loose(IoBuffer buffer) noexcept : memory(std::move(buffer)) { memory_ = memory.data(); }
  IoBuffer memory;
};

void CachedBlock::Shelf::add(std::unique_ptr<Slab> slab) {
  for (std::uint32_t i = 0; i < slab->count; ++i) {
    CachedBlock& slot = slab->slots[i];
    slot.slab_ = slab.get();
    slot.memory_ = slab->memory.data() + std::size_t{i} * slot_bytes;
    free.push_back(slot);
  }
  count += slab->count;
  queue.resize(count);
  slabs.push_back(std::move(slab));
}

void CachedBlock::Shelf::remove(Slab& slab) noexcept {
  std::erase_if(slabs, [&](const auto& one) { return one.get() == &slab; });
}

std::uint64_t CachedBlock::identity() const noexcept {
  std::uint64_t mixed = (home_->table_.number() << 32) ^ home_->table_.number() >> 32 ^ ordinal_;
  mixed = (mixed ^ mixed >> 32) * 0xd6e8feb86659fd93;
  mixed = (mixed ^ mixed >> 32) * 0xd6e8feb86659fd93;
  return mixed ^ mixed >> 32;
}

void CachedBlock::released() noexcept {
  if (home_ == nullptr) BlockCache::give_back(this);
}

CachedBlocks::CachedBlocks(BlockCache& cache, const Table& table)
    : cache_(cache), table_(table), blocks_(new std::atomic<CachedBlock*>[table.block_count()]()) {}

CachedBlocks::~CachedBlocks() {
  for (std::uint32_t ordinal = 0; ordinal < table_.block_count(); ++ordinal) {
    CachedBlock* cached = blocks_[ordinal].load(std::memory_order_relaxed);
    if (cached == nullptr) continue;
    cached->slab_->shelf.queue.remove(*cached);
    cache_.unpublish(*cached);
    if (!cached->pinned()) BlockCache::give_back(cached);
  }
}

BlockFill* CachedBlocks::filling(std::uint32_t ordinal) noexcept {
  const auto found = std::ranges::find(fills_, ordinal, [](const BlockFill& fill) { return fill.ordinal(); });
  return found != fills_.end() ? &*found : nullptr;
}

BlockFill::BlockFill(CachedBlocks& blocks, std::uint32_t ordinal, bool keep)
    : blocks_(blocks),
      ordinal_(ordinal),
      keep_(keep),
      handle_(blocks.table_.block(ordinal)),
      slot_(take(handle_.bytes)) {
  blocks_.fills_.push_back(*this);
}

BlockFill::~BlockFill() {
  settle(LoadedBlock());
  if (slot_ != nullptr) BlockCache::give_back(slot_);
}

CachedBlock* BlockFill::take(std::size_t bytes) {
  return keep_ ? blocks_.cache_.take(bytes) : blocks_.cache_.take_loose(bytes);
}

Result<LoadedBlock> BlockFill::finish(const Result<>& read) {
  Result<LoadedBlock> outcome = read ? accept() : std::unexpected(read.error());
  settle(outcome);
  return outcome;
}

void BlockFill::settle(const Result<LoadedBlock>& outcome) noexcept {
  unlink();
  while (!followers_.empty()) {
    auto& follower = static_cast<Follow&>(followers_.front());
    if (outcome) {
      follower.outcome_ = outcome->share();
    } else if (outcome.error().code !=
               Errc::cancelled) {  // that this task was cancelled does not concern them
      follower.outcome_ = std::unexpected(outcome.error());
    }
    follower.wake();
  }
}

Result<LoadedBlock> BlockFill::accept() {
  const ErrorPlace place{blocks_.table_.number(), handle_.offset};
  const Frame frame = TRY(open_frame(memory(), FrameType::data, place));
  Bytes payload = frame.stored;
  if (frame.compression != Compression::none) {
    CachedBlock* compressed = std::exchange(slot_, take(frame.raw_bytes));
    const MutableBytes raw{slot_->memory_, frame.raw_bytes};
    const Result<> decompressed = decompress(frame, raw, place);
    BlockCache::give_back(compressed);
    TRY(decompressed);
    payload = raw;
  }
  const Block block = TRY(Block::parse(payload, place));

  CachedBlock* loaded = blocks_.blocks_[ordinal_].load(std::memory_order_relaxed);
  if (loaded == nullptr) {
    loaded = std::exchange(slot_, nullptr);
    blocks_.cache_.publish(*loaded, blocks_, ordinal_, block);
  }
  return LoadedBlock{&loaded->block_, kv::Pin(*loaded)};
}

BlockCache::BlockCache(BufferPool& buffers, MemoryBudget& budget, std::span<const SlotClass> classes,
                       EpochDomain& epochs)
    : buffers_(buffers), budget_(budget), epochs_(epochs) {
  for (const SlotClass& c : classes) {
    assert(c.slot_bytes % page_bytes == 0 && c.slot_bytes <= Region::bytes);
    shelves_.push_back(std::make_unique<Shelf>(c, budget));
  }
  std::ranges::sort(shelves_, {}, [](const auto& shelf) { return shelf->slot_bytes; });
}

BlockCache::~BlockCache() {
  epochs_.drain();
}

BlockCache::Counters BlockCache::counters() const noexcept {
  Counters counters = counters_;
  for (const auto& shelf : shelves_) {
    counters.slots_used += shelf->queue.size();
    counters.slots += shelf->count;
  }
  return counters;
}

/// The tightest slot that is free or can be freed.
CachedBlock* BlockCache::take(std::size_t bytes) {
  for (const auto& shelf : shelves_) {
    if (shelf->slot_bytes < bytes) continue;
    if (shelf->free.empty() && !grow(*shelf)) evict_some(*shelf);
    if (CachedBlock* slot = shelf->free.pop_front()) return slot;
    break;  // never a larger size: it would push out what only fits there
  }
  ++counters_.loose;
  return take_loose(bytes);
}

/// A read that was admitted is served: beyond the cap, if need be. Where even the system has no memory, the
/// process ends, as it does where there is none for a frame.
CachedBlock* BlockCache::take_loose(std::size_t bytes) {
  auto memory = buffers_.allocate_regardless(bytes, Purpose::cache);
  if (!memory) std::abort();
  return new Loose(*std::move(memory));
}

bool BlockCache::grow(Shelf& shelf) {
  const std::uint32_t wanted =
      std::min(shelf.slots_max - shelf.count, static_cast<std::uint32_t>(Region::bytes) / shelf.slot_bytes);
  if (wanted == 0) return false;
  const bool first = shelf.count == 0;
  if (!first && !budget_.cap().roomy()) return false;
  const std::size_t bytes = std::size_t{wanted} * shelf.slot_bytes;
  auto memory =
      first ? buffers_.allocate_regardless(bytes, Purpose::cache) : buffers_.allocate(bytes, Purpose::cache);
  if (!memory) return false;
  shelf.add(std::make_unique<Slab>(shelf, *std::move(memory), wanted, budget_));
  return true;
}

/// Looks at a few slabs for one whose slots are all free or cached and unpinned. One is on its way at a time.
bool BlockCache::shrink() noexcept {
  constexpr std::size_t slabs_looked_at = 4;
  const auto free_or_evictable = [](const CachedBlock& slot) {
    return slot.home_ != nullptr ? !slot.pinned() : slot.linked();
  };
  bool more = false;
  for (const auto& shelf : shelves_) {
    if (shelf->leaving != 0) {
      epochs_.reclaim();
      more = true;
      continue;
    }
    const std::size_t looks = std::min(slabs_looked_at, shelf->slabs.size());
    for (std::size_t look = 0; look < looks && shelf->slabs.size() > 1; ++look) {
      Slab& slab = *shelf->slabs[shelf->next_slab++ % shelf->slabs.size()];
      if (!std::all_of(slab.slots.get(), slab.slots.get() + slab.count, free_or_evictable)) continue;
      close(slab);
      more = true;
      break;
    }
  }
  return more;
}

void BlockCache::close(Slab& slab) {
  Shelf& shelf = slab.shelf;
  slab.closing = true;
  slab.left = 1;  // this call: retiring may free others meanwhile
  shelf.count -= slab.count;
  shelf.queue.resize(shelf.count);
  for (std::uint32_t i = 0; i < slab.count; ++i) {
    CachedBlock& slot = slab.slots[i];
    if (slot.home_ == nullptr) {
      slot.unlink();
      continue;
    }
    shelf.queue.remove(slot);
    ++slab.left;
    retire(slot);
  }
  epochs_.reclaim();
  if (--slab.left == 0) shelf.remove(slab);
}

/// Evicts a batch, because a grace period costs a membarrier: a sixteenth of the shelf at most. Only one is
/// on its way at a time, lest a reader that stays in its epoch for long empties the cache.
void BlockCache::evict_some(Shelf& shelf) {
  const std::uint32_t batch = shelf.leaving != 0 ? 0 : std::clamp<std::uint32_t>(shelf.count / 16, 1, 32);
  for (std::uint32_t i = 0; i < batch; ++i) {
    CachedBlock* slot = shelf.queue.evict();
    if (slot == nullptr) break;
    retire(*slot);
  }
  epochs_.reclaim();
}

/// Takes the block out of its table; the slot is free once no reader can see it.
void BlockCache::retire(CachedBlock& slot) {
  unpublish(slot);
  ++slot.slab_->shelf.leaving;
  ++counters_.evictions;
  epochs_.retire(&slot, [](void* retired) noexcept {
    auto* free = static_cast<CachedBlock*>(retired);
    --free->slab_->shelf.leaving;
    give_back(free);
  });
}

void BlockCache::publish(CachedBlock& slot, CachedBlocks& home, std::uint32_t ordinal, const Block& block) {
  slot.block_ = block;
  if (slot.slab_ == nullptr) return;  // loose: lives as long as its pin
  slot.home_ = &home;
  slot.ordinal_ = ordinal;
  slot.cool(0);
  home.blocks_[ordinal].store(&slot, std::memory_order_release);
  slot.slab_->shelf.queue.insert(slot);
  ++counters_.fills;
}

void BlockCache::unpublish(CachedBlock& slot) noexcept {
  slot.home_->blocks_[slot.ordinal_].store(nullptr, std::memory_order_relaxed);
  slot.home_ = nullptr;
}

void BlockCache::give_back(CachedBlock* slot) noexcept {
  Slab* slab = slot->slab_;
  if (slab == nullptr) {
    delete static_cast<Loose*>(slot);
  } else if (!slab->closing) {
    slab->shelf.free.push_front(*slot);  // the warmest memory first
  } else if (--slab->left == 0) {
    slab->shelf.remove(*slab);
  }
}

}  // namespace ashlar::lsm
