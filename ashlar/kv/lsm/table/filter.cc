#include "ashlar/kv/lsm/table/filter.h"

#include <algorithm>

namespace ashlar::lsm {

/// Fewer probes than the classic 0.69 per bit: within a line, bits fill up unevenly.
unsigned FilterBuilder::probes() const noexcept {
  return std::clamp(bits_per_key_ * 6 / 10, 1u, 16u);
}

/// A Bloom filter of n bits per key lets one absent key in 2^(0.69 n) through.
unsigned FilterBuilder::columns() const noexcept {
  return std::clamp((bits_per_key_ * 69 + 50) / 100, 1u, ribbon_columns_max);
}

std::size_t FilterBuilder::units() const noexcept {
  if (kind_ == FilterKind::ribbon) return ribbon_blocks(hashes_.size());
  const std::uint64_t bits = hashes_.size() * std::uint64_t{bits_per_key_};
  return (bits + 8 * filter_line_bytes - 1) / (8 * filter_line_bytes);
}

bool FilterBuilder::build(std::size_t keys) {
  if (hashes_.empty()) return false;
  if (built_.empty()) {
    built_.resize(payload_bytes());
    built_[0] = static_cast<std::byte>(kind_);
    built_[1] = static_cast<std::byte>(kind_ == FilterKind::bloom ? probes() : columns());
    store_le(built_.data() + 4, static_cast<std::uint32_t>(units()));
    if (kind_ == FilterKind::ribbon) ribbon_.emplace(units(), columns());
  }
  std::byte* const at = built_.data() + filter_header_bytes;
  if (ribbon_ && taken_ == hashes_.size()) return ribbon_->solve(keys, at);
  const std::uint64_t lines = units();
  for (const std::size_t end = taken_ + std::min(keys, hashes_.size() - taken_); taken_ != end; ++taken_) {
    const std::uint64_t hash = hashes_[taken_];
    if (ribbon_) {
      ribbon_->add(hash);
      continue;
    }
    std::byte* line = at + filter_line_bytes * ((hash >> 32) * lines >> 32);
    auto x = static_cast<std::uint32_t>(hash);
    for (unsigned probe = 0; probe < probes(); ++probe, x *= Filter::multiplier) {
      line[x >> 26] |= static_cast<std::byte>(1u << (x >> 23 & 7));
    }
  }
  return ribbon_ || taken_ != hashes_.size();
}

void FilterBuilder::finish(std::byte* payload) {
  while (build(~std::size_t{0})) {
  }
  std::ranges::copy(built_, payload);
}

void FilterBuilder::reset() noexcept {
  hashes_.clear();
  built_.clear();
  taken_ = 0;
  ribbon_.reset();
}

const std::byte* Filter::ribbon_block(std::uint64_t hash) const noexcept {
  return units_ + RibbonRow(hash, unit_count_).start / ribbon_width * probes_ * ribbon_column_bytes;
}

bool Filter::ribbon_may_contain(std::uint64_t hash) const noexcept {
  return ribbon_holds(units_, unit_count_, probes_, hash);
}

Result<Filter> Filter::parse(Bytes payload, ErrorPlace place) noexcept {
  if (payload.size() < filter_header_bytes) return fail(Errc::corrupt, "table filter: size", place);
  const auto kind = static_cast<FilterKind>(payload[0]);
  if (kind != FilterKind::bloom && kind != FilterKind::ribbon)
    return fail(Errc::unsupported, "table filter: kind", place);
  Filter filter;
  filter.kind_ = kind;
  filter.units_ = payload.data() + filter_header_bytes;
  filter.unit_count_ = load_le<std::uint32_t>(payload.data() + 4);
  filter.probes_ = static_cast<std::uint8_t>(payload[1]);
  const bool bloom = kind == FilterKind::bloom;
  const std::uint64_t unit_bytes = bloom ? filter_line_bytes : filter.probes_ * ribbon_column_bytes;
  if (filter.unit_count_ == 0 || filter.probes_ == 0 || filter.probes_ > (bloom ? 16 : ribbon_columns_max) ||
      filter_header_bytes + filter.unit_count_ * unit_bytes != payload.size()) {
    return fail(Errc::corrupt, "table filter: size", place);
  }
  return filter;
}

}  // namespace ashlar::lsm
