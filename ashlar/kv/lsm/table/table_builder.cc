/// 1. Entries go to the block builder. One that does not fit closes the block: it is framed (compressed where
/// that
///    saves a page) into pages from the sink, and the index learns a separator between its last key and the
///    next.
/// 2. The filter collects the hash of each distinct key; properties count.
/// 3. Of a partitioned table, filter and index become a partition whenever they fill a block, and begin anew;
///    the partitions follow the data blocks.
/// 4. At the end filter, index and properties follow, each a frame at a multiple of 64, then the footer page.

#include "ashlar/kv/lsm/table/table_builder.h"

#include <algorithm>

#include "ashlar/kv/lsm/table/frame.h"

namespace ashlar::lsm {
namespace {

constexpr std::size_t meta_align = 64;  // filter lines become cache lines
static_assert(frame_header_bytes + filter_header_bytes == meta_align);

}  // namespace

TableBuilder::TableBuilder(const TableOptions& options, std::uint64_t number, TableSink& sink,
                           std::uint64_t owner)
    : options_(options),
      number_(number),
      owner_(owner),
      sink_(sink),
      block_(options.block_bytes, options.restart_shift),
      filter_(options.filter_bits_per_key, options.filter_kind),
      compressor_(options.compression, options.zstd_level) {}

Result<> TableBuilder::check(const Entry& entry, bool first_version) const {
  const ErrorPlace place{number_, offset_};
  if (!is_table_kind(static_cast<std::uint8_t>(entry.kind)))
    return fail(Errc::invalid, "table add: kind", place);
  if (entry.kind == Kind::separated && !ValueRef::decode(entry.value, place))
    return fail(Errc::invalid, "table add: reference", place);
  if (entry.key.size() < kv::key_prefix_bytes || entry.key.size() > kv::stored_key_bytes_max ||
      entry.value.size() > kv::value_bytes_max) {
    return fail(Errc::invalid, "table add: size", place);
  }
  if (properties_.entries == 0) return {};
  const bool ordered = first_version ? compare(last_key_, entry.key) < 0 : entry.sequence < last_sequence_;
  return ordered ? Result<>{} : fail(Errc::invalid, "table add: order", place);
}

Result<> TableBuilder::add(const Entry& entry, bool first_version) {
  TRY(check(entry, first_version));
  const std::uint64_t hash = key_hash(entry.key);
  if (!block_.add(entry, hash, first_version)) {
    TRY(write_block(&entry));
    block_.add(entry, hash, first_version);
  }
  if (first_version) {
    filter_.add(hash);
    last_key_.assign(entry.key.begin(), entry.key.end());
  }
  last_sequence_ = entry.sequence;
  properties_.count(entry, first_version);
  if (entry.expiry_ms != no_expiry) expiries_.add(entry.expiry_ms);
  return {};
}

Result<MutableBytes> TableBuilder::allocate(std::size_t bytes) {
  const ErrorPlace place{number_, offset_};
  if ((offset_ + bytes) / page_bytes > ~std::uint32_t{0}) return fail(Errc::too_large, "table", place);
  const MutableBytes memory = sink_.allocate(offset_, bytes);
  if (memory.size() != bytes) return fail(Errc::no_memory, "table sink", place);
  offset_ += bytes;
  return memory;
}

/// Frames the open block. `next`: the entry that follows, nullptr at the end of the table.
Result<> TableBuilder::write_block(const Entry* next) {
  const std::uint64_t offset = offset_;
  const std::size_t raw = block_.payload_bytes();
  const std::size_t raw_frame = round_up(frame_header_bytes + raw, page_bytes);
  const bool continues = next != nullptr && equal(last_key_, next->key);
  std::size_t stored = 0;
  if (options_.compression != Compression::none && raw_frame > page_bytes) {
    raw_.resize(raw);
    compressed_.resize(raw_frame - page_bytes - frame_header_bytes);  // anything longer saves no page
    block_.finish(raw_.data(), continues);
    stored = compressor_.compress(raw_, compressed_);
  }

  const bool compressed = stored != 0;
  const MutableBytes frame =
      TRY(allocate(compressed ? round_up(frame_header_bytes + stored, page_bytes) : raw_frame));
  std::byte* payload = frame.data() + frame_header_bytes;
  if (compressed) {
    std::memcpy(payload, compressed_.data(), stored);
  } else if (block_.empty()) {
    std::memcpy(payload, raw_.data(), raw);  // compression did not pay
  } else {
    block_.finish(payload, continues);
  }
  if (!compressed) stored = raw;
  std::ranges::fill(frame.subspan(frame_header_bytes + stored), std::byte{0});
  seal_frame(frame, FrameType::data, compressed ? options_.compression : Compression::none,
             static_cast<std::uint32_t>(stored), static_cast<std::uint32_t>(raw), {number_, offset});

  properties_.data_bytes += frame.size();
  properties_.data_raw_bytes += raw;
  if (options_.partitioned) block_pages_.push_back(static_cast<std::uint32_t>(offset / page_bytes));
  if (next != nullptr) {
    index_.add(last_key_, next->key, offset);
    if (options_.partitioned && partition_full()) cut_partition();
  } else {
    index_.add_last(last_key_, offset);
    if (!first_blocks_.empty()) cut_partition();  // else it is the only one
  }
  return {};
}

/// Whether filter and index of one block more might not fit a cache slot.
bool TableBuilder::partition_full() const noexcept {
  const std::size_t payload = partition_payload_bytes(filter_.payload_bytes(), index_.payload_bytes());
  const std::size_t frame = frame_header_bytes + payload + partition_slack_bytes;
  return frame + frame / index_.count() + 64 > options_.block_bytes;
}

void TableBuilder::cut_partition() {
  const auto first_block = static_cast<std::uint32_t>(block_pages_.size() - index_.count());
  auto& payload = partition_payloads_.emplace_back(
      partition_payload_bytes(filter_.payload_bytes(), index_.payload_bytes()));
  write_partition(payload.data(), first_block, filter_, index_, offset_);
  partition_bytes_ += payload.size();
  partitions_.add_separator(index_.last_separator(), 0);
  first_blocks_.push_back(first_block);
  filter_.reset();
  index_.reset();
}

Result<> TableBuilder::write_partitions() {
  for (std::size_t i = 0; i < partition_payloads_.size(); ++i) {
    const std::vector<std::byte> payload = std::move(partition_payloads_[i]);
    const std::uint64_t offset = offset_;
    const MutableBytes frame =
        TRY(allocate(round_up(frame_header_bytes + payload.size() + partition_slack_bytes, page_bytes)));
    std::ranges::copy(payload, frame.begin() + frame_header_bytes);
    std::ranges::fill(frame.subspan(frame_header_bytes + payload.size()), std::byte{0});
    const auto bytes = static_cast<std::uint32_t>(payload.size());
    seal_frame(frame, FrameType::partition, Compression::none, bytes, bytes, {number_, offset});
    partitions_.place(i, offset);
  }
  return {};
}

std::size_t TableBuilder::index_payload_bytes() const noexcept {
  if (first_blocks_.empty()) return index_.payload_bytes();
  return partitions_.payload_bytes() + 4 * (first_blocks_.size() + 1) + 4 * (block_pages_.size() + 1);
}

void TableBuilder::write_index(std::byte* to, const Footer& footer) const noexcept {
  if (!footer.partitioned) return index_.finish(to, footer.meta);
  partitions_.finish(to, footer.meta);
  to += partitions_.payload_bytes();
  const auto put = [&to](std::uint64_t number) {
    store_le(to, static_cast<std::uint32_t>(number));
    to += 4;
  };
  for (const std::uint32_t first : first_blocks_) put(first);
  put(block_pages_.size());
  for (const std::uint32_t page : block_pages_) put(page);
  put(footer.data_end / page_bytes);
}

Result<> TableBuilder::finish() {
  if (block_.empty()) return fail(Errc::invalid, "table without entries", {number_, 0});
  TRY(write_block(nullptr));
  properties_.largest = last_key_;
  properties_.expiry_ms_quartiles = expiries_.quartiles();
  for (const ErasedRange& range : ranges_) properties_.count(range);
  const std::vector<std::byte> ranges = encode_ranges(ranges_);
  const std::vector<std::byte> properties = properties_.encode();

  Footer footer;
  footer.number = number_;
  footer.owner = owner_;
  footer.block_bytes = options_.block_bytes;
  footer.partitioned = !first_blocks_.empty();
  footer.data_end = offset_;
  TRY(write_partitions());
  footer.meta = offset_;
  auto place_frame = [end = offset_](std::size_t payload) mutable -> BlockHandle {
    if (payload == 0) return {};
    const BlockHandle handle{end, static_cast<std::uint32_t>(frame_header_bytes + payload)};
    end = round_up(end + handle.bytes, meta_align);
    return handle;
  };
  footer.filter = place_frame(filter_.payload_bytes());  // of a partitioned table it is empty by now
  footer.index = place_frame(index_payload_bytes());
  footer.properties = place_frame(properties.size());
  footer.ranges = place_frame(ranges.size());
  const BlockHandle last = ranges.empty() ? footer.properties : footer.ranges;
  footer.offset = round_up(last.offset + last.bytes, page_bytes);
  footer.references = !properties_.references.empty();
  footer.newer_kinds = properties_.operands != 0 || footer.references;

  const MutableBytes meta = TRY(allocate(footer.offset + page_bytes - footer.meta));
  std::ranges::fill(meta, std::byte{0});
  const auto write = [&](FrameType type, BlockHandle handle, auto write_payload) {
    if (handle.bytes == 0) return;
    const MutableBytes frame = meta.subspan(handle.offset - footer.meta, handle.bytes);
    write_payload(frame.data() + frame_header_bytes);
    const auto payload = static_cast<std::uint32_t>(handle.bytes - frame_header_bytes);
    seal_frame(frame, type, Compression::none, payload, payload, {number_, handle.offset});
  };
  write(FrameType::filter, footer.filter, [&](std::byte* to) { filter_.finish(to); });
  write(FrameType::index, footer.index, [&](std::byte* to) { write_index(to, footer); });
  write(FrameType::properties, footer.properties,
        [&](std::byte* to) { std::memcpy(to, properties.data(), properties.size()); });
  write(FrameType::ranges, footer.ranges,
        [&](std::byte* to) { std::memcpy(to, ranges.data(), ranges.size()); });
  footer.encode(meta.last<page_bytes>());
  return {};
}

}  // namespace ashlar::lsm
