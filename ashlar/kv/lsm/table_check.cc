// A table's check, step by step:
//
//   1. the last page: footer, and zeroes behind it
//   2. filter, index, properties and erased ranges: checksums, zeroes between them
//   3. each data block, in order of the file: checksum, zeroes up to the next page, what a reader validates,
//      order within it and towards the block before
//   4. each key: the index leads to the first block that has it, and the filter lets it through; of a
//      partitioned table, those of the block's partition
//   5. the properties, counted anew

#include "ashlar/kv/lsm/table_check.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "ashlar/base/endian.h"
#include "ashlar/base/zero.h"
#include "ashlar/kv/lsm/table/frame.h"
#include "ashlar/kv/lsm/table/table.h"
#include "ashlar/kv/lsm/table/table_partition.h"
#include "ashlar/runtime/shard/shard.h"
#include "ashlar/runtime/sync/sleep.h"

namespace ashlar::lsm {

namespace {

constexpr std::uint64_t window_bytes = 1u << 20;  // read at once

class TableCheck {
 public:
  TableCheck(blob::Table& blob, std::uint64_t partition, std::uint64_t number, EntryVisitor* visitor) noexcept
      : blob_(blob), partition_(partition), number_(number), visitor_(visitor) {}

  Task<Result<TableMeta>> run(CheckProgress* progress);

 private:
  Task<Result<>> read_footer();
  Task<Result<>> read_meta();
  Result<> check_gaps() const;
  Task<Result<>> check_blocks(CheckProgress* progress);
  Task<Result<>> enter_partition(std::uint32_t block);
  bool leads_to(Bytes key, std::uint32_t block) const noexcept;
  bool may_contain(Bytes key) const noexcept;
  Result<> check_block(std::uint32_t ordinal, Bytes frame);
  Result<> check_entries(const Block& block, std::uint32_t ordinal, ErrorPlace place);
  Result<> check_properties() const;

  blob::Table& blob_;
  std::uint64_t partition_, number_;
  EntryVisitor* visitor_;
  Footer footer_;
  IoBuffer meta_;
  Table table_;
  std::uint32_t partition_ordinal_ = 0;  // of the partition at hand
  IoBuffer partition_memory_;
  std::optional<TablePartition> partition_view_;
  Properties counted_;
  std::vector<std::byte> raw_, last_key_;
  KeyBuffer key_buffer_;
  Sequence last_sequence_;
  bool has_last_ = false;
  bool continues_ = false;  // the block before said that this one begins with its last key
};

Task<Result<>> TableCheck::read_footer() {
  const std::uint64_t bytes = blob_.bytes();
  if (bytes < page_bytes || bytes % page_bytes != 0)
    co_return fail(Errc::corrupt, "table size", {.object = number_, .offset = bytes});
  const IoBuffer page = CO_TRY(Shard::current().buffers().allocate_regardless(page_bytes));
  CO_TRY(co_await blob_.read(bytes - page_bytes, page.bytes()));
  footer_ = CO_TRY(Footer::decode(page.bytes(), number_, bytes, partition_));
  const auto payload = load_le<std::uint32_t>(page.data() + 8);
  if (!all_zero(Bytes(page.bytes()).subspan(frame_header_bytes + payload)))
    co_return fail(Errc::corrupt, "table footer: padding", {number_, footer_.offset});
  co_return Result<>{};
}

Task<Result<>> TableCheck::read_meta() {
  const std::uint64_t bytes = footer_.offset - footer_.meta;
  meta_ = CO_TRY(Shard::current().buffers().allocate_regardless(blob::align_up(bytes)));
  CO_TRY(co_await blob_.read(footer_.meta, meta_.bytes()));
  table_ = CO_TRY(Table::open(footer_, Bytes(meta_.bytes()).first(bytes)));
  if (table_.block_count() == 0)
    co_return fail(Errc::corrupt, "table without blocks", {number_, footer_.meta});
  co_return check_gaps();
}

/// Between the frames behind the data there are zeroes.
Result<> TableCheck::check_gaps() const {
  std::uint64_t at = footer_.meta;
  const Bytes meta = Bytes(meta_.bytes());
  for (const BlockHandle& handle : {footer_.filter, footer_.index, footer_.properties, footer_.ranges}) {
    if (handle.bytes == 0) continue;
    if (handle.offset < at) return fail(Errc::corrupt, "table frames overlap", {number_, handle.offset});
    if (!all_zero(meta.subspan(at - footer_.meta, handle.offset - at)))
      return fail(Errc::corrupt, "table padding", {number_, at});
    at = handle.offset + handle.bytes;
  }
  if (!all_zero(meta.subspan(at - footer_.meta, footer_.offset - at)))
    return fail(Errc::corrupt, "table padding", {number_, at});
  return {};
}

Task<Result<>> TableCheck::check_blocks(CheckProgress* progress) {
  IoBuffer window;
  const std::uint32_t count = table_.block_count();
  for (std::uint32_t first = 0; first < count;) {
    const std::uint64_t from = table_.block(first).offset;
    std::uint32_t end = first;
    std::uint64_t bytes = 0;
    while (end < count && (end == first || bytes + table_.block(end).bytes <= window_bytes))
      bytes += table_.block(end++).bytes;
    if (window.size() < bytes)
      window = CO_TRY(Shard::current().buffers().allocate_regardless(std::max(bytes, window_bytes)));
    CO_TRY(co_await blob_.read(from, window.bytes().first(bytes)));
    for (; first < end; ++first) {
      const BlockHandle handle = table_.block(first);
      if (table_.partitioned()) CO_TRY(co_await enter_partition(first));
      CO_TRY(check_block(first, Bytes(window.bytes()).subspan(handle.offset - from, handle.bytes)));
      if (Shard::current().should_yield()) co_await yield();
    }
    if (progress != nullptr) progress->bytes.fetch_add(bytes, std::memory_order_relaxed);
  }
  if (continues_) co_return fail(Errc::corrupt, "table ends within a key", {number_, footer_.meta});
  co_return Result<>{};
}

/// Reads the partition that begins with this block, if one does.
Task<Result<>> TableCheck::enter_partition(std::uint32_t block) {
  const std::uint32_t next = block == 0 ? table_.block_count() : partition_ordinal_ + 1;
  if (block != 0 && (next == table_.ordinal_count() || table_.scope(next).first_block != block))
    co_return Result<>{};
  const BlockHandle handle = table_.block(next);
  const ErrorPlace place{number_, handle.offset};
  if (partition_memory_.size() < handle.bytes)
    partition_memory_ = CO_TRY(Shard::current().buffers().allocate_regardless(handle.bytes));
  const MutableBytes frame = partition_memory_.bytes().first(handle.bytes);
  CO_TRY(co_await blob_.read(handle.offset, frame));
  const Frame opened = CO_TRY(open_frame(frame, FrameType::partition, place));
  if (!all_zero(Bytes(frame).subspan(frame_header_bytes + opened.stored.size())))
    co_return fail(Errc::corrupt, "table padding", place);
  partition_view_ = CO_TRY(TablePartition::parse(opened.stored, table_.scope(next), place));
  partition_ordinal_ = next;
  co_return Result<>{};
}

bool TableCheck::leads_to(Bytes key, std::uint32_t block) const noexcept {
  if (!table_.partitioned()) return table_.find(key) == block;
  return table_.find_partition(key) == partition_ordinal_ && partition_view_->find(key) == block;
}

bool TableCheck::may_contain(Bytes key) const noexcept {
  const std::uint64_t hash = key_hash(key);
  return table_.partitioned() ? partition_view_->may_contain(hash) : table_.may_contain(hash);
}

Result<> TableCheck::check_block(std::uint32_t ordinal, Bytes bytes) {
  const ErrorPlace place{number_, table_.block(ordinal).offset};
  const Frame frame = TRY(open_frame(bytes, FrameType::data, place));
  if (!all_zero(bytes.subspan(frame_header_bytes + frame.stored.size())))
    return fail(Errc::corrupt, "table padding", place);
  Bytes payload = frame.stored;
  if (frame.compression != Compression::none) {
    raw_.resize(frame.raw_bytes);
    TRY(decompress(frame, raw_, place));
    payload = raw_;
  }
  const Block block = TRY(Block::parse(payload, place));
  TRY(block.verify(place));
  counted_.data_bytes += bytes.size();
  counted_.data_raw_bytes += frame.raw_bytes;
  return check_entries(block, ordinal, place);
}

Result<> TableCheck::check_entries(const Block& block, std::uint32_t ordinal, ErrorPlace place) {
  key_buffer_.reset();
  for (std::uint32_t i = 0; i < block.count(); ++i) {
    const Entry entry = block.entry(i, key_buffer_);
    const bool new_key = !has_last_ || !equal(entry.key, last_key_);
    const int order = has_last_ ? compare_versions(last_key_, last_sequence_, entry.key, entry.sequence) : -1;
    if (order >= 0) return fail(Errc::corrupt, "table: order of entries", place);
    if (i == 0 && continues_ != (has_last_ && !new_key))
      return fail(Errc::corrupt, "table: a key that goes on in the next block", place);
    if (new_key) {
      if (!leads_to(entry.key, ordinal)) return fail(Errc::corrupt, "table index", place);
      if (!may_contain(entry.key)) return fail(Errc::corrupt, "table filter", place);
      last_key_.assign(entry.key.begin(), entry.key.end());
    }
    counted_.count(entry, new_key);
    if (visitor_ != nullptr) TRY(visitor_->on_entry(entry, place));
    last_sequence_ = entry.sequence;
    has_last_ = true;
  }
  continues_ = block.continues();
  return {};
}

Result<> TableCheck::check_properties() const {
  const Properties& said = table_.properties();
  Properties counted = counted_;
  counted.largest = last_key_;
  for (const ErasedRange& range : table_.ranges()) counted.count(range);
  counted.expiry_ms_quartiles = said.expiry_ms_quartiles;  // of a sample
  counted.erased_to = said.erased_to;                      // of ranges that other tables carried
  if (counted == said) return {};
  return fail(Errc::corrupt, "table properties", {number_, footer_.properties.offset});
}

Task<Result<TableMeta>> TableCheck::run(CheckProgress* progress) {
  CO_TRY(co_await read_footer());
  CO_TRY(co_await read_meta());
  CO_TRY(co_await check_blocks(progress));
  CO_TRY(check_properties());
  co_return table_meta(table_.properties(), number_, blob_.bytes(), 0);
}

}  // namespace

TableMeta table_meta(const Properties& properties, std::uint64_t number, std::uint64_t file_bytes,
                     unsigned level) {
  return {.level = level,
          .number = number,
          .file_bytes = file_bytes,
          .entries = properties.entries,
          .tombstones = properties.tombstones,
          .smallest_sequence = properties.sequence_min,
          .largest_sequence = properties.sequence_max,
          .smallest_key = std::string(as_text(properties.smallest)),
          .largest_key = std::string(as_text(properties.largest))};
}

Task<Result<TableMeta>> check_table(blob::Store& blobs, std::uint64_t partition, std::uint64_t number,
                                    CheckProgress* progress, EntryVisitor* visitor) {
  const auto blob = CO_TRY(co_await blobs.open_table(number));
  const auto check = std::make_unique<TableCheck>(*blob, partition, number, visitor);
  auto meta = co_await check->run(progress);
  if (progress != nullptr) progress->tables.fetch_add(1, std::memory_order_relaxed);
  co_return meta;
}

}  // namespace ashlar::lsm
