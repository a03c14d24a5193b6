#pragma once

/// Homogeneous ribbon filter (Dillinger, Walzer: "Ribbon filter: practically smaller than Bloom and Xor",
/// 2021): lets as few absent keys through as a Bloom filter that is 40 % larger, for some more work in each
/// look-up.
///
///  1. Each key gives a row of 128 coefficients and where in the slots it begins: an equation over bits, "the
///     slots that the row selects sum up to zero".
///  2. Building: rows are eliminated against each other as they come (Gauss, on the fly), so that one row at
///     most begins at each slot. All right sides are zero: no two can contradict each other, and building
///     never fails.
///  3. Slots that no row decides are filled by chance, the others solved from the last to the first, in
///  `columns`
///     independent columns. A look-up asks whether the key's equation holds in each: an absent key's does by
///     chance only, once in 2^columns.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "ashlar/base/endian.h"

namespace ashlar::lsm {

constexpr unsigned ribbon_width = 128;  // slots of a row, and of a block
constexpr unsigned ribbon_columns_max = 24;
constexpr std::size_t ribbon_column_bytes = ribbon_width / 8;

/// 128 bits, the lowest first.
struct RibbonBits {
  std::uint64_t low = 0, high = 0;

  bool any() const noexcept { return (low | high) != 0; }
  RibbonBits operator^(RibbonBits other) const noexcept { return {low ^ other.low, high ^ other.high}; }
  RibbonBits operator&(RibbonBits other) const noexcept { return {low & other.low, high & other.high}; }
  bool parity() const noexcept { return std::popcount(low ^ high) & 1; }
  /// For 0 ≤ by < 128.
  RibbonBits operator>>(unsigned by) const noexcept {
    if (by == 0) return *this;
    if (by >= 64) return {high >> (by - 64), 0};
    return {low >> by | high << (64 - by), high >> by};
  }
  RibbonBits operator<<(unsigned by) const noexcept {
    if (by == 0) return *this;
    if (by >= 64) return {0, low << (by - 64)};
    return {low << by, high << by | low >> (64 - by)};
  }
  /// Of any bits.
  unsigned lowest() const noexcept {
    return static_cast<unsigned>(low != 0 ? std::countr_zero(low) : 64 + std::countr_zero(high));
  }
};

/// A key's equation.
struct RibbonRow {
  std::uint64_t start;
  RibbonBits bits;  // the lowest is set

  /// Among `blocks` times 128 slots.
  RibbonRow(std::uint64_t hash, std::uint64_t blocks) noexcept
      : start(((hash >> 32) * (blocks * ribbon_width - (ribbon_width - 1))) >> 32) {
    const std::uint64_t a = (hash ^ hash >> 29) * 0xbf58476d1ce4e5b9;
    const std::uint64_t b = (a ^ a >> 31) * 0x94d049bb133111eb;
    bits = {(a ^ a >> 32) | 1, b ^ b >> 32};
  }
};

/// Blocks for so many keys: a twentieth more slots than keys, and room for the last rows.
constexpr std::uint64_t ribbon_blocks(std::uint64_t keys) noexcept {
  return (keys + keys / 20 + ribbon_width / 2) / ribbon_width + 1;
}

/// Solves the equations of all keys. Lifecycle: every add(), then solve() until it says that all is written.
/// Takes 16 bytes of memory for each slot.
class RibbonBuilder {
 public:
  RibbonBuilder(std::uint64_t blocks, unsigned columns)
      : blocks_(blocks),
        rows_(blocks * ribbon_width),
        solved_(columns),
        slot_(rows_.size()),
        chance_(0x9e3779b97f4a7c15 ^ blocks) {}

  void add(std::uint64_t hash) noexcept {
    RibbonRow row(hash, blocks_);
    while (rows_[row.start].any()) {
      row.bits = row.bits ^ rows_[row.start];
      if (!row.bits.any()) return;  // follows from the others
      const unsigned zeroes = row.bits.lowest();
      row.bits = row.bits >> zeroes;
      row.start += zeroes;
    }
    rows_[row.start] = row.bits;
  }

  /// Solves so many slots, from the last to the first; false when none is left. A block goes `to` where it
  /// belongs among all: `columns` times 16 bytes, the block's 128 slots of the first column, of the second …
  bool solve(std::uint64_t slots, std::byte* to) noexcept {
    for (; slots != 0 && slot_ != 0; --slots) {
      const RibbonBits row = rows_[--slot_];
      chance_ = chance_ * 0xd1342543de82ef95 + 1;
      for (unsigned column = 0; column < solved_.size(); ++column) {
        RibbonBits& bits = solved_[column];
        bits = bits << 1;
        bits.low |= row.any() ? (row & bits).parity() : chance_ >> (63 - column) & 1;
      }
      if (slot_ % ribbon_width == 0) write(to + slot_ / ribbon_width * solved_.size() * ribbon_column_bytes);
    }
    return slot_ != 0;
  }

  std::size_t memory_bytes() const noexcept { return rows_.size() * sizeof(RibbonBits); }

 private:
  void write(std::byte* block) const noexcept {
    for (const RibbonBits& bits : solved_) {
      store_le(block, bits.low);
      store_le(block + 8, bits.high);
      block += ribbon_column_bytes;
    }
  }

  std::uint64_t blocks_;
  std::vector<RibbonBits> rows_;    // by the slot that they begin at
  std::vector<RibbonBits> solved_;  // of each column, the slots from the current one on
  std::uint64_t slot_;              // solved from here on
  std::uint64_t chance_;
};

/// Whether the equation of `hash` holds in every column.
inline bool ribbon_holds(const std::byte* at, std::uint64_t blocks, unsigned columns,
                         std::uint64_t hash) noexcept {
  const RibbonRow row(hash, blocks);
  const std::byte* block = at + row.start / ribbon_width * columns * ribbon_column_bytes;
  const auto shift = static_cast<unsigned>(row.start % ribbon_width);
  const RibbonBits here = row.bits << shift;  // what of the row is in this block, and in the next
  const RibbonBits there = shift == 0 ? RibbonBits{} : row.bits >> (ribbon_width - shift);
  const std::size_t next = shift == 0 ? 0 : columns * ribbon_column_bytes;
  const auto load = [](const std::byte* from) {
    return RibbonBits{load_le<std::uint64_t>(from), load_le<std::uint64_t>(from + 8)};
  };
  for (unsigned column = 0; column < columns; ++column, block += ribbon_column_bytes) {
    if (((here & load(block)) ^ (there & load(block + next))).parity()) return false;
  }
  return true;
}

}  // namespace ashlar::lsm
