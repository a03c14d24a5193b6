/// How a slot lives:
///  1. free → BlockFill takes it; where a shelf has none free, a batch is evicted: unpublished, retired
///  through the
///     epoch, and free again when the last reader that may have seen it has left.
///  2. The frame is read into it, checked and parsed. A compressed one is decompressed into a second slot.
///  3. Published: the table's pointer is stored with release, and the slot joins the queues of S3-FIFO.
///  4. Evicted when cold (back to 1), or given up with its table. A pinned slot is never evicted; given up
///  while
///     pinned, it becomes free when the last pin goes.

#include "ashlar/kv/lsm/table/cache.h"

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <new>

#include "ashlar/kv/lsm/table/frame.h"

namespace ashlar::lsm {

/// The slots of one size.
struct CachedBlock::Shelf {
  Shelf(std::byte* memory, SlotClass c)
      : slot_bytes(c.slot_bytes), count(c.slots), slots(new CachedBlock[c.slots]), queue(c.slots) {
    for (std::uint32_t i = 0; i < count; ++i) {
      slots[i].shelf_ = this;
      slots[i].memory_ = memory + std::size_t{i} * slot_bytes;
      free.push_back(slots[i]);
    }
  }
  ~Shelf() { free.clear(); }

  std::uint32_t slot_bytes;
  std::uint32_t count;
  std::unique_ptr<CachedBlock[]> slots;
  std::uint32_t leaving = 0;  // evicted, not yet free
  IntrusiveList<CachedBlock> free;
  S3Fifo<CachedBlock> queue;
};

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
    cached->shelf_->queue.remove(*cached);
    cache_.unpublish(*cached);
    if (!cached->pinned()) BlockCache::give_back(cached);
  }
}

BlockFill* CachedBlocks::filling(std::uint32_t ordinal) noexcept {
  const auto found = std::ranges::find(fills_, ordinal, [](const BlockFill& fill) { return fill.ordinal(); });
  return found != fills_.end() ? &*found : nullptr;
}

BlockFill::BlockFill(CachedBlocks& blocks, std::uint32_t ordinal)
    : blocks_(blocks),
      ordinal_(ordinal),
      handle_(blocks.table_.block(ordinal)),
      slot_(blocks.cache_.take(handle_.bytes)) {
  blocks_.fills_.push_back(*this);
}

BlockFill::~BlockFill() {
  settle(LoadedBlock());
  if (slot_ != nullptr) BlockCache::give_back(slot_);
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
    CachedBlock* compressed = std::exchange(slot_, blocks_.cache_.take(frame.raw_bytes));
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

BlockCache::BlockCache(MutableBytes arena, std::span<const SlotClass> classes, EpochDomain& epochs)
    : epochs_(epochs) {
  assert(arena.size() >= arena_bytes(classes) &&
         reinterpret_cast<std::uintptr_t>(arena.data()) % page_bytes == 0);
  std::byte* at = arena.data();
  for (const SlotClass& c : classes) {
    assert(c.slot_bytes % page_bytes == 0);
    shelves_.push_back(std::make_unique<Shelf>(at, c));
    at += std::size_t{c.slot_bytes} * c.slots;
  }
  std::ranges::sort(shelves_, {}, [](const auto& shelf) { return shelf->slot_bytes; });
}

BlockCache::~BlockCache() {
  epochs_.drain();
}

std::size_t BlockCache::arena_bytes(std::span<const SlotClass> classes) noexcept {
  std::size_t bytes = 0;
  for (const SlotClass& c : classes) bytes += std::size_t{c.slot_bytes} * c.slots;
  return bytes;
}

BlockCache::Counters BlockCache::counters() const noexcept {
  Counters counters = counters_;
  for (const auto& shelf : shelves_) counters.slots_used += shelf->queue.size();
  return counters;
}

/// The tightest slot that is free or can be freed.
CachedBlock* BlockCache::take(std::size_t bytes) {
  for (const auto& shelf : shelves_) {
    if (shelf->slot_bytes < bytes) continue;
    if (shelf->free.empty()) evict_some(*shelf);
    if (CachedBlock* slot = shelf->free.pop_front()) return slot;
    break;  // never a larger size: it would push out what only fits there
  }
  ++counters_.loose;
  return take_loose(bytes);
}

CachedBlock* BlockCache::take_loose(std::size_t bytes) {
  auto* slot = new CachedBlock;
  slot->memory_ = static_cast<std::byte*>(::operator new(bytes, std::align_val_t{page_bytes}));
  return slot;
}

/// Evicts a batch, because a grace period costs a membarrier: a sixteenth of the shelf at most. Only one is
/// on its way at a time, lest a reader that stays in its epoch for long empties the cache.
void BlockCache::evict_some(Shelf& shelf) {
  const std::uint32_t batch = shelf.leaving != 0 ? 0 : std::clamp<std::uint32_t>(shelf.count / 16, 1, 32);
  for (std::uint32_t i = 0; i < batch; ++i) {
    CachedBlock* slot = shelf.queue.evict();
    if (slot == nullptr) break;
    unpublish(*slot);
    ++shelf.leaving;
    ++counters_.evictions;
    epochs_.retire(slot, [](void* retired) noexcept {
      auto* free = static_cast<CachedBlock*>(retired);
      --free->shelf_->leaving;
      give_back(free);
    });
  }
  epochs_.reclaim();
}

void BlockCache::publish(CachedBlock& slot, CachedBlocks& home, std::uint32_t ordinal, const Block& block) {
  slot.block_ = block;
  if (slot.shelf_ == nullptr) return;  // loose: lives as long as its pin
  slot.home_ = &home;
  slot.ordinal_ = ordinal;
  slot.cool(0);
  home.blocks_[ordinal].store(&slot, std::memory_order_release);
  slot.shelf_->queue.insert(slot);
  ++counters_.fills;
}

void BlockCache::unpublish(CachedBlock& slot) noexcept {
  slot.home_->blocks_[slot.ordinal_].store(nullptr, std::memory_order_relaxed);
  slot.home_ = nullptr;
}

void BlockCache::give_back(CachedBlock* slot) noexcept {
  if (slot->shelf_ != nullptr) {
    slot->shelf_->free.push_front(*slot);  // the warmest memory first
    return;
  }
  ::operator delete(slot->memory_, std::align_val_t{page_bytes});
  delete slot;
}

}  // namespace ashlar::lsm
