#include "ashlar/runtime/ops/sim/file_image.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace ashlar::sim {

namespace {

// How a crash picks among versions: real devices lose all, lose nothing, or anything between.
enum Mode : unsigned { oldest, newest, any };
unsigned draw_mode(Random& random) {
  return std::min<unsigned>(static_cast<unsigned>(random.below(4)), any);
}

}  // namespace

std::uint64_t FileImage::blocks_missing(std::uint64_t offset, std::uint64_t length) const noexcept {
  if (length == 0) return 0;
  std::uint64_t missing = 0;
  for (std::uint64_t i = offset / block_bytes; i <= (offset + length - 1) / block_bytes; ++i) {
    if (i >= reserved_.size() || !reserved_[i]) ++missing;
  }
  return missing;
}

void FileImage::read(std::uint64_t offset, MutableBytes into) const {
  const std::uint64_t end = offset + into.size();
  std::uint64_t at = offset;
  const auto fill_hole = [&](std::uint64_t until) {
    if (until > at) std::memset(into.data() + (at - offset), 0, until - at);
  };
  for (auto it = blocks_.lower_bound(offset / block_bytes); it != blocks_.end() && at < end; ++it) {
    const std::uint64_t base = it->first * block_bytes;
    if (base >= end) break;
    fill_hole(base);
    at = std::max(at, base);
    const std::uint64_t to = std::min(end, base + block_bytes);
    std::memcpy(into.data() + (at - offset), it->second->data.data() + (at - base), to - at);
    at = to;
  }
  fill_hole(end);
}

void FileImage::write(std::uint64_t offset, Bytes from, bool durable, bool atomic) {
  ++changes_;
  if (atomic && !durable)
    atomic_writes_.push_back({changes_, offset / sector_bytes, (offset + from.size()) / sector_bytes});
  if (from.empty()) return;
  if (durable) settle_truncations(changes_);
  const std::uint64_t end = offset + from.size();
  reserve(offset / block_bytes, (end - 1) / block_bytes);
  for (std::uint64_t at = offset; at < end;) {
    const std::uint64_t index = at / block_bytes;
    bool fresh = false;
    Block& block = block_for_write(index, fresh);
    const std::uint64_t stop = std::min(end, (index + 1) * block_bytes);
    const auto first = static_cast<unsigned>(at % block_bytes / sector_bytes);
    const auto last = static_cast<unsigned>((stop - 1) % block_bytes / sector_bytes);
    for (unsigned sector = first; sector <= last; ++sector) change_sector(block, sector, fresh, durable);
    std::memcpy(block.data.data() + at % block_bytes, from.data() + (at - offset), stop - at);
    if (block.older.empty()) {
      dirty_.erase(index);
    } else {
      dirty_.insert(index);
    }
    at = stop;
  }
  if (end > size_.value) {
    set_size(end, durable);
  } else if (durable) {
    for (Size& older : older_sizes_) older.value = std::max(older.value, end);
  }
}

void FileImage::allocate(std::uint64_t offset, std::uint64_t length) {
  ++changes_;
  if (length == 0) return;
  const std::uint64_t first = offset / block_bytes;
  const std::uint64_t last = (offset + length - 1) / block_bytes;
  reserve(first, last);
  reservations_.push_back({changes_, first, last});
  if (offset + length > size_.value) set_size(offset + length, false);
}

void FileImage::resize(std::uint64_t size) {
  ++changes_;
  if (size < size_.value) {
    truncations_.push_back(changes_);
    for (auto it = blocks_.lower_bound(size / block_bytes); it != blocks_.end(); ++it) {
      const std::uint64_t base = it->first * block_bytes;
      const std::uint64_t keep = size > base ? size - base : 0;
      if (keep >= block_bytes) continue;
      Block& block = *it->second;
      for (unsigned sector = static_cast<unsigned>(keep / sector_bytes); sector < sectors_per_block;
           ++sector) {
        change_sector(block, sector, false, false);
      }
      std::fill(block.data.begin() + static_cast<std::ptrdiff_t>(keep), block.data.end(), std::byte{0});
      dirty_.insert(it->first);
    }
    const std::uint64_t kept_blocks = (size + block_bytes - 1) / block_bytes;
    for (std::uint64_t i = kept_blocks; i < reserved_.size(); ++i) block_count_ -= reserved_[i] ? 1 : 0;
    if (kept_blocks < reserved_.size()) reserved_.resize(kept_blocks);
  }
  if (size != size_.value) set_size(size, false);
}

// Only blocks that hold something change; a crash may bring back what they held, and with it their space.
void FileImage::zero(std::uint64_t offset, std::uint64_t length, bool release) {
  ++changes_;
  const std::uint64_t end = offset + length;
  for (auto it = blocks_.lower_bound(offset / block_bytes); it != blocks_.end(); ++it) {
    const std::uint64_t base = it->first * block_bytes;
    if (base >= end) break;
    const std::uint64_t from = offset > base ? offset - base : 0;
    const std::uint64_t to = std::min(end - base, block_bytes);
    for (std::uint64_t sector = from / sector_bytes; sector <= (to - 1) / sector_bytes; ++sector)
      change_sector(*it->second, static_cast<unsigned>(sector), false, false);
    std::memset(it->second->data.data() + from, 0, to - from);
    dirty_.insert(it->first);
  }
  if (release) {
    give_up((offset + block_bytes - 1) / block_bytes, end / block_bytes);
  } else {
    reserve(offset / block_bytes, (end - 1) / block_bytes);
    reservations_.push_back({changes_, offset / block_bytes, (end - 1) / block_bytes});
  }
}

// A version is replaced for good once the one after it is on the medium.
void FileImage::sync(std::uint64_t up_to) {
  settle_truncations(up_to);
  for (auto it = dirty_.begin(); it != dirty_.end();) {
    Block& block = *blocks_.at(*it);
    std::array<std::uint64_t, sectors_per_block> next = block.changed;
    for (std::size_t i = block.older.size(); i-- > 0;) {
      Version& version = block.older[i];
      const std::uint64_t successor = std::exchange(next[version.sector], version.change);
      const bool dropped = (block.dropped >> version.sector & 1) != 0;
      if (successor <= up_to && !dropped) version.sector = sectors_per_block;  // marks it for removal
    }
    std::erase_if(block.older, [](const Version& version) { return version.sector == sectors_per_block; });
    it = block.older.empty() ? dirty_.erase(it) : std::next(it);
  }
  std::uint64_t next = size_.change;
  for (std::size_t i = older_sizes_.size(); i-- > 0;) {
    const std::uint64_t successor = std::exchange(next, older_sizes_[i].change);
    if (successor <= up_to) older_sizes_.erase(older_sizes_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  std::erase_if(reservations_, [&](const Reservation& r) { return r.change <= up_to; });
  std::erase_if(atomic_writes_,
                [&](const AtomicWrite& write) { return write.change <= up_to && !any_dropped(write); });
}

bool FileImage::any_dropped(const AtomicWrite& write) const {
  for (std::uint64_t at = write.first; at < write.end; ++at) {
    const auto block = blocks_.find(at / sectors_per_block);
    if (block != blocks_.end() && (block->second->dropped >> at % sectors_per_block & 1) != 0) return true;
  }
  return false;
}

void FileImage::drop_unsynced(Random& random) {
  std::set<std::uint64_t> dropped;  // sectors of the file
  for (const std::uint64_t index : dirty_) {
    for (const Version& version : blocks_.at(index)->older) {
      if (random.one_in(2)) dropped.insert(index * sectors_per_block + version.sector);
    }
  }
  keep_atomic_writes_whole(dropped);
  for (const std::uint64_t at : dropped)
    blocks_.at(at / sectors_per_block)->dropped |= static_cast<std::uint8_t>(1u << at % sectors_per_block);
}

// An atomic write is dropped as a whole. Where a part of it has been overwritten, nothing in its range is;
// nor in the range of another that shares a sector with it, and so on.
void FileImage::keep_atomic_writes_whole(std::set<std::uint64_t>& dropped) const {
  for (std::size_t before = dropped.size() + 1; before != dropped.size();) {
    before = dropped.size();
    for (const AtomicWrite& write : atomic_writes_) {
      bool all = true;
      for (std::uint64_t at = write.first; at < write.end; ++at) {
        const Block& block = *blocks_.at(at / sectors_per_block);
        all &= dropped.contains(at) && block.changed[at % sectors_per_block] == write.change;
      }
      if (!all) dropped.erase(dropped.lower_bound(write.first), dropped.lower_bound(write.end));
    }
  }
}

void FileImage::crash(Random& random) {
  // Truncations reach the medium in order: those before `lost` did, those from it on did not.
  const std::size_t count = truncations_.empty() ? 0 : random.below(truncations_.size() + 1);
  const std::uint64_t survived = count == 0 ? 0 : truncations_[count - 1];
  const std::uint64_t lost = count == truncations_.size() ? no_change : truncations_[count];

  const unsigned mode = draw_mode(random);
  const AtomicBounds bounds = settle_atomic_writes(survived, lost, mode, random);
  for (const std::uint64_t index : dirty_) {
    Block& block = *blocks_.at(index);
    for (unsigned sector = 0; sector < sectors_per_block; ++sector) {
      Choice choice = choices(block, sector, survived, lost);
      if (const auto bound = bounds.find(index * sectors_per_block + sector); bound != bounds.end())
        narrow(block, sector, bound->second, choice);
      if (!choice.older.empty()) crash_sector(block, sector, choice, mode, random);
    }
    block.older.clear();
    block.changed.fill(0);
    block.dropped = 0;
  }
  dirty_.clear();
  atomic_writes_.clear();

  std::vector<std::uint64_t> sizes;
  for (const Size& size : older_sizes_) {
    if (size.change >= survived && size.change < lost) sizes.push_back(size.value);
  }
  if (size_.change >= survived && size_.change < lost) sizes.push_back(size_.value);
  if (!sizes.empty()) {
    const unsigned size_mode = draw_mode(random);
    size_.value = size_mode == oldest   ? sizes.front()
                  : size_mode == newest ? sizes.back()
                                        : sizes[random.below(sizes.size())];
  }
  size_.change = 0;
  changes_ = 0;
  older_sizes_.clear();
  truncations_.clear();
  crash_reservations(random);
  cut_off(size_.value);
  // What a lost truncation or discard had freed is in use again.
  for (const auto& [index, block] : blocks_) {
    if (lost != no_change || std::ranges::any_of(block->data, [](std::byte b) { return b != std::byte{}; }))
      reserve(index, index);
  }
}

std::uint64_t FileImage::change_of(const Block& block, unsigned sector, const Choice& choice, std::size_t i) {
  return i < choice.older.size() ? choice.older[i]->change : block.changed[sector];
}

// `survived` and `lost`: the last truncation that reached the medium and the first that did not.
FileImage::Choice FileImage::choices(Block& block, unsigned sector, std::uint64_t survived,
                                     std::uint64_t lost) {
  Choice choice;
  for (Version& version : block.older) {
    if (version.sector == sector) choice.older.push_back(&version);
  }
  const std::size_t current = choice.older.size();
  choice.last = current - ((block.dropped >> sector & 1) != 0 && current != 0 ? 1 : 0);
  for (std::size_t i = 0; i <= current; ++i) {
    if (survived != 0 && change_of(block, sector, choice, i) == survived) choice.first = i;
    if (i > 0 && change_of(block, sector, choice, i) == lost) choice.last = std::min(choice.last, i - 1);
  }
  choice.last = std::max(choice.first, choice.last);
  return choice;
}

void FileImage::narrow(const Block& block, unsigned sector, const Bounds& bounds, Choice& choice) {
  while (choice.first < choice.last && change_of(block, sector, choice, choice.first) < bounds.low)
    ++choice.first;
  while (choice.first < choice.last && change_of(block, sector, choice, choice.last) > bounds.high)
    --choice.last;
}

// One after the other, each happened or did not: it must have where a sector cannot be older, it cannot have
// where one must be older. What a later write left in a sector says nothing of it.
FileImage::AtomicBounds FileImage::settle_atomic_writes(std::uint64_t survived, std::uint64_t lost,
                                                        unsigned mode, Random& random) {
  AtomicBounds bounds;
  for (const AtomicWrite& write : atomic_writes_) {
    bool must = false, may = true;
    for (std::uint64_t at = write.first; at < write.end; ++at) {
      const auto sector = static_cast<unsigned>(at % sectors_per_block);
      Block& block = *blocks_.at(at / sectors_per_block);
      const Choice choice = choices(block, sector, survived, lost);
      const auto change = [&](std::size_t i) { return change_of(block, sector, choice, i); };
      const Bounds free{change(choice.first), change(choice.last)};
      const Bounds bound = bounds.emplace(at, free).first->second;
      bool there = false;  // not where it was dropped, and something else written then
      for (std::size_t i = choice.first; i <= choice.last; ++i) there |= change(i) == write.change;
      must |= bound.low == write.change;
      may &= bound.low > write.change || (there && bound.high >= write.change);
    }
    const bool happened = may && (must || mode == newest || (mode == any && random.one_in(2)));
    for (std::uint64_t at = write.first; at < write.end; ++at) {
      Bounds& bound = bounds.at(at);
      if (happened) {
        bound.low = std::max(bound.low, write.change);
      } else if (bound.low < write.change) {
        bound.high = std::min(bound.high, write.change - 1);
      }
    }
  }
  return bounds;
}

void FileImage::crash_sector(Block& block, unsigned sector, const Choice& choice, unsigned mode,
                             Random& random) {
  const std::size_t picked = mode == oldest   ? choice.first
                             : mode == newest ? choice.last
                                              : random.between(choice.first, choice.last);
  if (picked == choice.older.size()) return;
  std::byte* to = block.data.data() + sector * sector_bytes;
  if (const Sector* bytes = choice.older[picked]->bytes.get()) {
    std::memcpy(to, bytes->data(), sector_bytes);
  } else {
    std::memset(to, 0, sector_bytes);
  }
}

void FileImage::crash_reservations(Random& random) {
  for (const Reservation& reservation : reservations_) {
    if (random.one_in(2)) continue;
    for (std::uint64_t i = reservation.first; i <= reservation.last && i < reserved_.size(); ++i) {
      if (reserved_[i] && !blocks_.contains(i)) {
        reserved_[i] = false;
        --block_count_;
      }
    }
  }
  reservations_.clear();
}

void FileImage::flip(std::uint64_t offset, std::uint8_t mask) {
  reserve(offset / block_bytes, offset / block_bytes);
  bool fresh = false;
  Block& block = block_for_write(offset / block_bytes, fresh);
  const std::uint64_t in_block = offset % block_bytes;
  block.data[in_block] ^= std::byte{mask};
  for (Version& version : block.older) {
    if (version.sector != in_block / sector_bytes) continue;
    if (!version.bytes) version.bytes = std::make_unique<Sector>();
    (*version.bytes)[in_block % sector_bytes] ^= std::byte{mask};
  }
}

FileImage::Block& FileImage::block_for_write(std::uint64_t index, bool& fresh) {
  auto& block = blocks_[index];
  fresh = block == nullptr;
  if (fresh) block = std::make_unique<Block>();
  return *block;
}

void FileImage::change_sector(Block& block, unsigned sector, bool fresh, bool durable) {
  if (durable) {
    std::erase_if(block.older, [&](const Version& version) { return version.sector == sector; });
  } else if ((block.dropped >> sector & 1) == 0) {  // what was dropped never reaches the medium
    Version version{sector, block.changed[sector], nullptr};
    if (!fresh) {
      version.bytes = std::make_unique<Sector>();
      std::memcpy(version.bytes->data(), block.data.data() + sector * sector_bytes, sector_bytes);
    }
    block.older.push_back(std::move(version));
  }
  block.changed[sector] = changes_;
  block.dropped &= static_cast<std::uint8_t>(~(1u << sector));
}

void FileImage::reserve(std::uint64_t first, std::uint64_t last) {
  if (reserved_.size() <= last) reserved_.resize(last + 1);
  for (std::uint64_t i = first; i <= last; ++i) {
    if (reserved_[i]) continue;
    reserved_[i] = true;
    ++block_count_;
  }
}

void FileImage::give_up(std::uint64_t first, std::uint64_t end) {
  for (std::uint64_t i = first; i < std::min<std::uint64_t>(end, reserved_.size()); ++i) {
    if (!reserved_[i]) continue;
    reserved_[i] = false;
    --block_count_;
  }
}

void FileImage::set_size(std::uint64_t size, bool durable) {
  if (durable) {
    older_sizes_.clear();
  } else {
    older_sizes_.push_back(size_);
  }
  size_ = {changes_, size};
}

// Truncations up to this change are on the medium: what they cut off cannot come back.
void FileImage::settle_truncations(std::uint64_t up_to) {
  std::uint64_t settled = 0;
  for (const std::uint64_t change : truncations_) {
    if (change <= up_to) settled = change;
  }
  if (settled == 0) return;
  std::erase_if(truncations_, [&](std::uint64_t change) { return change <= up_to; });
  std::erase_if(older_sizes_, [&](const Size& size) { return size.change < settled; });
  for (auto it = dirty_.begin(); it != dirty_.end();) {
    Block& block = *blocks_.at(*it);
    std::uint8_t cut = 0;
    for (unsigned sector = 0; sector < sectors_per_block; ++sector) {
      if (block.changed[sector] == settled) cut |= static_cast<std::uint8_t>(1u << sector);
    }
    for (const Version& version : block.older) {
      if (version.change == settled) cut |= static_cast<std::uint8_t>(1u << version.sector);
    }
    std::erase_if(block.older, [&](const Version& version) {
      return (cut >> version.sector & 1) != 0 && version.change < settled;
    });
    it = block.older.empty() ? dirty_.erase(it) : std::next(it);
  }
}

void FileImage::cut_off(std::uint64_t size) {
  const std::uint64_t index = size / block_bytes;
  auto it = blocks_.lower_bound(index);
  if (it != blocks_.end() && it->first == index && size % block_bytes != 0) {
    auto& data = it->second->data;
    std::fill(data.begin() + static_cast<std::ptrdiff_t>(size % block_bytes), data.end(), std::byte{0});
    ++it;
  }
  blocks_.erase(it, blocks_.end());  // their reservation stays, as that of blocks behind the end does
}

}  // namespace ashlar::sim
