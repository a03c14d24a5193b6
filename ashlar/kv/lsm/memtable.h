#pragma once

/// Memtable: the newest entries of a partition, in memory.
///
/// Points: a hash index leads to a key, the key to its newest version, a version to the next older one.
/// Order: keys stand in a B+-tree. A new key gets its place there only when a batch of them has gathered or
/// someone walks: insertions then wait for a batch's cache misses side by side, and an overwrite does not
/// touch the order at all. Space: versions that nobody can ask for any more (reclaim()) are written over, so
/// that keys that are overwritten again and again fill neither the memtable nor, through flush and
/// compaction, the device.

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>
#include <vector>

#include "ashlar/kv/lsm/arena.h"
#include "ashlar/kv/lsm/key.h"
#include "ashlar/kv/lsm/key_tree.h"
#include "ashlar/kv/lsm/range_set.h"
#include "ashlar/kv/pin.h"
#include "ashlar/runtime/memory/buffer_pool.h"
#include "ashlar/runtime/memory/epoch.h"

namespace ashlar::lsm {

/// One version of a key, in the memtable's arena; its value follows, or a pointer to it. Immutable but for
/// `older`.
struct MemtableVersion {
  std::atomic<MemtableVersion*> older;  ///< of the same key
  Sequence sequence;
  std::uint64_t expiry_ms;
  std::uint32_t value_bytes;
  Kind kind;
  bool outside;  ///< the value is in a buffer that was taken over

  Bytes value() const noexcept {
    if (outside) [[unlikely]]
      return {*reinterpret_cast<const std::byte* const*>(this + 1), value_bytes};
    return {reinterpret_cast<const std::byte*>(this + 1), value_bytes};
  }
};

/// A key, in the memtable's arena; its bytes follow.
struct MemtableKey {
  std::uint64_t hash;
  std::atomic<MemtableKey*> hash_next;  ///< next key of the bucket
  std::atomic<MemtableVersion*> newest;
  std::uint16_t key_bytes;

  Bytes key() const noexcept { return {reinterpret_cast<const std::byte*>(this + 1), key_bytes}; }
};

/// Thread safety: find() on any thread inside an epoch; all else on the owner shard. Lifecycle: created
/// empty, written, frozen when full, flushed, retired through the epoch once no version set and no pin holds
/// it. Invariants: versions of a key are inserted in ascending sequence; what is reachable is complete
/// (release stores).
class Memtable final : public kv::Pinnable {
 public:
  /// `bytes_expected` sizes the hash index: about one bucket for each 128 bytes.
  Memtable(ChunkPool& pool, std::size_t bytes_expected);
  ~Memtable() = default;  // by itself, with its last pin; by its owner where it was never pinned

  /// Adds a version; copies key and value. `entry.sequence` is not below any of the key before it; of two
  /// entries with the same key and sequence the later one counts. `buffer`: takes it over and does not copy
  /// the value, if that stands at its start and is worth it (kv::Write::buffer).
  void insert(const Entry& entry, std::uint64_t hash, IoBuffer* buffer = nullptr);

  /// Keeps an erased range for the flush. Owner; readers ask the version for ranges.
  void add_range(ErasedRange range) {
    range_bytes_ += sizeof(ErasedRange) + range.first.size() + range.end.size();
    ranges_.push_back(std::move(range));
  }
  const std::vector<ErasedRange>& ranges() const noexcept { return ranges_; }

  /// The newest version of the key with a sequence of at most `at`, tombstones too; null: none here.
  const MemtableVersion* find(Bytes key, std::uint64_t hash, Sequence at = kv::sequence_max) const noexcept {
    const MemtableKey* found = find_key(key, hash);
    if (found == nullptr) return nullptr;
    const MemtableVersion* version = found->newest.load(std::memory_order_acquire);
    while (version != nullptr && version->sequence > at) [[unlikely]]
      version = version->older.load(std::memory_order_acquire);
    return version;
  }

  /// Hints for a key that will be looked up or written, one after the other with other keys' in between, so
  /// that the cache misses of many overlap: its bucket; what stands there; the key's newest version.
  void prefetch_bucket(std::uint64_t hash) const noexcept { __builtin_prefetch(&bucket_of(hash)); }
  void prefetch_key(std::uint64_t hash) const noexcept {
    const auto key = reinterpret_cast<std::uintptr_t>(bucket_of(hash).load(std::memory_order_relaxed));
    __builtin_prefetch(reinterpret_cast<const void*>(key));
    __builtin_prefetch(reinterpret_cast<const void*>(key + 64));  // where the key's bytes end
  }
  void prefetch_version(std::uint64_t hash) const noexcept;

  /// Versions that a newer one replaced, since reclaim() last looked at them.
  bool reclaim_due() const noexcept { return overwritten_ >= reclaim_batch_; }
  /// Writes over what was replaced by versions up to `settled`, from the next grace period of `epochs` on.
  /// The caller knows that those will not vanish, and that no reader but those inside an epoch looks further
  /// back: no snapshot, no cursor, no pin. Looks at a few batches at most.
  void reclaim(Sequence settled, EpochDomain& epochs);
  /// What the last reclaim() unlinked may still be read.
  bool reclaiming() const noexcept { return !leaving_.empty(); }

  bool empty() const noexcept { return entries() == 0; }  ///< of entries of keys; any thread
  std::size_t entries() const noexcept { return entries_.load(std::memory_order_relaxed); }
  /// Memory in use, by what was inserted: what decides when it is full.
  std::size_t bytes() const noexcept {
    return arena_.bytes_used() + hash_bytes_ + range_bytes_ + taken_bytes_ +
           replacing_.size() * sizeof(MemtableVersion*);
  }

  /// Walks all versions in order (key ascending, newest first) or exactly backwards, each to one side after a
  /// seek. Valid while the memtable is, also while it is written: what is inserted meanwhile may or may not
  /// be met. Nothing may be reclaimed while one is in use.
  class Iterator;

 private:
  friend class Iterator;
  using Link = std::atomic<MemtableKey*>;

  struct FreeZeroed {
    void operator()(void* memory) const noexcept;
  };
  template <class T>
  using Zeroed = std::unique_ptr<T, FreeZeroed>;  // pages that were never touched cost nothing

  static constexpr std::size_t reclaimed_bytes_max = 64u << 10;  // of one version
  static constexpr std::size_t taken_bytes_min = 4u << 10;       // of a value
  static constexpr std::size_t size_classes = 90;

  const Link& bucket_of(std::uint64_t hash) const noexcept { return buckets_.get()[hash >> hash_shift_]; }
  Link& bucket_of(std::uint64_t hash) noexcept { return buckets_.get()[hash >> hash_shift_]; }
  const MemtableKey* find_key(Bytes key, std::uint64_t hash) const noexcept {
    const MemtableKey* at = bucket_of(hash).load(std::memory_order_acquire);
    while (at != nullptr && (at->hash != hash || !equal(at->key(), key))) {
      at = at->hash_next.load(std::memory_order_acquire);
    }
    return at;
  }
  MemtableKey& add_key(Bytes key, std::uint64_t hash);
  MemtableVersion* new_version(const Entry& entry, IoBuffer* buffer);
  std::byte* version_memory(std::size_t bytes);
  void reuse() noexcept;

  void order();
  void released() noexcept override { delete this; }

  Arena arena_;
  unsigned hash_shift_;
  std::size_t hash_bytes_ = 0;
  Zeroed<Link> buckets_;
  KeyTree ordered_{arena_};
  std::array<MemtableKey*, KeyTree::batch_max> unordered_;  // keys that have no place in order yet
  std::size_t unordered_count_ = 0;
  std::atomic<std::size_t> entries_{0};
  std::vector<ErasedRange> ranges_;
  std::size_t range_bytes_ = 0;
  std::vector<IoBuffer> taken_;  // overwritten or not, until the memtable goes
  std::size_t taken_bytes_ = 0;

  std::size_t reclaim_batch_;
  std::size_t overwritten_ = 0;              // since reclaim() was called
  std::vector<MemtableVersion*> replacing_;  // oldest first: `older` of each waits to be reclaimed
  std::size_t replacing_begin_ = 0;
  std::vector<MemtableVersion*> leaving_;  // unlinked; readers inside an epoch may be at them
  std::array<std::vector<MemtableVersion*>, size_classes> free_;
};

class Memtable::Iterator {
 public:
  explicit Iterator(Memtable& memtable) noexcept : memtable_(&memtable) {}

  bool valid() const noexcept { return key_ != nullptr; }
  Entry entry() const noexcept {
    return {.key = key_->key(),
            .sequence = version_->sequence,
            .kind = version_->kind,
            .expiry_ms = version_->expiry_ms,
            .value = version_->value()};
  }

  void seek_first();
  /// To the first version that is not before (key, sequence).
  void seek(Bytes key, Sequence sequence);
  void next() noexcept;

  void seek_last();
  /// To the last version whose key is below `key`.
  void seek_before(Bytes key);
  void previous();

 private:
  void at_newest(KeyTree::Place place) noexcept;
  void at_oldest(KeyTree::Place place);
  void next_key() noexcept;
  KeyTree::Place place() noexcept;

  Memtable* memtable_;
  KeyTree::Place place_;  // of key_, as of so many batches
  std::uint64_t batches_ = 0;
  const MemtableKey* key_ = nullptr;
  const MemtableVersion* version_ = nullptr;
  std::vector<const MemtableVersion*> newer_;  // backward: versions of the key still to come, newest first
};

}  // namespace ashlar::lsm
