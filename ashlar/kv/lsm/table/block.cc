#include "ashlar/kv/lsm/table/block.h"

#include <algorithm>
#include <bit>

#include "ashlar/kv/lsm/table/value_table.h"

namespace ashlar::lsm {

using detail::EntryFields;

namespace detail {

bool decode_entry(const std::byte* from, const std::byte* end, EntryFields& fields) noexcept {
  if (from == end) return false;
  fields.tag = static_cast<std::uint8_t>(*from++);
  const auto varint = [&from, end](std::uint64_t& value) {
    from = load_varint(from, end, value);
    return from != nullptr;
  };
  std::uint64_t shared = 0, suffix = 0, value = 0;
  fields.expiry_ms = no_expiry;
  if (!varint(shared) || !varint(suffix) || !varint(value)) return false;
  if ((fields.tag & tag_expires) != 0 && !varint(fields.expiry_ms)) return false;
  const auto room = static_cast<std::uint64_t>(end - from);
  if (shared > kv::stored_key_bytes_max || suffix > kv::stored_key_bytes_max - shared) return false;
  if (suffix > room || value > room - suffix) return false;
  fields.shared = static_cast<std::uint32_t>(shared);
  fields.suffix_bytes = static_cast<std::uint32_t>(suffix);
  fields.value_bytes = static_cast<std::uint32_t>(value);
  fields.suffix = from;
  return true;
}

}  // namespace detail

namespace {

/// Decodes an entry that was validated: only varints longer than one byte take the slow way.
inline EntryFields decode_trusted(const std::byte* from) noexcept {
  EntryFields fields;
  const auto word = load_le<std::uint32_t>(from);
  if ((word & 0x80808080u) == 0) [[likely]] {
    fields.tag = static_cast<std::uint8_t>(word);
    fields.shared = word >> 8 & 0xff;
    fields.suffix_bytes = word >> 16 & 0xff;
    fields.value_bytes = word >> 24;
    fields.suffix = from + 4;
    return fields;
  }
  const auto varint = [&from] {
    std::uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
      const auto byte = static_cast<std::uint64_t>(*from++);
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  fields.tag = static_cast<std::uint8_t>(*from++);
  fields.shared = static_cast<std::uint32_t>(varint());
  fields.suffix_bytes = static_cast<std::uint32_t>(varint());
  fields.value_bytes = static_cast<std::uint32_t>(varint());
  if (fields.tag & detail::tag_expires) fields.expiry_ms = varint();
  fields.suffix = from;
  return fields;
}

constexpr std::size_t copy_slack = 8;

/// Copies a suffix without a call where it is short. Reads and writes up to 8 bytes: behind the last entry of
/// a block there are a directory and four buckets at least, and `to` has slack.
inline void copy_suffix(std::byte* to, const std::byte* from, std::size_t bytes) noexcept {
  static_assert(2 * block_buckets_min >= copy_slack);
  if (bytes > 16) {
    std::memcpy(to, from, bytes);
    return;
  }
  store_le(to, load_le<std::uint64_t>(from));
  if (bytes > 8) store_le(to + bytes - 8, load_le<std::uint64_t>(from + bytes - 8));
}

}  // namespace

inline EntryFields Block::fields(std::uint32_t ordinal) const noexcept {
  return decode_trusted(payload_ + offset(ordinal));
}

Result<Block> Block::parse(Bytes payload, ErrorPlace place, std::uint64_t sequence_shift) noexcept {
  constexpr const char* where = "table block: header";
  if (payload.size() < block_header_bytes || payload.size() > ~std::uint32_t{0}) {
    return fail(Errc::corrupt, where, place);
  }
  const std::byte* p = payload.data();
  Block block;
  block.payload_ = p;
  block.base_ = load_le<std::uint64_t>(p) + sequence_shift;
  const auto count = load_le<std::uint32_t>(p + 8);
  const std::uint64_t directory = load_le<std::uint32_t>(p + 12);
  block.bucket_count_ = load_le<std::uint32_t>(p + 16);
  block.offset_width_ = static_cast<std::uint8_t>(p[20]);
  const auto sequence_width = static_cast<std::uint8_t>(p[21]);
  block.restart_shift_ = static_cast<std::uint8_t>(p[22]);
  const auto flags = static_cast<std::uint8_t>(p[23]);
  block.continues_ = flags & 1;

  if (count == 0 || count > block_entries_max) return fail(Errc::corrupt, where, place);
  block.count_ = static_cast<std::uint16_t>(count);
  if (block.bucket_count_ < block_buckets_min) return fail(Errc::corrupt, where, place);
  if (block.offset_width_ != 2 && block.offset_width_ != 4) return fail(Errc::corrupt, where, place);
  if (sequence_width > 8 || block.restart_shift_ > 7 || flags > 1) return fail(Errc::corrupt, where, place);
  block.stride_ = static_cast<std::uint8_t>(block.offset_width_ + sequence_width);
  block.sequence_mask_ = sequence_width == 0 ? 0 : ~std::uint64_t{0} >> (64 - 8 * sequence_width);
  block.ordinal_bits_ = static_cast<std::uint8_t>(std::bit_width(count));

  const std::uint64_t buckets = directory + std::uint64_t{count} * block.stride_;
  if (directory < block_header_bytes || buckets + std::uint64_t{block.bucket_count_} * 2 != payload.size()) {
    return fail(Errc::corrupt, where, place);
  }
  block.entry_bytes_x256_ = static_cast<std::uint32_t>((directory - block_header_bytes) * 256 / count);
  block.directory_ = static_cast<std::uint32_t>(directory);
  block.buckets_ = static_cast<std::uint32_t>(buckets);
  TRY(block.validate_entries(place));
  TRY(block.validate_buckets(place));
  return block;
}

Result<> Block::validate_entries(ErrorPlace place) const noexcept {
  constexpr const char* where = "table block: entry";
  const std::byte* from = payload_ + block_header_bytes;
  std::uint32_t restart_key_bytes = 0;
  for (std::uint32_t ordinal = 0; ordinal < count_; ++ordinal) {
    if (offset(ordinal) != static_cast<std::uint64_t>(from - payload_))
      return fail(Errc::corrupt, where, place);
    EntryFields fields;
    if (!detail::decode_entry(from, directory(), fields)) return fail(Errc::corrupt, where, place);
    if (!is_table_kind(fields.tag & 0x7f)) return fail(Errc::corrupt, where, place);
    if (fields.kind() == Kind::separated) TRY(ValueRef::decode({fields.value(), fields.value_bytes}, place));
    if (ordinal == restart_of(ordinal)) restart_key_bytes = fields.shared == 0 ? fields.suffix_bytes : 0;
    if (fields.shared > restart_key_bytes) return fail(Errc::corrupt, where, place);
    if (fields.shared + fields.suffix_bytes < kv::key_prefix_bytes) return fail(Errc::corrupt, where, place);
    from = fields.value() + fields.value_bytes;
  }
  return from == directory() ? Result<>{} : fail(Errc::corrupt, where, place);
}

Result<> Block::validate_buckets(ErrorPlace place) const noexcept {
  const std::uint32_t ordinal_mask = (1u << ordinal_bits_) - 1;
  bool some_empty = false;
  for (std::uint32_t bucket = 0; bucket < bucket_count_; ++bucket) {
    const auto held = load_le<std::uint16_t>(buckets() + 2 * bucket);
    some_empty |= held == 0;
    const std::uint32_t ordinal = held & ordinal_mask;
    if (ordinal > count_ || (held != 0 && ordinal == 0))
      return fail(Errc::corrupt, "table block: bucket", place);
  }
  return some_empty ? Result<>{} : fail(Errc::corrupt, "table block: bucket", place);
}

inline bool Block::key_equals(std::uint32_t ordinal, const EntryFields& fields, Bytes key) const noexcept {
  if (key.size() != std::size_t{fields.shared} + fields.suffix_bytes) return false;
  if (!detail::equal_short(fields.suffix, key.data() + fields.shared, fields.suffix_bytes)) return false;
  if (fields.shared == 0) return true;
  return detail::equal_short(this->fields(restart_of(ordinal)).suffix, key.data(), fields.shared);
}

BlockLookup Block::find(Bytes key, std::uint64_t hash, Sequence snapshot) const noexcept {
  const auto fingerprint = static_cast<std::uint16_t>(hash >> 32 << ordinal_bits_);
  const std::uint32_t ordinal_mask = (1u << ordinal_bits_) - 1;
  std::uint32_t bucket = home_bucket(hash);
  for (;;) {
    const auto held = load_le<std::uint16_t>(buckets() + 2 * bucket);
    if (held == 0) return {};
    if (((held ^ fingerprint) >> ordinal_bits_) == 0) {
      std::uint32_t ordinal = (held & ordinal_mask) - 1;
      prefetch_entry(ordinal);
      prefetch_entry(restart_of(ordinal));
      EntryFields found = fields(ordinal);
      if (key_equals(ordinal, found, key)) {
        while (sequence(ordinal) > snapshot) {  // a version newer than the snapshot: the next one is older
          if (++ordinal == count_) {
            return {continues_ ? BlockLookup::State::next_block : BlockLookup::State::absent, {}};
          }
          found = fields(ordinal);
          if (!key_equals(ordinal, found, key)) return {};
        }
        return {BlockLookup::State::found,
                {.key = key,
                 .sequence = sequence(ordinal),
                 .kind = found.kind(),
                 .expiry_ms = found.expiry_ms,
                 .value = {found.value(), found.value_bytes}}};
      }
    }
    if (++bucket == bucket_count_) bucket = 0;
  }
}

/// Orders entry `ordinal` against `key`: negative where the entry is before it.
int Block::compare_key(std::uint32_t ordinal, Bytes key) const noexcept {
  const EntryFields entry = fields(ordinal);
  if (entry.shared != 0) {
    const Bytes prefix{fields(restart_of(ordinal)).suffix, entry.shared};
    const int order = compare(prefix, key.first(std::min<std::size_t>(entry.shared, key.size())));
    if (order != 0) return order;
  }
  return compare({entry.suffix, entry.suffix_bytes}, key.subspan(entry.shared));
}

std::uint32_t Block::lower_bound(Bytes key, Sequence wanted) const noexcept {
  std::uint32_t from = 0, to = count_;
  while (from < to) {
    const std::uint32_t middle = from + (to - from) / 2;
    const int order = compare_key(middle, key);
    if (order < 0 || (order == 0 && sequence(middle) > wanted)) {
      from = middle + 1;
    } else {
      to = middle;
    }
  }
  return from;
}

Entry Block::entry(std::uint32_t ordinal, KeyBuffer& buffer) const {
  const EntryFields found = fields(ordinal);
  Bytes key{found.suffix, found.suffix_bytes};
  if (found.shared != 0) {
    if (const std::uint32_t restart = restart_of(ordinal); buffer.restart_ != restart) {
      buffer.restart_ = restart;
      buffer.from_ = fields(restart).suffix;
      buffer.held_ = 0;
    }
    const std::size_t bytes = std::size_t{found.shared} + found.suffix_bytes;
    if (buffer.bytes_.size() < bytes + copy_slack) buffer.bytes_.resize(2 * bytes + copy_slack);
    std::byte* to = buffer.bytes_.data();
    if (found.shared > buffer.held_)
      std::memcpy(to + buffer.held_, buffer.from_ + buffer.held_, found.shared - buffer.held_);
    buffer.held_ = found.shared;
    copy_suffix(to + found.shared, found.suffix, found.suffix_bytes);
    key = {to, bytes};
  }
  return {.key = key,
          .sequence = sequence(ordinal),
          .kind = found.kind(),
          .expiry_ms = found.expiry_ms,
          .value = {found.value(), found.value_bytes}};
}

Result<> Block::verify(ErrorPlace place) const {
  KeyBuffer buffer;
  std::vector<std::byte> previous_key;
  Sequence previous_sequence;
  for (std::uint32_t ordinal = 0; ordinal < count_; ++ordinal) {
    const Entry current = entry(ordinal, buffer);
    const bool first_version = ordinal == 0 || !equal(previous_key, current.key);
    if (ordinal != 0 &&
        compare_versions(previous_key, previous_sequence, current.key, current.sequence) >= 0) {
      return fail(Errc::corrupt, "table block: order", place);
    }
    if (first_version) {
      const BlockLookup found = find(current.key, key_hash(current.key), current.sequence);
      if (found.state != BlockLookup::State::found || found.entry.sequence != current.sequence) {
        return fail(Errc::corrupt, "table block: hash index", place);
      }
    }
    previous_key.assign(current.key.begin(), current.key.end());
    previous_sequence = current.sequence;
  }
  return {};
}

}  // namespace ashlar::lsm
