#pragma once

/// Memtable: the newest entries of a partition, in memory, in order.
///
/// Order: one short skip list for each slot that has keys, in an array by slot. Keys are spread over 16,384
/// slots, so that an insertion walks a list of dozens, not of hundreds of thousands; where there are no slots
/// (partitions by range) all is in one list, as tall as it needs to be. Points: a hash index leads to the
/// newest version of a key; its older versions follow it in the list.

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>
#include <vector>

#include "ashlar/kv/lsm/arena.h"
#include "ashlar/kv/lsm/key.h"
#include "ashlar/kv/pin.h"

namespace ashlar::lsm {

/// One version of a key, in the memtable's arena. Immutable once linked, but for its links.
struct MemtableNode {
  static constexpr unsigned height_max = 12;

  std::uint64_t head;  ///< first 8 bytes of the key as a big-endian number, padded with zeroes
  std::uint64_t hash;
  Sequence sequence;
  std::uint64_t expiry_ms;
  std::atomic<MemtableNode*> hash_next;  ///< next key of the bucket
  std::uint32_t value_bytes;
  std::uint16_t key_bytes;
  Kind kind;
  std::uint8_t height;
  std::atomic<MemtableNode*> next[];  ///< `height` links; key and value follow

  Bytes key() const noexcept { return {payload(), key_bytes}; }
  Bytes value() const noexcept { return {payload() + key_bytes, value_bytes}; }
  Entry entry() const noexcept {
    return {.key = key(), .sequence = sequence, .kind = kind, .expiry_ms = expiry_ms, .value = value()};
  }

 private:
  const std::byte* payload() const noexcept { return reinterpret_cast<const std::byte*>(next + height); }
};

/// Thread safety: one writer, the owner shard; readers on any thread inside an epoch. Lifecycle: created
/// empty, written, frozen when full, flushed, retired through the epoch once no version set and no pin holds
/// it. Invariants: entries are inserted in ascending sequence; an entry is reachable only when it is complete
/// (release stores of links).
class Memtable final : public kv::Pinnable {
 public:
  /// `bytes_expected` sizes the hash index: about one bucket for each 128 bytes.
  Memtable(ChunkPool& pool, std::size_t bytes_expected);
  ~Memtable() = default;  // by itself, with its last pin; by its owner where it was never pinned

  /// Adds a version; copies key and value. `entry.sequence` is not below any before it; of two entries with
  /// the same key and sequence the later one counts. Owner only.
  void insert(const Entry& entry, std::uint64_t hash);

  /// The newest version of the key with a sequence of at most `at`, tombstones too; null: none here.
  const MemtableNode* find(Bytes key, std::uint64_t hash, Sequence at = kv::sequence_max) const noexcept {
    const MemtableNode* node = find_newest(key, hash);
    if (node != nullptr && node->sequence > at) [[unlikely]]
      node = older(node, at);
    return node;
  }

  /// Any thread, as find().
  bool empty() const noexcept { return entries() == 0; }
  std::size_t entries() const noexcept { return entries_.load(std::memory_order_relaxed); }
  /// Memory in use, by what was inserted: what decides when it is full.
  std::size_t bytes() const noexcept { return arena_.bytes_used() + hash_bytes_; }
  Sequence smallest_sequence() const noexcept { return smallest_; }
  Sequence largest_sequence() const noexcept { return largest_; }

  /// Walks all versions in order (key ascending, newest first) or exactly backwards. Valid while the memtable
  /// is, also while it is written: what is inserted meanwhile may or may not be met.
  class Iterator;

 private:
  friend class Iterator;
  using Link = std::atomic<MemtableNode*>;

  /// A list's heads.
  struct List {
    std::array<Link, MemtableNode::height_max> next{};
    std::uint8_t height = 1;  // writer only
  };
  /// The lists of one key type, by slot.
  struct Slots {
    std::array<std::atomic<List*>, kv::slot_count> lists{};
    std::array<std::atomic<std::uint64_t>, kv::slot_count / 64> used{};
  };
  struct FreeZeroed {
    void operator()(void* memory) const noexcept;
  };
  template <class T>
  using Zeroed = std::unique_ptr<T, FreeZeroed>;  // pages that were never touched cost nothing
  using Place =
      std::array<Link*, MemtableNode::height_max>;  // the links that lead to where a version would stand

  const MemtableNode* find_newest(Bytes key, std::uint64_t hash) const noexcept {
    const MemtableNode* node = buckets_.get()[hash >> hash_shift_].load(std::memory_order_acquire);
    while (node != nullptr && (node->hash != hash || !equal(node->key(), key))) {
      node = node->hash_next.load(std::memory_order_acquire);
    }
    return node;
  }
  static const MemtableNode* older(const MemtableNode* node, Sequence at) noexcept;
  List& list_for(Bytes key);
  const List* find_list(Bytes key) const noexcept;
  Place place_for(List& list, const Entry& entry, std::uint64_t head) const noexcept;
  void index(MemtableNode& node) noexcept;
  const List* next_list(unsigned type, unsigned slot) const noexcept;  // first at or after
  const List* previous_list(int type, int slot) const noexcept;        // last at or before
  void released() noexcept override { delete this; }

  Arena arena_;
  unsigned hash_shift_;
  std::size_t hash_bytes_ = 0;
  Zeroed<Link> buckets_;
  std::array<std::atomic<Slots*>, 256> types_{};
  std::vector<Zeroed<Slots>> owned_slots_;
  std::uint64_t random_ = 0x9e3779b97f4a7c15;
  std::atomic<std::size_t> entries_{0};
  Sequence smallest_ = kv::sequence_max;
  Sequence largest_;
};

class Memtable::Iterator {
 public:
  explicit Iterator(const Memtable& memtable) noexcept : memtable_(&memtable) {}

  bool valid() const noexcept { return node_ != nullptr; }
  Entry entry() const noexcept { return node_->entry(); }

  void seek_first() noexcept;
  void seek_last() noexcept;
  /// To the first version that is not before (key, sequence).
  void seek(Bytes key, Sequence sequence) noexcept;
  /// To the last version whose key is below `key`.
  void seek_before(Bytes key) noexcept;
  void next() noexcept;
  void previous() noexcept;

 private:
  void last_of(const List* list) noexcept;

  const Memtable* memtable_;
  const MemtableNode* node_ = nullptr;
};

/// The first 8 bytes of a key as a number that orders as they do; equal heads decide nothing.
inline std::uint64_t key_head(Bytes key) noexcept {
  std::uint64_t head = 0;
  std::memcpy(&head, key.data(), key.size() < 8 ? key.size() : 8);
  return std::byteswap(head);
}

}  // namespace ashlar::lsm
