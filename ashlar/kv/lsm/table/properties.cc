#include "ashlar/kv/lsm/table/properties.h"

#include <algorithm>

#include "ashlar/base/endian.h"
#include "ashlar/kv/lsm/table/range_section.h"

namespace ashlar::lsm {
namespace {

/// From here on a property that is zero is not written: a table without such entries is what it always was.
constexpr std::uint64_t first_optional_tag = 18;
constexpr std::uint64_t references_tag = 21;

/// Applies `number(tag, field)` and `bytes(tag, field)` to all properties: the one list of tags.
template <class P, class Number, class Text>
void for_each_property(P& p, Number number, Text bytes) {
  number(1, p.entries);
  number(2, p.keys);
  number(3, p.tombstones);
  number(4, p.expiring);
  number(5, p.sequence_min.value);
  number(6, p.sequence_max.value);
  number(7, p.expiry_ms_min);
  number(8, p.expiry_ms_max);
  number(9, p.key_bytes);
  number(10, p.value_bytes);
  bytes(11, p.smallest);
  bytes(12, p.largest);
  number(13, p.data_bytes);
  number(14, p.data_raw_bytes);
  number(15, p.expiry_ms_quartiles[0]);
  number(16, p.expiry_ms_quartiles[1]);
  number(17, p.expiry_ms_quartiles[2]);
  number(first_optional_tag, p.operands);
  number(19, p.ranges);
  number(20, p.erased_to.value);
}

void append_varint(std::vector<std::byte>& to, std::uint64_t value) {
  std::byte buffer[varint_size_max];
  to.insert(to.end(), buffer, store_varint(buffer, value));
}

}  // namespace

void Properties::count(const Entry& entry, bool first_version) {
  if (entries == 0) {
    sequence_min = sequence_max = entry.sequence;
    smallest.assign(entry.key.begin(), entry.key.end());
  }
  ++entries;
  keys += first_version ? 1 : 0;
  tombstones += entry.kind == Kind::erase ? 1 : 0;
  operands += entry.kind == Kind::merge ? 1 : 0;
  sequence_min = std::min(sequence_min, entry.sequence);
  sequence_max = std::max(sequence_max, entry.sequence);
  if (entry.expiry_ms != no_expiry) {
    expiry_ms_min = expiring == 0 ? entry.expiry_ms : std::min(expiry_ms_min, entry.expiry_ms);
    expiry_ms_max = std::max(expiry_ms_max, entry.expiry_ms);
    ++expiring;
  }
  key_bytes += entry.key.size();
  value_bytes += entry.value.size();
  if (entry.kind != Kind::separated) return;
  const ValueRef ref = ValueRef::trusted(entry.value);
  add_use(references, ref.table, ref.footprint());
}

void Properties::count(const ErasedRange& range) {
  ++ranges;
  sequence_min = std::min(sequence_min, range.sequence);
  sequence_max = std::max(sequence_max, range.sequence);
}

std::uint64_t Properties::reference_bytes() const noexcept {
  std::uint64_t sum = 0;
  for (const ValueUse& use : references) sum += use.bytes;
  return sum;
}

bool Properties::ranges_alone() const noexcept {
  return ranges != 0 && entries == 1 && is_ranges_key(smallest);
}

std::vector<std::byte> Properties::encode() const {
  std::vector<std::byte> to;
  for_each_property(
      *this,
      [&](std::uint64_t tag, std::uint64_t value) {
        if (tag >= first_optional_tag && value == 0) return;
        std::byte buffer[varint_size_max];
        const auto size = static_cast<std::size_t>(store_varint(buffer, value) - buffer);
        append_varint(to, tag);
        append_varint(to, size);
        to.insert(to.end(), buffer, buffer + size);
      },
      [&](std::uint64_t tag, const std::vector<std::byte>& value) {
        append_varint(to, tag);
        append_varint(to, value.size());
        to.insert(to.end(), value.begin(), value.end());
      });
  if (references.empty()) return to;
  std::vector<std::byte> uses;
  for (const ValueUse& use : references) {
    append_varint(uses, use.table);
    append_varint(uses, use.bytes);
  }
  append_varint(to, references_tag);
  append_varint(to, uses.size());
  to.insert(to.end(), uses.begin(), uses.end());
  return to;
}

namespace {

/// Pairs of table and bytes, ascending by table.
bool decode_references(Bytes held, std::vector<ValueUse>& references) {
  references.clear();
  const std::byte* at = held.data();
  const std::byte* const end = at + held.size();
  while (at != end) {
    ValueUse use;
    at = load_varint(at, end, use.table);
    if (at != nullptr) at = load_varint(at, end, use.bytes);
    if (at == nullptr || use.bytes == 0 || use.bytes > value_table_bytes_max) return false;
    if (!references.empty() && references.back().table >= use.table) return false;
    references.push_back(use);
  }
  return true;
}

}  // namespace

Result<Properties> Properties::decode(Bytes payload, ErrorPlace place) {
  Properties properties;
  const std::byte* at = payload.data();
  const std::byte* const end = at + payload.size();
  while (at != end) {
    std::uint64_t tag = 0, size = 0;
    at = load_varint(at, end, tag);
    if (at != nullptr) at = load_varint(at, end, size);
    if (at == nullptr || size > static_cast<std::uint64_t>(end - at)) {
      return fail(Errc::corrupt, "table properties", place);
    }
    const Bytes held{at, static_cast<std::size_t>(size)};
    at += size;
    bool ok = tag != references_tag || decode_references(held, properties.references);
    for_each_property(
        properties,
        [&](std::uint64_t known, std::uint64_t& value) {
          if (known == tag)
            ok = load_varint(held.data(), held.data() + held.size(), value) == held.data() + held.size();
        },
        [&](std::uint64_t known, std::vector<std::byte>& value) {
          if (known == tag) value.assign(held.begin(), held.end());
          ok &= value.size() <= kv::stored_key_bytes_max;
        });
    if (!ok) return fail(Errc::corrupt, "table properties", place);
  }
  return properties;
}

void ExpirySample::add(std::uint64_t expiry_ms) {
  if (count_++ % stride_ != 0) return;
  if (sample_.size() == sample_max) {
    for (std::size_t i = 0; i < sample_max / 2; ++i) sample_[i] = sample_[2 * i];
    sample_.resize(sample_max / 2);
    stride_ *= 2;
    if ((count_ - 1) % stride_ != 0) return;
  }
  sample_.push_back(expiry_ms);
}

std::array<std::uint64_t, 3> ExpirySample::quartiles() {
  if (sample_.empty()) return {};
  std::ranges::sort(sample_);
  const auto at = [&](std::size_t quarter) { return sample_[(sample_.size() * quarter + 3) / 4 - 1]; };
  return {at(1), at(2), at(3)};
}

}  // namespace ashlar::lsm
