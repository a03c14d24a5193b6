#pragma once

/// Builds the payload of one data block after the other.

#include <vector>

#include "ashlar/kv/lsm/table/format.h"

namespace ashlar::lsm {

/// Collects entries in order until the next would not fit, knowing at every moment the exact size of what it
/// would write. Not thread-safe. Reused for block after block: its memory is one block's.
class BlockBuilder {
 public:
  BlockBuilder(std::uint32_t block_bytes, std::uint8_t restart_shift);

  /// Adds an entry, which is after all others here. False, and nothing added, where the frame would then
  /// exceed block_bytes; an empty builder takes any entry. `first_version`: the entry before has another key.
  bool add(const Entry& entry, std::uint64_t hash, bool first_version);

  bool empty() const noexcept { return records_.empty(); }
  std::size_t payload_bytes() const noexcept {
    return payload_bytes(entries_.size(), records_.size(), keys_.size(), low_, high_);
  }
  /// Writes payload_bytes() at `payload` and starts the next block. `continues`: the next block will begin
  /// with an older version of the last key here.
  void finish(std::byte* payload, bool continues);

 private:
  struct Record {
    std::uint32_t offset;
    std::uint64_t sequence;
  };
  struct Key {
    std::uint64_t hash;
    std::uint32_t ordinal;
  };

  static std::size_t payload_bytes(std::size_t entry_bytes, std::size_t records, std::size_t keys,
                                   std::uint64_t low, std::uint64_t high) noexcept;
  void write_buckets(std::byte* buckets, std::size_t count) const noexcept;

  std::size_t payload_bytes_max_;
  std::uint8_t restart_shift_;
  std::vector<std::byte> entries_;
  std::vector<Record> records_;
  std::vector<Key> keys_;                             // first versions only
  std::uint64_t low_ = ~std::uint64_t{0}, high_ = 0;  // sequences
  std::size_t restart_at_ = 0, restart_bytes_ = 0;    // the current restart's key, in entries_
};

}  // namespace ashlar::lsm
