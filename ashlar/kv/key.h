#pragma once

/// Stored keys, slots and sequences: what every key-value engine orders by. Format: docs/formats/key.md.

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

#include "ashlar/base/bytes.h"
#include "ashlar/base/checksum.h"
#include "ashlar/base/strong.h"

namespace ashlar::kv {

/// A user's key hashed to one of 16,384 slots, as Redis Cluster does. Zero in range-partitioned directories.
using Slot = Strong<struct SlotTag, std::uint16_t>;
constexpr std::uint32_t slot_count = 16384;

/// Hybrid logical clock: milliseconds since 1970 in the upper 48 bits, a counter in the lower 16. One number
/// orders the writes of a partition and names a snapshot across partitions. Zero is before every write.
using Sequence = Strong<struct SequenceTag, std::uint64_t>;
constexpr Sequence sequence_max{~std::uint64_t{0}};

/// The first byte of a stored key: which kind of thing it names.
enum class KeyType : std::uint8_t {
  engine = 0x00,         ///< the engine's own records
  value = 0x01,          ///< a top-level key: a string, later the head of a collection
  element = 0x02,        ///< an element of a collection: its key is followed by the element's
  column_family = 0x80,  ///< 0x80 + n: top-level keys of column family n, 0 ≤ n < 128
};

constexpr std::size_t key_prefix_bytes = 3;  ///< type and slot
constexpr std::size_t user_key_bytes_max = 65535 - key_prefix_bytes;
constexpr std::size_t stored_key_bytes_max = 65535;  ///< so that a length fits 16 bits
constexpr std::size_t value_bytes_max = 16u << 20;   ///< one value; also what one batch may hold in all

namespace detail {
/// [n][b]: the checksum of byte b and n zero bytes.
consteval std::array<std::array<std::uint16_t, 256>, 4> make_crc16_tables() {
  std::array<std::array<std::uint16_t, 256>, 4> tables{};
  for (unsigned byte = 0; byte < 256; ++byte) {
    unsigned crc = byte << 8;
    for (auto& table : tables) {
      for (int bit = 0; bit < 8; ++bit) crc = (crc << 1) ^ ((crc & 0x8000) ? 0x1021 : 0);
      table[byte] = static_cast<std::uint16_t>(crc);
    }
  }
  return tables;
}
inline constexpr std::array<std::array<std::uint16_t, 256>, 4> crc16_tables = make_crc16_tables();
}  // namespace detail

/// CRC-16/XMODEM, the checksum of Redis Cluster's key slots: crc16("123456789") == 0x31c3. Four bytes a step.
constexpr std::uint16_t crc16(std::string_view text) noexcept {
  const auto& tables = detail::crc16_tables;
  const auto byte = [&](std::size_t i) { return static_cast<unsigned>(static_cast<unsigned char>(text[i])); };
  unsigned crc = 0;
  std::size_t i = 0;
  for (; i + 4 <= text.size(); i += 4) {
    crc = tables[3][(crc >> 8) ^ byte(i)] ^ tables[2][(crc & 0xff) ^ byte(i + 1)] ^ tables[1][byte(i + 2)] ^
          tables[0][byte(i + 3)];
  }
  for (; i < text.size(); ++i) crc = (crc << 8 & 0xff00) ^ tables[0][(crc >> 8) ^ byte(i)];
  return static_cast<std::uint16_t>(crc);
}

/// What of a key is hashed: the text between the first '{' and the next '}' unless empty, else all of it.
constexpr std::string_view hash_tag(std::string_view key) noexcept {
  const std::size_t open = key.find('{');
  if (open == key.npos) return key;
  const std::size_t close = key.find('}', open + 1);
  if (close == key.npos || close == open + 1) return key;
  return key.substr(open + 1, close - open - 1);
}

constexpr Slot slot_of(std::string_view user_key) noexcept {
  return Slot{static_cast<std::uint16_t>(crc16(hash_tag(user_key)) % slot_count)};
}
inline Slot slot_of(Bytes user_key) noexcept {
  return slot_of(as_text(user_key));
}

/// The hash of a stored key, computed once per operation: filters, in-block and memtable indexes share it.
/// Stored in tables, so it is part of the format.
inline std::uint64_t key_hash(Bytes stored_key) noexcept {
  return xxh3(stored_key);
}

/// A key in its stored form: type byte, slot (big-endian), user key. Ordered as bytes.
/// Holds its bytes inline up to 125 bytes of user key, so that a look-up allocates nothing.
/// Not thread-safe; movable and copyable; immutable once made.
class StoredKey {
 public:
  StoredKey() noexcept = default;
  /// `user_key` is at most user_key_bytes_max long: callers check before.
  StoredKey(KeyType type, Slot slot, Bytes user_key) : hash_(0), size_(key_prefix_bytes + user_key.size()) {
    std::byte* to = allocate();
    to[0] = static_cast<std::byte>(type);
    to[1] = static_cast<std::byte>(slot.value >> 8);
    to[2] = static_cast<std::byte>(slot.value);
    if (!user_key.empty()) std::memcpy(to + key_prefix_bytes, user_key.data(), user_key.size());
    hash_ = key_hash(bytes());
  }
  /// A top-level key of a hash-partitioned directory.
  explicit StoredKey(Bytes user_key) : StoredKey(KeyType::value, slot_of(user_key), user_key) {}
  explicit StoredKey(std::string_view user_key) : StoredKey(as_bytes(user_key)) {}

  /// Takes bytes that are in stored form already.
  static StoredKey from_stored(Bytes stored) {
    StoredKey key;
    key.size_ = stored.size();
    std::byte* to = key.allocate();
    if (!stored.empty()) std::memcpy(to, stored.data(), stored.size());
    key.hash_ = key_hash(key.bytes());
    return key;
  }

  StoredKey(const StoredKey& other) : hash_(other.hash_), size_(other.size_) {
    std::memcpy(allocate(), other.data(), size_);
  }
  StoredKey& operator=(const StoredKey& other) {
    if (this != &other) *this = StoredKey(other);
    return *this;
  }
  StoredKey(StoredKey&&) noexcept = default;
  StoredKey& operator=(StoredKey&&) noexcept = default;

  Bytes bytes() const noexcept { return {data(), size_}; }
  Bytes user_key() const noexcept { return bytes().subspan(key_prefix_bytes); }
  std::uint64_t hash() const noexcept { return hash_; }

 private:
  const std::byte* data() const noexcept { return size_ <= sizeof inline_ ? inline_ : heap_.get(); }
  std::byte* allocate() {
    if (size_ <= sizeof inline_) return inline_;
    heap_ = std::make_unique_for_overwrite<std::byte[]>(size_);
    return heap_.get();
  }

  std::uint64_t hash_ = 0;
  std::size_t size_ = 0;
  std::unique_ptr<std::byte[]> heap_;
  std::byte inline_[128];
};

/// What a write or an entry does. The values are stored.
enum class Kind : std::uint8_t {
  put = 1,
  erase = 2,      ///< a tombstone: the key is absent from here on; value and expiry are empty
  merge = 3,      ///< the value is an operand, for the merge operator of the key's type
  separated = 4,  ///< in tables only: a put whose value stands in a value table
  /// Every older entry with a key from `key` to the value (excluded; empty: to the end) is absent from here
  /// on.
  erase_range = 5,
  clear = 8,  ///< in logs only, with an empty key: every older entry of the partition is absent from here on
};

constexpr std::size_t kind_count = 9;  ///< values of Kind are below

/// Absolute wall clock in milliseconds since 1970 at which an entry expires; no_expiry: it stays.
constexpr std::uint64_t no_expiry = 0;

/// True where a version is no more than a tombstone to a reader whose clock says `now_ms`: it was erased or
/// has expired. Either way it hides every older version.
constexpr bool is_absent(Kind kind, std::uint64_t expiry_ms, std::uint64_t now_ms) noexcept {
  return kind == Kind::erase || (expiry_ms != no_expiry && expiry_ms <= now_ms);
}

/// The slot and user key of a stored key that came from a table, memtable or log.
inline Slot slot_of_stored(Bytes stored) noexcept {
  return Slot{
      static_cast<std::uint16_t>(static_cast<unsigned>(stored[1]) << 8 | static_cast<unsigned>(stored[2]))};
}
inline Bytes user_key_of_stored(Bytes stored) noexcept {
  return stored.subspan(key_prefix_bytes);
}

/// Gives each write of a partition its sequence: strictly increasing, close to the wall clock, unmoved by a
/// clock that goes backwards, and, once observe() has seen what recovery found, by restarts.
/// Owner shard only.
class SequenceClock {
 public:
  /// `now_ms`: wall clock, milliseconds since 1970. More than 65,536 calls in one millisecond run ahead of
  /// it.
  Sequence next(std::uint64_t now_ms) noexcept {
    const std::uint64_t wall = now_ms << logical_bits;
    last_ = wall > last_ ? wall : last_ + 1;
    return Sequence{last_};
  }
  void observe(Sequence seen) noexcept {
    if (seen.value > last_) last_ = seen.value;
  }
  /// The newest sequence handed out or observed.
  Sequence last() const noexcept { return Sequence{last_}; }

  static constexpr unsigned logical_bits = 16;

 private:
  std::uint64_t last_ = 0;
};

constexpr std::uint64_t milliseconds_of(Sequence sequence) noexcept {
  return sequence.value >> SequenceClock::logical_bits;
}

}  // namespace ashlar::kv
