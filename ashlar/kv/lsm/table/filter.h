#pragma once

/// Blocked Bloom filter: tells of nearly every absent key that it is absent, at the cost of one cache line.

#include <cstddef>
#include <deque>

#include "ashlar/base/endian.h"
#include "ashlar/base/result.h"
#include "ashlar/kv/lsm/table/format.h"

namespace ashlar::lsm {

constexpr std::size_t filter_line_bytes = 64;
constexpr std::size_t filter_header_bytes = 48;  // with the frame's header, one line: lines are aligned

/// Collects the hashes of a table's distinct keys: 8 bytes each until it is written.
class FilterBuilder {
 public:
  explicit FilterBuilder(unsigned bits_per_key) noexcept : bits_per_key_(bits_per_key) {}

  void add(std::uint64_t hash) {
    if (bits_per_key_ != 0) hashes_.push_back(hash);
  }
  std::size_t memory_bytes() const noexcept { return hashes_.size() * sizeof(std::uint64_t); }
  /// Bytes of payload; 0 where there is nothing to write.
  std::size_t payload_bytes() const noexcept {
    return lines() == 0 ? 0 : filter_header_bytes + lines() * filter_line_bytes;
  }
  void finish(std::byte* payload) const noexcept;

 private:
  std::uint64_t lines() const noexcept;

  unsigned bits_per_key_;
  std::deque<std::uint64_t> hashes_;  // grows without moving what is there
};

/// A view of a filter's payload. Without one it lets every key through. Immutable; readable from any thread.
class Filter {
 public:
  Filter() noexcept = default;
  static Result<Filter> parse(Bytes payload, ErrorPlace place) noexcept;

  /// False only for keys that are not in the table. `hash` is key_hash(key).
  bool may_contain(std::uint64_t hash) const noexcept {
    const std::byte* line = line_of(hash);
    auto x = static_cast<std::uint32_t>(hash);
    for (unsigned probe = 0; probe < probes_; ++probe, x *= multiplier) {
      if (!(static_cast<unsigned>(line[x >> 26]) >> (x >> 23 & 7) & 1)) return false;
    }
    return true;
  }
  void prefetch(std::uint64_t hash) const noexcept { __builtin_prefetch(line_of(hash)); }

 private:
  friend class FilterBuilder;
  static constexpr std::uint32_t multiplier = 0x9e3779b9;

  const std::byte* line_of(std::uint64_t hash) const noexcept {
    return lines_ + filter_line_bytes * ((hash >> 32) * line_count_ >> 32);
  }

  const std::byte* lines_ = nullptr;
  std::uint32_t line_count_ = 0;
  std::uint32_t probes_ = 0;
};

}  // namespace ashlar::lsm
