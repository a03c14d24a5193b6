#pragma once

/// Turns entries in order into the bytes of a table.

#include <vector>

#include "ashlar/base/result.h"
#include "ashlar/kv/lsm/table/block_builder.h"
#include "ashlar/kv/lsm/table/compression.h"
#include "ashlar/kv/lsm/table/filter.h"
#include "ashlar/kv/lsm/table/footer.h"
#include "ashlar/kv/lsm/table/index.h"
#include "ashlar/kv/lsm/table/properties.h"
#include "ashlar/kv/lsm/table/range_section.h"
#include "ashlar/kv/lsm/table/table_partition.h"

namespace ashlar::lsm {

/// Where a builder puts finished pages. The engine's sink hands out pieces of write buffers, and writes full
/// buffers in parallel between two calls of the builder.
class TableSink {
 public:
  virtual ~TableSink() = default;
  /// Memory for the file's bytes [offset, offset + bytes): whole pages, each call going on where the last
  /// ended. The builder fills it before its own call returns. Most calls ask for a data block; a large entry
  /// and the final one (filter, index, properties, footer: 1.5 bytes per key or so) ask for more. Empty: no
  /// memory.
  virtual MutableBytes allocate(std::uint64_t offset, std::size_t bytes) = 0;
};

/// Builds one table. Does no I/O and waits for nothing, so it may run anywhere a time slice allows.
/// Lifecycle: add() in order, finish() once, then discard; after an error discard it and what was written.
class TableBuilder {
 public:
  /// `options` are within their bounds. `number`: of the table, part of every checksum. `sink` outlives the
  /// builder. `owner`: the partition it is for.
  TableBuilder(const TableOptions& options, std::uint64_t number, TableSink& sink,
               std::uint64_t owner = owner_unknown);

  /// Adds the next entry. Fails with `invalid` where it is out of order, its kind not one that tables hold,
  /// or key or value beyond their limits; with `no_memory` where the sink had none; with `too_large` at 16
  /// TiB.
  Result<> add(const Entry& entry) { return add(entry, !equal(last_key_, entry.key)); }
  /// The same, where it is known whether the entry before has another key.
  Result<> add(const Entry& entry, bool first_version);

  /// Erased ranges that the table carries.
  void set_ranges(std::vector<ErasedRange> ranges) { ranges_ = std::move(ranges); }
  /// No entry is covered by an erased range up to this sequence.
  void set_erased_to(Sequence sequence) noexcept { properties_.erased_to = sequence; }

  /// After the last add(): builds about as much of the filter as so many keys are; false when nothing is
  /// left. For those who must not take as long as the whole of it takes, 0.1 µs a key.
  bool build_filter(std::size_t keys) { return filter_.build(keys); }
  /// Writes everything that is left. A table without entries is `invalid`.
  Result<> finish();

  /// Size of the file: so far while adding (the open block not counted), final after finish().
  std::uint64_t file_bytes() const noexcept { return offset_; }
  /// What the builder holds until finish(): grows by 8 bytes per distinct key and some 40 per block; of a
  /// partitioned table by the size of its filters, and some 50 per block.
  std::size_t memory_bytes() const noexcept {
    return filter_.memory_bytes() + index_.memory_bytes() + partition_bytes_ + partitions_.memory_bytes() +
           4 * (block_pages_.size() + first_blocks_.size()) + compressor_.memory_bytes() +
           options_.block_bytes;
  }
  const Properties& properties() const noexcept { return properties_; }

 private:
  Result<> check(const Entry& entry, bool first_version) const;
  Result<> write_block(const Entry* next);
  bool partition_full() const noexcept;
  void cut_partition();
  Result<> write_partitions();
  std::size_t index_payload_bytes() const noexcept;
  void write_index(std::byte* to, const Footer& footer) const noexcept;
  Result<MutableBytes> allocate(std::size_t bytes);

  TableOptions options_;
  std::uint64_t number_;
  std::uint64_t owner_;
  TableSink& sink_;
  std::uint64_t offset_ = 0;
  BlockBuilder block_;
  FilterBuilder filter_;
  IndexBuilder index_;
  // Of a partitioned table: finished partitions, each a frame without its header, and what is told of them.
  std::vector<std::vector<std::byte>> partition_payloads_;
  std::size_t partition_bytes_ = 0;
  IndexBuilder partitions_;
  std::vector<std::uint32_t> first_blocks_;
  std::vector<std::uint32_t> block_pages_;
  Properties properties_;
  ExpirySample expiries_;
  std::vector<ErasedRange> ranges_;
  std::vector<std::byte> last_key_;
  Sequence last_sequence_;
  Compressor compressor_;
  std::vector<std::byte> raw_, compressed_;  // scratch of compression
};

}  // namespace ashlar::lsm
