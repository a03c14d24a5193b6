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

void Memtable::insert(const Entry& entry, std::uint64_t hash, IoBuffer* buffer) {
  assert(entry.key.size() >= kv::key_prefix_bytes);
  entries_.store(entries() + 1, std::memory_order_relaxed);
  if (auto* key = const_cast<MemtableKey*>(find_key(entry.key, hash))) {
    MemtableVersion* version = new_version(entry, buffer);
    assert(key->newest.load(std::memory_order_relaxed)->sequence <= entry.sequence);
    version->older.store(key->newest.load(std::memory_order_relaxed), std::memory_order_relaxed);
    key->newest.store(version, std::memory_order_release);
    if (entry.kind == Kind::merge) return;  // adds to what is older
    replacing_.push_back(version);
    ++overwritten_;
    return;
  }
  MemtableKey& key = add_key(entry.key, hash);
  key.newest.store(new_version(entry, buffer), std::memory_order_relaxed);
  Link& bucket = bucket_of(hash);
  key.hash_next.store(bucket.load(std::memory_order_relaxed), std::memory_order_relaxed);
  bucket.store(&key, std::memory_order_release);
}

MemtableKey& Memtable::add_key(Bytes bytes, std::uint64_t hash) {
  std::byte* memory = arena_.allocate(sizeof(MemtableKey) + bytes.size());
  auto* key = new (memory) MemtableKey{.hash = hash,
                                       .hash_next = nullptr,
                                       .newest = nullptr,
                                       .key_bytes = static_cast<std::uint16_t>(bytes.size())};
  std::memcpy(key + 1, bytes.data(), bytes.size());
  unordered_[unordered_count_++] = key;
  if (unordered_count_ == unordered_.size()) order();
  return *key;
}

std::byte* Memtable::version_memory(std::size_t wanted) {
  if (wanted > reclaimed_bytes_max) [[unlikely]]
    return arena_.allocate(wanted);
  const SizeClass size(wanted);
  auto& free = free_[size.index];
  if (free.empty()) return arena_.allocate(size.bytes);
  auto* const memory = reinterpret_cast<std::byte*>(free.back());
  free.pop_back();
  if (free.size() >= prefetch_ahead)
    prefetch_lines(free[free.size() - prefetch_ahead], std::min<std::size_t>(size.bytes, 256));
  return memory;
}

MemtableVersion* Memtable::new_version(const Entry& entry, IoBuffer* buffer) {
  const std::size_t bytes = entry.value.size();
  const bool outside = buffer != nullptr && buffer->data() == entry.value.data() &&
                       bytes >= taken_bytes_min && bytes >= buffer->size() / 2;
  std::byte* const memory = version_memory(sizeof(MemtableVersion) + (outside ? sizeof(std::byte*) : bytes));
  auto* version = new (memory) MemtableVersion{.older = nullptr,
                                               .sequence = entry.sequence,
                                               .expiry_ms = entry.expiry_ms,
                                               .value_bytes = static_cast<std::uint32_t>(bytes),
                                               .kind = entry.kind,
                                               .outside = outside};
  if (outside) {
    const std::byte* const where = entry.value.data();
    std::memcpy(version + 1, &where, sizeof where);
    taken_bytes_ += buffer->size();
    taken_.push_back(std::move(*buffer));
  } else if (bytes != 0) {
    std::memcpy(version + 1, entry.value.data(), bytes);
  }
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
    const std::size_t bytes =
        sizeof(MemtableVersion) + (version->outside ? sizeof(std::byte*) : version->value_bytes);
    if (bytes > reclaimed_bytes_max) continue;
    free_[SizeClass(bytes).index].push_back(version);
  }
  leaving_.clear();
}

void Memtable::order() {
  ordered_.insert({unordered_.data(), unordered_count_});
  unordered_count_ = 0;
}

void Memtable::Iterator::at_newest(KeyTree::Place place) noexcept {
  place_ = place;
  batches_ = memtable_->ordered_.batches();
  key_ = place.key();
  version_ = key_ == nullptr ? nullptr : key_->newest.load(std::memory_order_relaxed);
}

void Memtable::Iterator::at_oldest(KeyTree::Place place) {
  newer_.clear();  // where it was moved away from the middle of a key's versions
  at_newest(place);
  if (key_ == nullptr) return;
  while (const MemtableVersion* older = version_->older.load(std::memory_order_relaxed)) {
    newer_.push_back(version_);
    version_ = older;
  }
}

/// Keys that were given a place meanwhile may have moved ours.
KeyTree::Place Memtable::Iterator::place() noexcept {
  if (batches_ != memtable_->ordered_.batches()) [[unlikely]] {
    place_ = memtable_->ordered_.at_or_after(key_->key());
    batches_ = memtable_->ordered_.batches();
  }
  return place_;
}

void Memtable::Iterator::seek_first() {
  memtable_->order();
  at_newest(memtable_->ordered_.first());
}

void Memtable::Iterator::seek_last() {
  memtable_->order();
  at_oldest(memtable_->ordered_.last());
}

void Memtable::Iterator::seek(Bytes key, Sequence sequence) {
  memtable_->order();
  at_newest(memtable_->ordered_.at_or_after(key));
  if (key_ == nullptr || !equal(key_->key(), key)) return;
  const MemtableKey* const found = key_;
  while (key_ == found && version_->sequence > sequence) next();
}

void Memtable::Iterator::seek_before(Bytes key) {
  memtable_->order();
  at_oldest(memtable_->ordered_.before(key));
}

void Memtable::Iterator::next() noexcept {
  version_ = version_->older.load(std::memory_order_relaxed);
  if (version_ == nullptr) next_key();
}

void Memtable::Iterator::next_key() noexcept {
  at_newest(KeyTree::next(place()));
  KeyTree::fetch_after(place_);
}

void Memtable::Iterator::previous() {
  if (newer_.empty()) return at_oldest(KeyTree::previous(place()));
  version_ = newer_.back();
  newer_.pop_back();
}

}  // namespace ashlar::lsm
