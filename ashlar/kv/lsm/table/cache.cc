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
#include <bit>
#include <cassert>
#include <cstdlib>
#include <new>

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

  std::uint64_t bytes() const noexcept { return std::uint64_t{count} * slot_bytes; }
  void add(std::unique_ptr<Slab> slab);
  void remove(Slab& slab) noexcept;

  std::uint32_t slot_bytes;
  std::uint32_t slots_max;
  std::uint32_t count = 0;        // of slots, those of a closing slab not counted
  std::uint32_t leaving = 0;      // evicted, not yet free
  std::uint64_t asked_bytes = 0;  // by misses, older ones counting less
  std::size_t next_slab = 0;      // the next to be looked at by shrink()
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
  const std::uint64_t number = home_->number();
  std::uint64_t mixed = (number << 32) ^ number >> 32 ^ ordinal_;
  mixed = (mixed ^ mixed >> 32) * 0xd6e8feb86659fd93;
  mixed = (mixed ^ mixed >> 32) * 0xd6e8feb86659fd93;
  return mixed ^ mixed >> 32;
}

void CachedBlock::released() noexcept {
  if (home_ == nullptr) BlockCache::give_back(this);
}

CachedBlocks::CachedBlocks(BlockCache& cache, const Table& table)
    : cache_(cache), table_(table), places_(new Place[table.ordinal_count()]()) {}

CachedBlocks::~CachedBlocks() {
  for (std::uint32_t ordinal = 0; ordinal < table_.ordinal_count(); ++ordinal) {
    CachedBlock* cached = places_[ordinal].block.load(std::memory_order_relaxed);
    if (cached != nullptr) cache_.leave(*cached);
  }
}

void CachedBlocks::forget(const CachedBlock& block) noexcept {
  places_[block.ordinal_].block.store(nullptr, std::memory_order_relaxed);
}

CachedValues::~CachedValues() {
  while (!values_.empty()) cache_.leave(*values_.begin()->second);
}

CachedBlock* CachedValues::find(std::uint32_t place) const noexcept {
  const auto found = values_.find(place);
  if (found == values_.end()) return nullptr;
  found->second->touch();
  return found->second;
}

void CachedValues::put(std::uint32_t place, Bytes value) {
  if (value.size() > value_bytes_max || values_.contains(place)) return;
  CachedBlock* const slot = cache_.take(value.size());
  if (slot->slab_ == nullptr) {  // no room
    BlockCache::give_back(slot);
    return;
  }
  std::memcpy(slot->memory_, value.data(), value.size());
  slot->content_.value_bytes = static_cast<std::uint32_t>(value.size());
  values_[place] = slot;
  cache_.enter(*slot, *this, place);
}

void CachedValues::forget(const CachedBlock& block) noexcept {
  values_.erase(block.ordinal_);
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
  const bool partition = blocks_.table_.is_partition(ordinal_);
  TRY(partition ? accept_partition(place) : accept_block(place));
  CachedBlock* loaded = blocks_.places_[ordinal_].block.load(std::memory_order_relaxed);
  if (loaded == nullptr) {
    loaded = std::exchange(slot_, nullptr);
    blocks_.cache_.publish(*loaded, blocks_, ordinal_);
  }
  return LoadedBlock(*loaded, partition);
}

Result<> BlockFill::accept_block(ErrorPlace place) {
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
  slot_->content_.block = TRY(Block::parse(payload, place, blocks_.table_.sequence_shift()));
  return {};
}

/// What was parsed stands behind the frame: its slack is for that.
Result<> BlockFill::accept_partition(ErrorPlace place) {
  const Bytes payload = TRY(open_plain_frame(memory(), FrameType::partition, place));
  if (handle_.bytes < frame_header_bytes + payload.size() + partition_slack_bytes)
    return fail(Errc::corrupt, "table partition: slack", place);
  const TablePartition parsed = TRY(TablePartition::parse(payload, blocks_.table_.scope(ordinal_), place));
  std::byte* to = slot_->memory_ + round_up(frame_header_bytes + payload.size(), alignof(TablePartition));
  slot_->content_.partition = new (to) TablePartition(parsed);
  return {};
}

std::vector<SlotClass> slot_classes(std::uint32_t slot_bytes, std::uint64_t bytes) {
  std::vector<SlotClass> classes;
  const std::uint64_t at_least = std::uint64_t{16} * slot_bytes;
  for (std::uint64_t size = slot_bytes; size <= Region::bytes; size *= 2) {
    const std::uint64_t slots = std::max(bytes, at_least) / size;
    if (slots != 0) classes.push_back({static_cast<std::uint32_t>(size), static_cast<std::uint32_t>(slots)});
  }
  return classes;
}

std::vector<SlotClass> slot_classes_with_values(std::uint32_t slot_bytes, std::uint64_t bytes) {
  std::vector<SlotClass> classes = slot_classes(slot_bytes, bytes);
  for (std::uint32_t size = page_bytes; size < slot_bytes; size *= 2)
    classes.push_back({size, static_cast<std::uint32_t>(std::max<std::uint64_t>(bytes / size, 1))});
  return classes;
}

BlockCache::BlockCache(BufferPool& buffers, MemoryBudget& budget, std::span<const SlotClass> classes,
                       EpochDomain& epochs, std::uint64_t bytes_max, std::uint32_t block_bytes)
    : buffers_(buffers), budget_(budget), epochs_(epochs), bytes_max_(bytes_max) {
  for (const SlotClass& c : classes) {
    assert(c.slot_bytes % page_bytes == 0 && c.slot_bytes <= Region::bytes);
    shelves_.push_back(std::make_unique<Shelf>(c, budget));
  }
  std::ranges::sort(shelves_, {}, [](const auto& shelf) { return shelf->slot_bytes; });
  for (auto shelf = shelves_.rbegin(); shelf != shelves_.rend(); ++shelf) {
    if (blocks_ == nullptr || (*shelf)->slot_bytes >= block_bytes) blocks_ = shelf->get();
  }
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
    note_demand(*shelf);
    if (shelf->free.empty() && !grow(*shelf)) {
      take_from_others(*shelf);
      evict_some(*shelf);
    }
    if (CachedBlock* slot = shelf->free.pop_front()) return slot;
    break;  // never a larger size: it would push out what only fits there
  }
  return take_loose(bytes);
}

/// A read that was admitted is served: beyond the cap, if need be. Where even the system has no memory, the
/// process ends, as it does where there is none for a frame.
CachedBlock* BlockCache::take_loose(std::size_t bytes) {
  auto memory = buffers_.allocate_regardless(bytes, Purpose::cache);
  if (!memory) std::abort();
  ++counters_.loose;
  return new Loose(*std::move(memory));
}

/// A region, or where the whole cache is a few of them, less.
std::uint64_t BlockCache::slab_bytes(const Shelf& shelf) const noexcept {
  const std::uint64_t part = std::bit_floor(std::max<std::uint64_t>(bytes_max_ / 8, 1));
  return std::clamp<std::uint64_t>(part, shelf.slot_bytes, Region::bytes);
}

bool BlockCache::grow(Shelf& shelf) {
  const auto wanted = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(shelf.slots_max - shelf.count, slab_bytes(shelf) / shelf.slot_bytes));
  if (wanted == 0) return false;
  const bool first = shelf.count == 0 && &shelf == blocks_;
  if (!first && !budget_.cap().roomy()) return false;
  const std::size_t bytes = std::size_t{wanted} * shelf.slot_bytes;
  if (!first && bytes > bytes_max_ - std::min(held_bytes_, bytes_max_)) return false;
  auto memory =
      first ? buffers_.allocate_regardless(bytes, Purpose::cache) : buffers_.allocate(bytes, Purpose::cache);
  if (!memory) return false;
  shelf.add(std::make_unique<Slab>(shelf, *std::move(memory), wanted, budget_));
  held_bytes_ += bytes;
  return true;
}

void BlockCache::note_demand(Shelf& shelf) noexcept {
  constexpr std::uint64_t forget_after_bytes = std::uint64_t{64} << 20;
  shelf.asked_bytes += shelf.slot_bytes;
  asked_bytes_ += shelf.slot_bytes;
  if (asked_bytes_ < forget_after_bytes) return;
  asked_bytes_ = 0;
  for (const auto& one : shelves_) asked_bytes_ += one->asked_bytes /= 2;
}

/// Where the limit is what keeps `shelf` from growing, and it has less than its share of what was asked for.
void BlockCache::take_from_others(const Shelf& shelf) {
  if (held_bytes_ + slab_bytes(shelf) <= bytes_max_) return;
  const auto surplus = [&](const Shelf& one) {
    const double share = static_cast<double>(one.asked_bytes) / static_cast<double>(asked_bytes_);
    return static_cast<double>(one.bytes()) - share * static_cast<double>(bytes_max_);
  };
  if (surplus(shelf) > -static_cast<double>(slab_bytes(shelf))) return;
  Shelf* richest = nullptr;
  for (const auto& one : shelves_) {
    if (one.get() == &shelf || one->leaving != 0 || surplus(*one) <= 0) continue;
    if (richest == nullptr || surplus(*one) > surplus(*richest)) richest = one.get();
  }
  if (richest != nullptr) (void)close_one(*richest);
}

/// Looks at a few slabs for one whose slots are all free or cached and unpinned, and closes it. The last slab
/// of the class for blocks stays.
bool BlockCache::close_one(Shelf& shelf) {
  constexpr std::size_t slabs_looked_at = 4;
  const auto free_or_evictable = [](const CachedBlock& slot) {
    return slot.home_ != nullptr ? !slot.pinned() : slot.linked();
  };
  const std::size_t keep = &shelf == blocks_ ? 1 : 0;
  const std::size_t looks = std::min(slabs_looked_at, shelf.slabs.size());
  for (std::size_t look = 0; look < looks && shelf.slabs.size() > keep; ++look) {
    Slab& slab = *shelf.slabs[shelf.next_slab++ % shelf.slabs.size()];
    if (slab.closing || !std::all_of(slab.slots.get(), slab.slots.get() + slab.count, free_or_evictable))
      continue;
    close(slab);
    return true;
  }
  return false;
}

/// One slab of each class is on its way at a time.
bool BlockCache::shrink() noexcept {
  bool more = false;
  for (const auto& shelf : shelves_) {
    if (shelf->leaving != 0) {
      epochs_.reclaim();
      more = true;
    } else {
      more |= close_one(*shelf);
    }
  }
  return more;
}

void BlockCache::close(Slab& slab) {
  Shelf& shelf = slab.shelf;
  slab.closing = true;
  slab.left = 1;  // this call: retiring may free others meanwhile
  shelf.count -= slab.count;
  held_bytes_ -= std::uint64_t{slab.count} * shelf.slot_bytes;
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

void BlockCache::publish(CachedBlock& slot, CachedBlocks& home, std::uint32_t ordinal) {
  if (slot.slab_ == nullptr) return;  // loose: lives as long as its pin
  CachedBlocks::Place& place = home.places_[ordinal];
  const bool partition = home.table_.is_partition(ordinal);
  place.hint.store(partition ? 0 : Block::Hint(slot.block()).packed(), std::memory_order_relaxed);
  place.block.store(&slot, std::memory_order_release);
  enter(slot, home, ordinal);
}

void BlockCache::enter(CachedBlock& slot, CacheHome& home, std::uint32_t place) {
  slot.home_ = &home;
  slot.ordinal_ = place;
  slot.cool(0);
  slot.slab_->shelf.queue.insert(slot);
  ++counters_.fills;
}

void BlockCache::leave(CachedBlock& slot) noexcept {
  slot.slab_->shelf.queue.remove(slot);
  unpublish(slot);
  // In a closing slab: close() is retiring its slots, has not come to this one, and will pass over it.
  if (!slot.pinned() && !slot.slab_->closing) give_back(&slot);
}

void BlockCache::unpublish(CachedBlock& slot) noexcept {
  slot.home_->forget(slot);
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
