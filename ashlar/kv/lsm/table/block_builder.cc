#include "ashlar/kv/lsm/table/block_builder.h"

#include <algorithm>
#include <bit>
#include <cassert>

#include "ashlar/base/endian.h"
#include "ashlar/kv/lsm/table/block.h"

namespace ashlar::lsm {
namespace {

std::size_t offset_width(std::size_t directory) noexcept {
  return directory <= 0xffff ? 2 : 4;
}
std::size_t sequence_width(std::uint64_t low, std::uint64_t high) noexcept {
  return (static_cast<std::size_t>(std::bit_width(high - low)) + 7) / 8;
}
std::size_t bucket_count(std::size_t keys) noexcept {
  return std::max<std::size_t>(block_buckets_min, keys + keys / 2 + 1);
}

/// Tag and four varints at most: what precedes suffix and value.
struct EntryHead {
  std::byte bytes[1 + 3 * 5 + varint_size_max];
  std::size_t size;

  EntryHead(const Entry& entry, std::size_t shared) noexcept {
    const bool expires = entry.expiry_ms != no_expiry;
    bytes[0] =
        static_cast<std::byte>(static_cast<unsigned>(entry.kind) | (expires ? detail::tag_expires : 0));
    std::byte* end = store_varint(bytes + 1, shared);
    end = store_varint(end, entry.key.size() - shared);
    end = store_varint(end, entry.value.size());
    if (expires) end = store_varint(end, entry.expiry_ms);
    size = static_cast<std::size_t>(end - bytes);
  }
};

}  // namespace

BlockBuilder::BlockBuilder(std::uint32_t block_bytes, std::uint8_t restart_shift)
    : payload_bytes_max_(block_bytes - frame_header_bytes), restart_shift_(restart_shift) {
  entries_.reserve(block_bytes);
}

std::size_t BlockBuilder::payload_bytes(std::size_t entry_bytes, std::size_t records, std::size_t keys,
                                        std::uint64_t low, std::uint64_t high) noexcept {
  const std::size_t directory = block_header_bytes + entry_bytes;
  return directory + records * (offset_width(directory) + sequence_width(low, high)) + 2 * bucket_count(keys);
}

bool BlockBuilder::add(const Entry& entry, std::uint64_t hash, bool first_version) {
  const bool restart = (records_.size() & ((1u << restart_shift_) - 1)) == 0;
  std::size_t shared = 0;
  if (!restart) {
    const Bytes restart_key{entries_.data() + restart_at_, restart_bytes_};
    shared =
        static_cast<std::size_t>(std::ranges::mismatch(restart_key, entry.key).in1 - restart_key.begin());
  }
  const EntryHead head(entry, shared);
  const Bytes suffix = entry.key.subspan(shared);
  first_version |= empty();  // the hash index knows the first of each key in the block

  const std::uint64_t low = std::min(low_, entry.sequence.value),
                      high = std::max(high_, entry.sequence.value);
  const std::size_t entry_bytes = entries_.size() + head.size + suffix.size() + entry.value.size();
  if (!empty()) {
    if (records_.size() == block_entries_max) return false;
    const std::size_t bytes =
        payload_bytes(entry_bytes, records_.size() + 1, keys_.size() + (first_version ? 1 : 0), low, high);
    if (bytes > payload_bytes_max_) return false;
  }

  const auto ordinal = static_cast<std::uint32_t>(records_.size());
  records_.push_back(
      {static_cast<std::uint32_t>(block_header_bytes + entries_.size()), entry.sequence.value});
  if (first_version) keys_.push_back({hash, ordinal});
  if (restart) {
    restart_at_ = entries_.size() + head.size;
    restart_bytes_ = entry.key.size();
  }
  entries_.insert(entries_.end(), head.bytes, head.bytes + head.size);
  entries_.insert(entries_.end(), suffix.begin(), suffix.end());
  entries_.insert(entries_.end(), entry.value.begin(), entry.value.end());
  low_ = low;
  high_ = high;
  return true;
}

void BlockBuilder::write_buckets(std::byte* buckets, std::size_t count) const noexcept {
  std::fill_n(buckets, 2 * count, std::byte{0});
  const auto ordinal_bits = static_cast<unsigned>(std::bit_width(records_.size()));
  for (const Key& key : keys_) {
    std::size_t bucket = static_cast<std::uint64_t>(static_cast<std::uint32_t>(key.hash)) * count >> 32;
    while (load_le<std::uint16_t>(buckets + 2 * bucket) != 0) {
      if (++bucket == count) bucket = 0;
    }
    const auto held = static_cast<std::uint16_t>((key.hash >> 32 << ordinal_bits) | (key.ordinal + 1));
    store_le(buckets + 2 * bucket, held);
  }
}

void BlockBuilder::finish(std::byte* payload, bool continues) {
  assert(!empty());
  const std::size_t directory = block_header_bytes + entries_.size();
  const std::size_t offset_bytes = offset_width(directory), sequence_bytes = sequence_width(low_, high_);
  const std::size_t buckets = bucket_count(keys_.size());
  store_le(payload, low_);
  store_le(payload + 8, static_cast<std::uint32_t>(records_.size()));
  store_le(payload + 12, static_cast<std::uint32_t>(directory));
  store_le(payload + 16, static_cast<std::uint32_t>(buckets));
  payload[20] = static_cast<std::byte>(offset_bytes);
  payload[21] = static_cast<std::byte>(sequence_bytes);
  payload[22] = static_cast<std::byte>(restart_shift_);
  payload[23] = static_cast<std::byte>(continues);
  std::memcpy(payload + block_header_bytes, entries_.data(), entries_.size());
  std::byte* to = payload + directory;
  for (const Record& record : records_) {
    const std::uint64_t delta = record.sequence - low_;
    std::memcpy(to, &record.offset, offset_bytes);
    std::memcpy(to + offset_bytes, &delta, sequence_bytes);
    to += offset_bytes + sequence_bytes;
  }
  write_buckets(to, buckets);

  entries_.clear();
  if (entries_.capacity() > 2 * payload_bytes_max_) {  // a large entry had a block to itself
    entries_.shrink_to_fit();
    entries_.reserve(payload_bytes_max_);
  }
  records_.clear();
  keys_.clear();
  low_ = ~std::uint64_t{0};
  high_ = 0;
}

}  // namespace ashlar::lsm
