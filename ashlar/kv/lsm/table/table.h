#pragma once

/// An open table: what a reader asks before, and instead of, reading data blocks.

#include <utility>

#include "ashlar/base/result.h"
#include "ashlar/kv/lsm/table/block.h"
#include "ashlar/kv/lsm/table/filter.h"
#include "ashlar/kv/lsm/table/footer.h"
#include "ashlar/kv/lsm/table/index.h"
#include "ashlar/kv/lsm/table/properties.h"
#include "ashlar/kv/lsm/table/range_section.h"
#include "ashlar/kv/lsm/table/table_partition.h"

namespace ashlar::lsm {

/// What of a table stays in memory, over memory that whoever opened it keeps in place. Does no I/O:
///
///   Footer footer = TRY(Footer::decode(last_page, number, file_bytes));
///   read [footer.meta, footer.offset) into `meta`
///   Table table = TRY(Table::open(footer, meta));
///   if (table.may_contain(hash)) if (auto block = table.find(key); block != table.block_count()) …
///
/// Of a partitioned table that is the index of its partitions and where its blocks are; filters and the index
/// of blocks are in the partitions, which are read like blocks. Their ordinals follow those of the data
/// blocks:
///
///   auto ordinal = table.find_partition(key);   // then, in that partition: may_contain(hash), find(key)
///
/// Immutable once open; readable from any thread.
class Table {
 public:
  Table() = default;
  /// Of which no more is known.
  explicit Table(Properties properties) : properties_(std::move(properties)) {}
  /// `meta`: the file's bytes from footer.meta to footer.offset, aligned to 64 in memory for the filter's
  /// sake.
  static Result<Table> open(const Footer& footer, Bytes meta);

  bool partitioned() const noexcept { return partition_count_ != 0; }

  /// False only where no version of the key is in the table. `hash` is key_hash(key). Not partitioned.
  bool may_contain(std::uint64_t hash) const noexcept { return filter_.may_contain(hash); }
  void prefetch(std::uint64_t hash) const noexcept { filter_.prefetch(hash); }
  /// The block that holds the newest version of `key` if any does, or block_count(). Not partitioned.
  std::uint32_t find(Bytes key) const noexcept { return index_.find(key, guide_); }
  /// The ordinal of the partition that knows, or ordinal_count(). Partitioned.
  std::uint32_t find_partition(Bytes key) const noexcept { return block_count_ + index_.find(key, guide_); }
  /// The first and last data block that may hold the first key at or after `key`, which is not above the
  /// table's largest: one block, or those of a partition.
  std::pair<std::uint32_t, std::uint32_t> blocks_near(Bytes key) const noexcept;

  /// Keys that stand about evenly in the table, ascending: one for each data block, or each partition.
  std::uint32_t index_count() const noexcept { return index_.count(); }
  std::vector<std::byte> separator(std::uint32_t i) const { return index_.whole_separator(i); }

  /// Of data blocks; and with the partitions.
  std::uint32_t block_count() const noexcept { return block_count_; }
  std::uint32_t ordinal_count() const noexcept { return block_count_ + partition_count_; }
  bool is_partition(std::uint32_t ordinal) const noexcept { return ordinal >= block_count_; }
  BlockHandle block(std::uint32_t ordinal) const noexcept;
  PartitionScope scope(std::uint32_t ordinal) const noexcept;

  std::uint64_t number() const noexcept { return number_; }
  std::uint32_t block_bytes() const noexcept { return block_bytes_; }
  const Properties& properties() const noexcept { return properties_; }
  /// Beyond the memory it was opened over.
  std::size_t memory_bytes() const noexcept {
    return guide_.memory_bytes() + properties_.smallest.capacity() + properties_.largest.capacity();
  }
  /// What every entry's sequence is above what its block says: of a table that was ingested.
  std::uint64_t sequence_shift() const noexcept { return sequence_shift_; }
  /// Before any block is read: all of its entries, which have one sequence, have this one.
  void set_sequence(Sequence sequence) noexcept {
    sequence_shift_ = sequence.value - properties_.sequence_min.value;
    properties_.sequence_min = properties_.sequence_max = sequence;
  }
  /// Erased ranges that it carries, in no order.
  const std::vector<ErasedRange>& ranges() const noexcept { return ranges_; }

 private:
  Result<> open_partitions(Bytes rest, FileRange data, ErrorPlace place) noexcept;
  std::uint32_t first_block(std::uint32_t partition) const noexcept {
    return load_le<std::uint32_t>(first_blocks_ + 4 * std::size_t{partition});
  }
  std::uint64_t block_offset(std::uint32_t block) const noexcept {
    return load_le<std::uint32_t>(pages_ + 4 * std::size_t{block}) * std::uint64_t{page_bytes};
  }

  Filter filter_;
  Index index_;  // of blocks, or of partitions
  IndexGuide guide_;
  std::uint32_t block_count_ = 0, partition_count_ = 0;
  const std::byte* first_blocks_ = nullptr;  // of each partition; the last is block_count_
  const std::byte* pages_ = nullptr;         // of each data block; the last is where they end
  std::uint64_t number_ = 0;
  std::uint32_t block_bytes_ = 0;
  Properties properties_;
  std::uint64_t sequence_shift_ = 0;
  std::vector<ErasedRange> ranges_;
};

}  // namespace ashlar::lsm
