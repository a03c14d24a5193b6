#pragma once

/// The cursor of SCAN: a place in the keyspace as one number that means the same after a restart.
///
/// The keyspace is ordered by slot, and within a slot by the hash of the key. Nothing about a scan is kept in
/// the server: the cursor names the first position not yet returned, whoever comes with it, whenever. A key
/// that stays has one position for ever, so it is returned at least once; one that comes or goes meanwhile
/// may be returned or not, as Redis promises.

#include <cstdint>
#include <optional>

#include "ashlar/kv/key.h"

namespace ashlar::resp {

/// Bits 62–49: slot. Bits 48–0: position in the slot. Bit 63 stays clear, for clients that read a signed
/// number. Zero is both the beginning and, as Redis wants it, the end: no scan goes on from position zero of
/// slot zero.
struct ScanCursor {
  static constexpr unsigned position_bits = 49;

  kv::Slot slot;
  std::uint64_t position = 0;

  static constexpr std::uint64_t position_of(std::uint64_t key_hash) noexcept {
    return key_hash >> (64 - position_bits);
  }
  constexpr std::uint64_t encode() const noexcept {
    return std::uint64_t{slot.value} << position_bits | position;
  }
  /// A number that encode() never gives is behind everything: nothing is left to return.
  static constexpr ScanCursor decode(std::uint64_t number) noexcept {
    if (number >> 63 != 0) return {kv::Slot{static_cast<std::uint16_t>(kv::slot_count)}, 0};
    return {kv::Slot{static_cast<std::uint16_t>(number >> position_bits)},
            number & ((std::uint64_t{1} << position_bits) - 1)};
  }
};
static_assert(kv::slot_count == 1u << (63 - ScanCursor::position_bits), "a slot and a position fill 63 bits");

}  // namespace ashlar::resp
