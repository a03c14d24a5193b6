#pragma once

/// Filters: they tell of nearly every absent key that it is absent. A blocked Bloom filter does at the cost
/// of one cache line, a ribbon filter in a third less memory, at the cost of a few lines that follow each
/// other.

#include <cstddef>
#include <deque>
#include <optional>
#include <vector>

#include "ashlar/base/endian.h"
#include "ashlar/base/result.h"
#include "ashlar/kv/lsm/table/format.h"
#include "ashlar/kv/lsm/table/ribbon.h"

namespace ashlar::lsm {

constexpr std::size_t filter_line_bytes = 64;
constexpr std::size_t filter_header_bytes = 48;  // with the frame's header, one line: lines are aligned

/// Collects the hashes of a table's distinct keys: 8 bytes each until it is written. Lifecycle: every add(),
/// build() where all of it would take too long at once, finish(); again from the beginning after reset().
class FilterBuilder {
 public:
  /// `bits_per_key`: of a Bloom filter; a ribbon filter that lets as many absent keys through takes fewer.
  explicit FilterBuilder(unsigned bits_per_key, FilterKind kind = FilterKind::bloom) noexcept
      : bits_per_key_(bits_per_key), kind_(kind) {}

  void add(std::uint64_t hash) {
    if (bits_per_key_ != 0) hashes_.push_back(hash);
  }
  std::size_t memory_bytes() const noexcept {
    return hashes_.size() * sizeof(std::uint64_t) + built_.size() + (ribbon_ ? ribbon_->memory_bytes() : 0);
  }
  /// Bytes of payload; 0 where there is nothing to write.
  std::size_t payload_bytes() const noexcept {
    return hashes_.empty() ? 0 : filter_header_bytes + units() * unit_bytes();
  }
  /// Builds about as much of the filter as so many keys are; false when nothing is left.
  bool build(std::size_t keys);
  /// Builds the rest, and writes it.
  void finish(std::byte* payload);
  /// Forgets what it collected.
  void reset() noexcept;

 private:
  unsigned probes() const noexcept;   // of Bloom
  unsigned columns() const noexcept;  // of ribbon
  std::size_t units() const noexcept;
  std::size_t unit_bytes() const noexcept {
    return kind_ == FilterKind::bloom ? filter_line_bytes : columns() * ribbon_column_bytes;
  }

  unsigned bits_per_key_;
  FilterKind kind_;
  std::deque<std::uint64_t> hashes_;  // grows without moving what is there
  std::vector<std::byte> built_;      // payload, of the first `taken_` keys
  std::size_t taken_ = 0;
  std::optional<RibbonBuilder> ribbon_;
};

/// A view of a filter's payload. Without one it lets every key through. Immutable; readable from any thread.
class Filter {
 public:
  Filter() noexcept = default;
  static Result<Filter> parse(Bytes payload, ErrorPlace place) noexcept;

  /// False only for keys that are not in the table. `hash` is key_hash(key).
  bool may_contain(std::uint64_t hash) const noexcept {
    if (kind_ == FilterKind::ribbon) [[unlikely]]
      return ribbon_may_contain(hash);
    const std::byte* line = line_of(hash);
    auto x = static_cast<std::uint32_t>(hash);
    for (unsigned probe = 0; probe < probes_; ++probe, x *= multiplier) {
      if (!(static_cast<unsigned>(line[x >> 26]) >> (x >> 23 & 7) & 1)) return false;
    }
    return true;
  }
  void prefetch(std::uint64_t hash) const noexcept {
    __builtin_prefetch(kind_ == FilterKind::bloom ? line_of(hash) : ribbon_block(hash));
  }

 private:
  friend class FilterBuilder;
  static constexpr std::uint32_t multiplier = 0x9e3779b9;

  const std::byte* line_of(std::uint64_t hash) const noexcept {
    return units_ + filter_line_bytes * ((hash >> 32) * unit_count_ >> 32);
  }

  const std::byte* ribbon_block(std::uint64_t hash) const noexcept;
  bool ribbon_may_contain(std::uint64_t hash) const noexcept;

  const std::byte* units_ = nullptr;  // lines, or blocks of a ribbon
  std::uint32_t unit_count_ = 0;
  std::uint8_t probes_ = 0;  // or columns
  FilterKind kind_ = FilterKind::bloom;
};

}  // namespace ashlar::lsm
