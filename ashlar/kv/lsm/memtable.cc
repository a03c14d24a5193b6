#include "ashlar/kv/lsm/memtable.h"

#include <cassert>
#include <cstdlib>
#include <new>

namespace ashlar::lsm {

namespace {

/// Calls with the same key have the same head, so that most comparisons end there.
int compare_node(const MemtableNode& node, std::uint64_t head, Bytes key, Sequence sequence) noexcept {
  if (node.head != head) return node.head < head ? -1 : 1;
  return compare_versions(node.key(), node.sequence, key, sequence);
}

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

}  // namespace

void Memtable::FreeZeroed::operator()(void* memory) const noexcept {
  std::free(memory);
}

Memtable::Memtable(ChunkPool& pool, std::size_t bytes_expected) : arena_(pool) {
  const std::size_t buckets = std::bit_ceil(bytes_expected / 128 + 64);
  hash_shift_ = 64 - static_cast<unsigned>(std::countr_zero(buckets));
  hash_bytes_ = buckets * sizeof(Link);
  buckets_.reset(allocate_zeroed<Link>(buckets));
}

Memtable::List& Memtable::list_for(Bytes key) {
  auto& type = types_[type_of(key)];
  Slots* slots = type.load(std::memory_order_relaxed);
  if (slots == nullptr) [[unlikely]] {
    slots = owned_slots_.emplace_back(allocate_zeroed<Slots>()).get();
    type.store(slots, std::memory_order_release);
  }
  const unsigned index = list_index(key);
  List* list = slots->lists[index].load(std::memory_order_relaxed);
  if (list == nullptr) [[unlikely]] {
    list = new (arena_.allocate(sizeof(List))) List;
    slots->lists[index].store(list, std::memory_order_release);
    auto& word = slots->used[index / 64];
    word.store(word.load(std::memory_order_relaxed) | std::uint64_t{1} << index % 64,
               std::memory_order_release);
  }
  return *list;
}

const Memtable::List* Memtable::find_list(Bytes key) const noexcept {
  const Slots* slots = types_[type_of(key)].load(std::memory_order_acquire);
  return slots == nullptr ? nullptr : slots->lists[list_index(key)].load(std::memory_order_acquire);
}

Memtable::Place Memtable::place_for(List& list, const Entry& entry, std::uint64_t head) const noexcept {
  Place place;
  Link* links = list.next.data();
  for (unsigned level = list.height; level-- > 0;) {
    MemtableNode* next = links[level].load(std::memory_order_relaxed);
    while (next != nullptr && compare_node(*next, head, entry.key, entry.sequence) < 0) {
      links = next->next;
      next = links[level].load(std::memory_order_relaxed);
    }
    place[level] = &links[level];
  }
  return place;
}

void Memtable::insert(const Entry& entry, std::uint64_t hash) {
  assert(entry.sequence >= largest_ && entry.key.size() >= kv::key_prefix_bytes);
  const Link& bucket = buckets_.get()[hash >> hash_shift_];
  __builtin_prefetch(&bucket);  // needed last: arrives while the node is written
  List& list = list_for(entry.key);
  __builtin_prefetch(list.next[0].load(std::memory_order_relaxed));
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  const auto height = static_cast<std::uint8_t>(  // each level has a quarter of the one below
      1 + std::min<int>(std::countr_zero(random_) / 2, MemtableNode::height_max - 1));

  const std::size_t links_bytes = height * sizeof(Link);
  std::byte* memory =
      arena_.allocate(sizeof(MemtableNode) + links_bytes + entry.key.size() + entry.value.size());
  auto* node = new (memory) MemtableNode{.head = key_head(entry.key),
                                         .hash = hash,
                                         .sequence = entry.sequence,
                                         .expiry_ms = entry.expiry_ms,
                                         .hash_next = nullptr,
                                         .value_bytes = static_cast<std::uint32_t>(entry.value.size()),
                                         .key_bytes = static_cast<std::uint16_t>(entry.key.size()),
                                         .kind = entry.kind,
                                         .height = height};
  std::byte* payload = memory + sizeof(MemtableNode) + links_bytes;
  std::memcpy(payload, entry.key.data(), entry.key.size());
  if (!entry.value.empty()) std::memcpy(payload + entry.key.size(), entry.value.data(), entry.value.size());

  __builtin_prefetch(bucket.load(std::memory_order_relaxed));
  const Place place = place_for(list, entry, node->head);
  for (unsigned level = 0; level < height; ++level) {
    Link* link = level < list.height ? place[level] : &list.next[level];
    new (&node->next[level]) Link(link->load(std::memory_order_relaxed));
    link->store(node, std::memory_order_release);
  }
  if (height > list.height) list.height = height;
  index(*node);

  entries_.store(entries() + 1, std::memory_order_relaxed);
  if (smallest_ > entry.sequence) smallest_ = entry.sequence;
  largest_ = entry.sequence;
}

/// Puts the node where the key's previous newest version stands in its bucket, or in front. A reader that is
/// at the replaced node goes on from there as if it had come before.
void Memtable::index(MemtableNode& node) noexcept {
  Link* link = &buckets_.get()[node.hash >> hash_shift_];
  for (MemtableNode* at = link->load(std::memory_order_relaxed); at != nullptr;) {
    if (at->hash == node.hash && equal(at->key(), node.key())) {
      node.hash_next.store(at->hash_next.load(std::memory_order_relaxed), std::memory_order_relaxed);
      link->store(&node, std::memory_order_release);
      return;
    }
    link = &at->hash_next;
    at = link->load(std::memory_order_relaxed);
  }
  Link& bucket = buckets_.get()[node.hash >> hash_shift_];
  node.hash_next.store(bucket.load(std::memory_order_relaxed), std::memory_order_relaxed);
  bucket.store(&node, std::memory_order_release);
}

const MemtableNode* Memtable::older(const MemtableNode* node, Sequence at) noexcept {
  const Bytes key = node->key();
  do {
    node = node->next[0].load(std::memory_order_acquire);
    if (node == nullptr || !equal(node->key(), key)) return nullptr;
  } while (node->sequence > at);
  return node;
}

const Memtable::List* Memtable::next_list(unsigned type, unsigned slot) const noexcept {
  for (; type < types_.size(); ++type, slot = 0) {
    const Slots* slots = types_[type].load(std::memory_order_acquire);
    if (slots == nullptr) continue;
    std::uint64_t mask = ~std::uint64_t{0} << slot % 64;
    for (std::size_t word = slot / 64; word < slots->used.size(); ++word, mask = ~std::uint64_t{0}) {
      const std::uint64_t bits = slots->used[word].load(std::memory_order_acquire) & mask;
      if (bits == 0) continue;
      const std::size_t found = word * 64 + static_cast<std::size_t>(std::countr_zero(bits));
      return slots->lists[found].load(std::memory_order_acquire);
    }
  }
  return nullptr;
}

const Memtable::List* Memtable::previous_list(int type, int slot) const noexcept {
  for (; type >= 0; --type, slot = kv::slot_count - 1) {
    const Slots* slots = types_[static_cast<unsigned>(type)].load(std::memory_order_acquire);
    if (slots == nullptr || slot < 0) continue;
    std::uint64_t mask = ~std::uint64_t{0} >> (63 - slot % 64);
    for (int word = slot / 64; word >= 0; --word, mask = ~std::uint64_t{0}) {
      const std::uint64_t bits =
          slots->used[static_cast<unsigned>(word)].load(std::memory_order_acquire) & mask;
      if (bits == 0) continue;
      const auto found =
          static_cast<unsigned>(word) * 64 + 63 - static_cast<unsigned>(std::countl_zero(bits));
      return slots->lists[found].load(std::memory_order_acquire);
    }
  }
  return nullptr;
}

void Memtable::Iterator::seek_first() noexcept {
  const List* list = memtable_->next_list(0, 0);
  node_ = list == nullptr ? nullptr : list->next[0].load(std::memory_order_acquire);
}

void Memtable::Iterator::seek_last() noexcept {
  last_of(memtable_->previous_list(255, kv::slot_count - 1));
}

void Memtable::Iterator::last_of(const List* list) noexcept {
  node_ = nullptr;
  if (list == nullptr) return;
  const Link* links = list->next.data();
  for (unsigned level = MemtableNode::height_max; level-- > 0;) {
    while (const MemtableNode* next = links[level].load(std::memory_order_acquire)) {
      node_ = next;
      links = next->next;
    }
  }
}

void Memtable::Iterator::seek(Bytes key, Sequence sequence) noexcept {
  node_ = nullptr;
  if (key.size() < kv::key_prefix_bytes) {  // a bare prefix: no key is that short
    seek_first();
    while (node_ != nullptr && compare(node_->key(), key) < 0) next();
    return;
  }
  if (const List* list = memtable_->find_list(key)) {
    const std::uint64_t head = key_head(key);
    const Link* links = list->next.data();
    for (unsigned level = MemtableNode::height_max; level-- > 0;) {
      const MemtableNode* next = links[level].load(std::memory_order_acquire);
      while (next != nullptr && compare_node(*next, head, key, sequence) < 0) {
        links = next->next;
        next = links[level].load(std::memory_order_acquire);
      }
      node_ = next;
    }
  }
  if (node_ != nullptr) return;
  const List* list = memtable_->next_list(type_of(key), list_index(key) + 1);
  if (list != nullptr) node_ = list->next[0].load(std::memory_order_acquire);
}

void Memtable::Iterator::seek_before(Bytes key) noexcept {
  node_ = nullptr;
  if (key.size() < kv::key_prefix_bytes) {
    seek_last();
    while (node_ != nullptr && compare(node_->key(), key) >= 0) previous();
    return;
  }
  if (const List* list = memtable_->find_list(key)) {
    const std::uint64_t head = key_head(key);
    const Link* links = list->next.data();
    for (unsigned level = MemtableNode::height_max; level-- > 0;) {
      const MemtableNode* next = links[level].load(std::memory_order_acquire);
      while (next != nullptr && compare_node(*next, head, key, sequence_max) < 0) {
        node_ = next;
        links = next->next;
        next = links[level].load(std::memory_order_acquire);
      }
    }
  }
  if (node_ == nullptr)
    last_of(memtable_->previous_list(static_cast<int>(type_of(key)), static_cast<int>(list_index(key)) - 1));
}

void Memtable::Iterator::next() noexcept {
  const MemtableNode* from = node_;
  node_ = from->next[0].load(std::memory_order_acquire);
  if (node_ != nullptr) return;
  const List* list = memtable_->next_list(type_of(from->key()), list_index(from->key()) + 1);
  if (list != nullptr) node_ = list->next[0].load(std::memory_order_acquire);
}

void Memtable::Iterator::previous() noexcept {
  const MemtableNode* from = node_;
  const List* list = memtable_->find_list(from->key());
  node_ = nullptr;
  const Link* links = list->next.data();
  for (unsigned level = MemtableNode::height_max; level-- > 0;) {
    const MemtableNode* next = links[level].load(std::memory_order_acquire);
    // On the lowest level up to the node itself: one batch may have written the key twice.
    while (next != nullptr && next != from &&
           (level == 0 || compare_node(*next, from->head, from->key(), from->sequence) < 0)) {
      node_ = next;
      links = next->next;
      next = links[level].load(std::memory_order_acquire);
    }
  }
  if (node_ == nullptr) {
    last_of(memtable_->previous_list(static_cast<int>(type_of(from->key())),
                                     static_cast<int>(list_index(from->key())) - 1));
  }
}

}  // namespace ashlar::lsm
