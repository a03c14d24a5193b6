#pragma once

/// A data block, decoded once and then read without checks.
///
/// A point look-up goes hash → bucket → directory → entry, comparing one key; a search or a walk in either
/// direction decodes any entry in constant time, because keys are compressed against their group's restart.

#include <vector>

#include "ashlar/base/endian.h"
#include "ashlar/base/result.h"
#include "ashlar/kv/lsm/table/format.h"

namespace ashlar::lsm {

constexpr std::size_t block_header_bytes = 24;
constexpr std::uint32_t block_buckets_min = 4;  // also lets a sequence be read as 8 bytes, whatever its width

namespace detail {

/// Equality of short strings without a call: overlapping words.
inline bool equal_short(const std::byte* a, const std::byte* b, std::size_t size) noexcept {
  const auto words = [=](std::size_t at) {
    return load_le<std::uint64_t>(a + at) ^ load_le<std::uint64_t>(b + at);
  };
  if (size >= 8) {
    std::uint64_t difference = words(size - 8);
    for (std::size_t at = 0; at + 8 < size; at += 8) difference |= words(at);
    return difference == 0;
  }
  if (size >= 4) {
    return ((load_le<std::uint32_t>(a) ^ load_le<std::uint32_t>(b)) |
            (load_le<std::uint32_t>(a + size - 4) ^ load_le<std::uint32_t>(b + size - 4))) == 0;
  }
  for (std::size_t at = 0; at < size; ++at) {
    if (a[at] != b[at]) return false;
  }
  return true;
}

/// One entry's fields; the key's first `shared` bytes are those of its restart.
struct EntryFields {
  std::uint8_t tag = 0;
  std::uint32_t shared = 0;
  std::uint32_t suffix_bytes = 0;
  std::uint32_t value_bytes = 0;
  std::uint64_t expiry_ms = no_expiry;
  const std::byte* suffix = nullptr;

  const std::byte* value() const noexcept { return suffix + suffix_bytes; }
  Kind kind() const noexcept { return static_cast<Kind>(tag & 0x0f); }
};

constexpr std::uint8_t tag_expires = 0x80;

/// Decodes an entry in [from, end). False where it is cut short or malformed.
bool decode_entry(const std::byte* from, const std::byte* end, EntryFields& fields) noexcept;

}  // namespace detail

/// Where keys that do not lie in one piece are put together. It knows how much of a restart's key it holds,
/// so that a walk copies little more than what differs.
class KeyBuffer {
 public:
  /// The next entry is of another block.
  void reset() noexcept { restart_ = none; }

 private:
  friend class Block;
  static constexpr std::uint32_t none = ~std::uint32_t{0};

  std::vector<std::byte> bytes_;
  const std::byte* from_ = nullptr;  // the restart's key
  std::uint32_t restart_ = none;
  std::uint32_t held_ = 0;  // so many of its bytes are here
};

/// What a point look-up in one block found.
struct BlockLookup {
  enum class State : std::uint8_t {
    absent,  ///< no version of the key at or below the snapshot here, and none in later blocks of this table
    found,   ///< `entry` is the newest such version; its key is the caller's, its value points into the block
    next_block  ///< older versions of the key are in the next block: look there
  };
  State state = State::absent;
  Entry entry;
};

/// A view of a block's payload; trivially copyable, less than a cache line. Whoever makes it keeps the
/// payload in place. Immutable and therefore readable from any thread.
class Block {
 public:
  Block() noexcept = default;

  /// Validates everything that look-ups rely on. Fails with `corrupt` at `place` (table number, file offset).
  static Result<Block> parse(Bytes payload, ErrorPlace place, std::uint64_t sequence_shift = 0) noexcept;

  /// The newest version of `key` that is not newer than `snapshot`. `hash` is key_hash(key).
  BlockLookup find(Bytes key, std::uint64_t hash, Sequence snapshot) const noexcept;

  std::uint32_t count() const noexcept { return count_; }
  /// The next block begins with an older version of this block's last key.
  bool continues() const noexcept { return continues_; }

  /// The first entry at or after (key, sequence), in 0 … count().
  std::uint32_t lower_bound(Bytes key, Sequence sequence) const noexcept;

  /// Entry `ordinal` < count(); its key is assembled in `buffer` where it does not lie in one piece.
  Entry entry(std::uint32_t ordinal, KeyBuffer& buffer) const;

  /// Checks what parse() takes on trust: the order of entries, and that find() finds every key. For
  /// verification; O(entries). Fails with `corrupt`.
  Result<> verify(ErrorPlace place) const;

  /// Where find() begins, in one word, so that whoever has that may fetch it without the block.
  class Hint {
   public:
    Hint() noexcept = default;
    explicit Hint(std::uint64_t packed) noexcept : packed_(packed) {}
    explicit Hint(const Block& block) noexcept {
      const auto address = reinterpret_cast<std::uintptr_t>(block.buckets());
      if (block.bucket_count_ < 1u << 16 && address < std::uint64_t{1} << 48)
        packed_ = address << 16 | block.bucket_count_;
    }
    std::uint64_t packed() const noexcept { return packed_; }
    /// Brings what find() touches first towards the caches. Harmless where the block has gone.
    void prefetch(std::uint64_t hash) const noexcept {
      const std::uint64_t bucket = ((hash & 0xffffffff) * (packed_ & 0xffff)) >> 32;
      __builtin_prefetch(reinterpret_cast<const void*>((packed_ >> 16) + 2 * bucket));
    }

   private:
    std::uint64_t packed_ = 0;
  };

 private:
  std::uint32_t home_bucket(std::uint64_t hash) const noexcept {
    return static_cast<std::uint32_t>(
        (static_cast<std::uint64_t>(static_cast<std::uint32_t>(hash)) * bucket_count_) >> 32);
  }
  const std::byte* directory() const noexcept { return payload_ + directory_; }
  const std::byte* buckets() const noexcept { return payload_ + buckets_; }
  const std::byte* record(std::uint32_t ordinal) const noexcept { return directory() + ordinal * stride_; }
  std::uint32_t offset(std::uint32_t ordinal) const noexcept {
    const std::byte* from = record(ordinal);
    return offset_width_ == 2 ? load_le<std::uint16_t>(from) : load_le<std::uint32_t>(from);
  }
  Sequence sequence(std::uint32_t ordinal) const noexcept {
    return Sequence{base_ + (load_le<std::uint64_t>(record(ordinal) + offset_width_) & sequence_mask_)};
  }
  std::uint32_t restart_of(std::uint32_t ordinal) const noexcept {
    return ordinal >> restart_shift_ << restart_shift_;
  }
  detail::EntryFields fields(std::uint32_t ordinal) const noexcept;
  bool key_equals(std::uint32_t ordinal, const detail::EntryFields& fields, Bytes key) const noexcept;
  int compare_key(std::uint32_t ordinal, Bytes key) const noexcept;
  /// Starts loading entry `ordinal` from where it would be if all were of one size, while the directory,
  /// which knows, is being loaded too: outside the CPU's caches that takes one memory latency off a look-up.
  void prefetch_entry(std::uint32_t ordinal) const noexcept {
    const std::byte* guess =
        payload_ + block_header_bytes + (ordinal * std::uint64_t{entry_bytes_x256_} >> 8);
    __builtin_prefetch(guess);
    __builtin_prefetch(guess + 64);
  }
  Result<> validate_entries(ErrorPlace place) const noexcept;
  Result<> validate_buckets(ErrorPlace place) const noexcept;

  const std::byte* payload_ = nullptr;
  std::uint64_t base_ = 0;
  std::uint64_t sequence_mask_ = 0;
  std::uint32_t directory_ = 0, buckets_ = 0;  // where in the payload
  std::uint32_t bucket_count_ = 0;
  std::uint32_t entry_bytes_x256_ = 0;  // mean
  std::uint16_t count_ = 0;
  std::uint8_t offset_width_ = 2;
  std::uint8_t stride_ = 2;
  std::uint8_t restart_shift_ = 0;
  std::uint8_t ordinal_bits_ = 0;
  bool continues_ = false;
};

static_assert(sizeof(Block) == 48,
              "with what a hit touches besides, a cached block's description is one line");
static_assert(block_entries_max <= 0xffff);

}  // namespace ashlar::lsm
