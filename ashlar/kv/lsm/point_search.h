#pragma once

/// A look-up of one key in a version: memtables, then one table of each run, newest first. Stops at the
/// newest version of the key that the reader may see.

#include "ashlar/kv/lsm/version.h"

namespace ashlar::lsm {

/// Runs without waiting as far as memory goes; where a block is missing it says so and goes on when it is
/// given it. Owner shard, or any thread inside an epoch (which then stops at the first missing block).
class PointSearch {
 public:
  enum class State : std::uint8_t { done, need_block };

  /// Looks for the newest version at or below `at`. Version and key outlive the search.
  PointSearch(const Version& version, Bytes key, std::uint64_t hash, Sequence at) noexcept
      : version_(version), key_(key), hash_(hash), at_(at) {}

  State run() noexcept;
  /// Where to read, in state need_block.
  TableFile& wanted_table() const noexcept { return *const_cast<TableFile*>(table_); }
  std::uint32_t wanted_block() const noexcept { return block_; }
  /// The block just wanted, or the partition; run() goes on. Its pin keeps it in place.
  void provide(const LoadedBlock& loaded) noexcept;

  /// Goes on to the next older version than the one found; run() then.
  void older() noexcept {
    at_ = Sequence{entry_.sequence.value - 1};
    holder_ = nullptr;
    memtables_done_ = memtable_version_ == nullptr;
  }

  bool found() const noexcept { return holder_ != nullptr; }
  /// The version found, tombstones too. Its value points into what `holder()` holds.
  const Entry& entry() const noexcept { return entry_; }
  kv::Pinnable* holder() const noexcept { return holder_; }
  /// Blocks that were in memory, since it was last asked.
  std::uint32_t take_blocks_seen() noexcept { return std::exchange(blocks_seen_, 0); }

 private:
  bool search_memtables() noexcept;
  bool next_table() noexcept;
  bool look_in(const Block& block, kv::Pinnable* holder) noexcept;
  void look_in(const TablePartition& partition) noexcept;

  const Version& version_;
  Bytes key_;
  std::uint64_t hash_;
  Sequence at_;
  bool memtables_done_ = false;
  std::size_t memtable_ = 0;                           // being searched
  const MemtableVersion* memtable_version_ = nullptr;  // found there
  std::size_t run_ = 0;                                // the next one
  const TableFile* table_ = nullptr;                   // being searched
  std::uint32_t block_ = 0;  // of it, or the ordinal of a partition that knows which block
  bool at_partition_ = false;
  std::uint32_t blocks_seen_ = 0;
  Entry entry_;
  kv::Pinnable* holder_ = nullptr;
};

inline bool PointSearch::search_memtables() noexcept {
  memtables_done_ = true;
  for (; memtable_ < version_.memtables.size(); ++memtable_) {
    Memtable* const memtable = version_.memtables[memtable_];
    if (memtable->empty()) continue;
    const MemtableVersion* const newer = std::exchange(memtable_version_, nullptr);
    const MemtableVersion* const version =
        newer == nullptr ? memtable->find(key_, hash_, at_) : newer->older.load(std::memory_order_acquire);
    if (version == nullptr) continue;
    memtable_version_ = version;
    entry_ = {.key = key_,
              .sequence = version->sequence,
              .kind = version->kind,
              .expiry_ms = version->expiry_ms,
              .value = version->value()};
    holder_ = memtable;
    return true;
  }
  return false;
}

/// The next table whose filter lets the key through, and the block of it.
inline bool PointSearch::next_table() noexcept {
  while (run_ < version_.runs.size()) {
    const Run& run = version_.runs[run_++];
    // What was flushed mostly spans everything: its filter says more than its range.
    const TableFile* table =
        run.level == 0 && run.tables.size() == 1 ? run.tables.front() : run.covering(key_);
    if (table == nullptr || table->meta().smallest_sequence > at_) continue;
    const Table& parts = table->table();
    at_partition_ = parts.partitioned();
    if (at_partition_) {
      block_ = parts.find_partition(key_);
    } else if (run_ == version_.runs.size()) {
      // Most keys that come as far as the last run are there, and its block, where it is in memory, says so
      // in as many steps as the filter.
      block_ = parts.find(key_);
      const bool in_memory = block_ != parts.block_count() && table->cached().holds(block_);
      if (!in_memory && !parts.may_contain(hash_)) continue;
    } else {
      if (!parts.may_contain(hash_)) continue;
      block_ = parts.find(key_);
    }
    if (block_ == parts.ordinal_count()) continue;
    table_ = table;
    return true;
  }
  table_ = nullptr;
  return false;
}

/// True where the search is over.
inline bool PointSearch::look_in(const Block& block, kv::Pinnable* holder) noexcept {
  const BlockLookup result = block.find(key_, hash_, at_);
  switch (result.state) {
    case BlockLookup::State::found:
      entry_ = result.entry;
      holder_ = holder;
      return true;
    case BlockLookup::State::next_block: ++block_; break;
    case BlockLookup::State::absent: table_ = nullptr; break;
  }
  return false;
}

inline void PointSearch::look_in(const TablePartition& partition) noexcept {
  at_partition_ = false;
  if (partition.may_contain(hash_)) {
    block_ = partition.find(key_);
  } else {
    table_ = nullptr;
  }
}

inline PointSearch::State PointSearch::run() noexcept {
  if (holder_ != nullptr || (!memtables_done_ && search_memtables())) return State::done;
  while (table_ != nullptr || next_table()) {
    if (!at_partition_ && block_ == table_->table().block_count()) {  // the last block continues nowhere
      table_ = nullptr;
      continue;
    }
    CachedBlock* cached = table_->cached().find(block_, hash_);
    if (cached == nullptr) return State::need_block;
    ++blocks_seen_;
    if (at_partition_) [[unlikely]] {
      look_in(cached->partition());
    } else if (look_in(cached->block(), cached)) {
      return State::done;
    }
  }
  return State::done;
}

inline void PointSearch::provide(const LoadedBlock& loaded) noexcept {
  if (at_partition_) {
    look_in(*loaded.partition);
  } else {
    look_in(*loaded.block, loaded.pin.held());
  }
}

}  // namespace ashlar::lsm
