/// Insertion, step by step:
///
///  1. The hash index says whether the key is there.
///  2. If it is, the version is put before its newest, which is all. What it replaced is noted for reclaim().
///  3. If not, the key and its first version are made, side by side, and put into the bucket. The key waits
///     in `unordered_` for its place in order.
///
/// Reclaiming: a version that was replaced waits until what replaced it is settled and nobody holds a view
/// from before that (the caller knows), is unlinked, waits for a grace period, and is on a list of free
/// memory of its size then.

#include "ashlar/kv/lsm/memtable.h"

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <new>

namespace ashlar::lsm {

namespace {

constexpr std::size_t prefetch_ahead = 6;
constexpr std::size_t bytes_for_each_reclaimed = 4096;  // of the memtable's size; a batch of so many

unsigned type_of(Bytes key) noexcept {
  return static_cast<unsigned>(key[0]);
}
/// A slot beyond the last (only in keys that no partitioner made) is kept with the last: order within lists
/// holds.
unsigned list_index(Bytes key) noexcept {
  const unsigned slot = kv::slot_of_stored(key).value;
  return slot < kv::slot_count ? slot : kv::slot_count - 1;
}

template <class T>
T* allocate_zeroed(std::size_t count = 1) {
  void* memory = std::calloc(count, sizeof(T));
  if (memory == nullptr) throw std::bad_alloc();
  return static_cast<T*>(memory);
}

/// Eight sizes for each doubling, so that at most an eighth is wasted.
struct SizeClass {
  explicit SizeClass(std::size_t wanted) noexcept {
    const unsigned shift = std::max(3, static_cast<int>(std::bit_width(wanted - 1)) - 4);
    const std::size_t units = (wanted + (std::size_t{1} << shift) - 1) >> shift;
    bytes = units << shift;
    index = (shift - 3) * 8 + units;
  }
  std::size_t bytes;
  std::size_t index;
};

void prefetch_lines(const void* begin, std::size_t bytes) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(begin);  // null too
  for (std::size_t at = 0; at < bytes; at += 64)
    __builtin_prefetch(reinterpret_cast<const void*>(address + at));
}

}  // namespace

void Memtable::FreeZeroed::operator()(void* memory) const noexcept {
  std::free(memory);
}

Memtable::Memtable(ChunkPool& pool, std::size_t bytes_expected)
    : arena_(pool),
      reclaim_batch_(std::clamp<std::size_t>(bytes_expected / bytes_for_each_reclaimed, 16, 512)) {
  const std::size_t buckets = std::bit_ceil(bytes_expected / 128 + 64);
  hash_shift_ = 64 - static_cast<unsigned>(std::countr_zero(buckets));
  hash_bytes_ = buckets * sizeof(Link);
  buckets_.reset(allocate_zeroed<Link>(buckets));
  static_assert(sizeof(MemtableVersion) == 32 && sizeof(MemtableKey) == 32);
}

void Memtable::insert(const Entry& entry, std::uint64_t hash) {
  assert(entry.sequence >= largest_ && entry.key.size() >= kv::key_prefix_bytes);
  largest_ = entry.sequence;
  entries_.store(entries() + 1, std::memory_order_relaxed);
  if (auto* key = const_cast<MemtableKey*>(find_key(entry.key, hash))) {
    MemtableVersion* version = new_version(entry);
    version->older.store(key->newest.load(std::memory_order_relaxed), std::memory_order_relaxed);
    key->newest.store(version, std::memory_order_release);
    replacing_.push_back(version);
    ++overwritten_;
    return;
  }
  MemtableKey& key = add_key(entry.key, hash);
  key.newest.store(new_version(entry), std::memory_order_relaxed);
  Link& bucket = bucket_of(hash);
  key.hash_next.store(bucket.load(std::memory_order_relaxed), std::memory_order_relaxed);
  bucket.store(&key, std::memory_order_release);
}

MemtableKey& Memtable::add_key(Bytes bytes, std::uint64_t hash) {
  // Each level has a quarter of the one below. The bucket takes the upper bits of the hash.
  const auto height = static_cast<std::uint8_t>(
      1 + std::min<unsigned>(static_cast<unsigned>(std::countr_zero(hash)) / 2, MemtableKey::height_max - 1));
  const std::size_t links_bytes = height * sizeof(MemtableKey*);
  std::byte* memory = arena_.allocate(sizeof(MemtableKey) + links_bytes + bytes.size());
  auto* key = new (memory) MemtableKey{.hash = hash,
                                       .hash_next = nullptr,
                                       .newest = nullptr,
                                       .key_bytes = static_cast<std::uint16_t>(bytes.size()),
                                       .height = height};
  std::memcpy(memory + sizeof(MemtableKey) + links_bytes, bytes.data(), bytes.size());
  if (const Slots* slots = types_[type_of(bytes)].get()) __builtin_prefetch(&slots->lists[list_index(bytes)]);
  unordered_[unordered_count_++] = key;
  if (unordered_count_ == unordered_max) order();
  return *key;
}

MemtableVersion* Memtable::new_version(const Entry& entry) {
  const std::size_t wanted = sizeof(MemtableVersion) + entry.value.size();
  std::byte* memory = nullptr;
  if (wanted <= reclaimed_bytes_max) [[likely]] {
    const SizeClass size(wanted);
    auto& free = free_[size.index];
    if (!free.empty()) {
      memory = reinterpret_cast<std::byte*>(free.back());
      free.pop_back();
      if (free.size() >= prefetch_ahead) {
        prefetch_lines(free[free.size() - prefetch_ahead], std::min<std::size_t>(size.bytes, 256));
      }
    } else {
      memory = arena_.allocate(size.bytes);
    }
  } else {
    memory = arena_.allocate(wanted);
  }
  auto* version = new (memory) MemtableVersion{.older = nullptr,
                                               .sequence = entry.sequence,
                                               .expiry_ms = entry.expiry_ms,
                                               .value_bytes = static_cast<std::uint32_t>(entry.value.size()),
                                               .kind = entry.kind};
  if (!entry.value.empty()) std::memcpy(version + 1, entry.value.data(), entry.value.size());
  return version;
}

void Memtable::prefetch_version(std::uint64_t hash) const noexcept {
  const MemtableKey* key = bucket_of(hash).load(std::memory_order_acquire);
  if (key != nullptr && key->hash == hash) {
    prefetch_lines(key->newest.load(std::memory_order_relaxed), 3 * 64);
  }
}

void Memtable::reclaim(Sequence settled, EpochDomain& epochs) {
  overwritten_ = 0;
  if (reclaiming()) return;
  const std::size_t end = std::min(replacing_.size(), replacing_begin_ + 2 * reclaim_batch_);
  std::size_t at = replacing_begin_;
  for (; at < end; ++at) {
    if (at + prefetch_ahead < end) __builtin_prefetch(replacing_[at + prefetch_ahead], 1);
    MemtableVersion& version = *replacing_[at];
    if (version.sequence > settled) break;
    MemtableVersion* older = version.older.load(std::memory_order_relaxed);
    version.older.store(nullptr, std::memory_order_release);
    leaving_.push_back(older);
  }
  replacing_begin_ = at;
  if (replacing_begin_ >= replacing_.size() / 2) {
    replacing_.erase(replacing_.begin(), replacing_.begin() + static_cast<std::ptrdiff_t>(replacing_begin_));
    replacing_begin_ = 0;
  }
  if (!reclaiming()) return;
  pin();
  epochs.retire(this, [](void* memtable) noexcept {
    auto* self = static_cast<Memtable*>(memtable);
    self->reuse();
    self->unpin();
  });
}

/// The grace period is over.
void Memtable::reuse() noexcept {
  entries_.store(entries() - leaving_.size(), std::memory_order_relaxed);
  for (std::size_t i = 0; i < leaving_.size(); ++i) {
    if (i + prefetch_ahead < leaving_.size()) __builtin_prefetch(leaving_[i + prefetch_ahead], 1);
    MemtableVersion* version = leaving_[i];
    const std::size_t bytes = sizeof(MemtableVersion) + version->value_bytes;
    if (bytes > reclaimed_bytes_max) continue;
    free_[SizeClass(bytes).index].push_back(version);
  }
  leaving_.clear();
}

/// Gives every key its place. First what will be touched is asked for, for all of them, then it is touched.
void Memtable::order() {
  std::array<List*, unordered_max> lists;
  for (std::size_t i = 0; i < unordered_count_; ++i) {
    lists[i] = &list_for(unordered_[i]->key());
    __builtin_prefetch(lists[i]);
  }
  for (std::size_t i = 0; i < unordered_count_; ++i) __builtin_prefetch(lists[i]->next[0]);
  for (std::size_t i = 0; i < unordered_count_; ++i) link(*lists[i], *unordered_[i]);
  unordered_count_ = 0;
}

void Memtable::link(List& list, MemtableKey& key) noexcept {
  const Bytes bytes = key.key();
  MemtableKey** links = list.next.data();
  std::array<MemtableKey**, MemtableKey::height_max> place;
  for (unsigned level = list.height; level-- > 0;) {
    while (links[level] != nullptr && compare(links[level]->key(), bytes) < 0) links = links[level]->next;
    place[level] = &links[level];
  }
  for (unsigned level = 0; level < key.height; ++level) {
    MemtableKey** link = level < list.height ? place[level] : &list.next[level];
    key.next[level] = *link;
    *link = &key;
  }
  if (key.height > list.height) list.height = key.height;
}

Memtable::List& Memtable::list_for(Bytes key) {
  auto& slots = types_[type_of(key)];
  if (slots == nullptr) [[unlikely]]
    slots.reset(allocate_zeroed<Slots>());
  const unsigned index = list_index(key);
  List*& list = slots->lists[index];
  if (list == nullptr) [[unlikely]] {
    list = new (arena_.allocate(sizeof(List))) List;
    slots->used[index / 64] |= std::uint64_t{1} << index % 64;
  }
  return *list;
}

const Memtable::List* Memtable::find_list(Bytes key) const noexcept {
  const Slots* slots = types_[type_of(key)].get();
  return slots == nullptr ? nullptr : slots->lists[list_index(key)];
}

const Memtable::List* Memtable::next_list(unsigned type, unsigned slot) const noexcept {
  for (; type < types_.size(); ++type, slot = 0) {
    const Slots* slots = types_[type].get();
    if (slots == nullptr) continue;
    std::uint64_t mask = ~std::uint64_t{0} << slot % 64;
    for (std::size_t word = slot / 64; word < slots->used.size(); ++word, mask = ~std::uint64_t{0}) {
      const std::uint64_t bits = slots->used[word] & mask;
      if (bits != 0) return slots->lists[word * 64 + static_cast<std::size_t>(std::countr_zero(bits))];
    }
  }
  return nullptr;
}

const Memtable::List* Memtable::previous_list(int type, int slot) const noexcept {
  for (; type >= 0; --type, slot = kv::slot_count - 1) {
    const Slots* slots = types_[static_cast<unsigned>(type)].get();
    if (slots == nullptr || slot < 0) continue;
    std::uint64_t mask = ~std::uint64_t{0} >> (63 - slot % 64);
    for (int word = slot / 64; word >= 0; --word, mask = ~std::uint64_t{0}) {
      const std::uint64_t bits = slots->used[static_cast<unsigned>(word)] & mask;
      if (bits == 0) continue;
      return slots
          ->lists[static_cast<unsigned>(word) * 64 + 63 - static_cast<unsigned>(std::countl_zero(bits))];
    }
  }
  return nullptr;
}

void Memtable::Iterator::at_newest(const MemtableKey* key) noexcept {
  key_ = key;
  version_ = key == nullptr ? nullptr : key->newest.load(std::memory_order_relaxed);
}

void Memtable::Iterator::at_oldest(const MemtableKey* key) {
  at_newest(key);
  if (key == nullptr) return;
  while (const MemtableVersion* older = version_->older.load(std::memory_order_relaxed)) {
    newer_.push_back(version_);
    version_ = older;
  }
}

const MemtableKey* Memtable::Iterator::last_of(const List* list) noexcept {
  const MemtableKey* last = nullptr;
  if (list == nullptr) return last;
  MemtableKey* const* links = list->next.data();
  for (unsigned level = MemtableKey::height_max; level-- > 0;) {
    while (links[level] != nullptr) {
      last = links[level];
      links = last->next;
    }
  }
  return last;
}

/// The last key below `key`, which is no bare prefix.
const MemtableKey* Memtable::Iterator::before(Bytes key) const noexcept {
  const MemtableKey* last = nullptr;
  if (const List* list = memtable_->find_list(key)) {
    MemtableKey* const* links = list->next.data();
    for (unsigned level = MemtableKey::height_max; level-- > 0;) {
      while (links[level] != nullptr && compare(links[level]->key(), key) < 0) {
        last = links[level];
        links = last->next;
      }
    }
  }
  if (last != nullptr) return last;
  return last_of(
      memtable_->previous_list(static_cast<int>(type_of(key)), static_cast<int>(list_index(key)) - 1));
}

void Memtable::Iterator::seek_first() {
  memtable_->order();
  const List* list = memtable_->next_list(0, 0);
  at_newest(list == nullptr ? nullptr : list->next[0]);
}

void Memtable::Iterator::seek_last() {
  memtable_->order();
  at_oldest(last_of(memtable_->previous_list(255, kv::slot_count - 1)));
}

void Memtable::Iterator::seek(Bytes key, Sequence sequence) {
  seek_first();
  if (key.size() < kv::key_prefix_bytes) {  // a bare prefix: no key is that short
    while (key_ != nullptr && compare(key_->key(), key) < 0) next_key();
    return;
  }
  const MemtableKey* found = nullptr;
  if (const List* list = memtable_->find_list(key)) {
    MemtableKey* const* links = list->next.data();
    for (unsigned level = MemtableKey::height_max; level-- > 0;) {
      while (links[level] != nullptr && compare(links[level]->key(), key) < 0) links = links[level]->next;
    }
    found = links[0];
  }
  if (found == nullptr) {
    const List* list = memtable_->next_list(type_of(key), list_index(key) + 1);
    return at_newest(list == nullptr ? nullptr : list->next[0]);
  }
  at_newest(found);
  if (!equal(found->key(), key)) return;
  while (key_ == found && version_->sequence > sequence) next();
}

void Memtable::Iterator::seek_before(Bytes key) {
  if (key.size() >= kv::key_prefix_bytes) {
    memtable_->order();
    return at_oldest(before(key));
  }
  seek_last();
  while (key_ != nullptr && compare(key_->key(), key) >= 0) at_oldest(before(key_->key()));
}

void Memtable::Iterator::next() noexcept {
  version_ = version_->older.load(std::memory_order_relaxed);
  if (version_ == nullptr) next_key();
}

void Memtable::Iterator::next_key() noexcept {
  const MemtableKey* next = key_->next[0];
  if (next == nullptr) {
    const List* list = memtable_->next_list(type_of(key_->key()), list_index(key_->key()) + 1);
    next = list == nullptr ? nullptr : list->next[0];
  }
  at_newest(next);
}

void Memtable::Iterator::previous() {
  if (newer_.empty()) return at_oldest(before(key_->key()));
  version_ = newer_.back();
  newer_.pop_back();
}

}  // namespace ashlar::lsm
