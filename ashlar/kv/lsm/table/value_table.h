#pragma once

/// Value tables: large values that key tables refer to. Encoding only. Format: docs/formats/value-table.md.

#include <vector>

#include "ashlar/base/result.h"
#include "ashlar/kv/lsm/table/compression.h"
#include "ashlar/kv/lsm/table/frame.h"

namespace ashlar::lsm {

/// Frames begin at multiples of it.
constexpr std::uint64_t value_align = 16;
/// So that an offset, divided by that, fits 32 bits.
constexpr std::uint64_t value_table_bytes_max = value_align << 32;
constexpr std::size_t value_ref_bytes_max = 4 * 10;

/// Where a separated value stands: what the value of an entry of kind separated says.
struct ValueRef {
  std::uint64_t table = 0;   ///< number of the value table
  std::uint64_t offset = 0;  ///< of the value's frame, a multiple of value_align
  std::uint32_t bytes = 0;   ///< of the frame, header included
  std::uint32_t size = 0;    ///< of the value

  /// Of the value table: what it frees when nothing refers to it any more.
  std::uint64_t footprint() const noexcept { return round_up(bytes, value_align); }
  std::uint64_t end() const noexcept { return offset + footprint(); }
  /// Whole blocks that cover the frame, for a read: where they begin, and how many bytes.
  std::uint64_t read_from() const noexcept { return offset & ~std::uint64_t{page_bytes - 1}; }
  std::uint64_t read_bytes() const noexcept { return round_up(offset + bytes, page_bytes) - read_from(); }

  /// Which place of its table it is: unique there.
  std::uint32_t place_number() const noexcept { return static_cast<std::uint32_t>(offset / value_align); }
  ErrorPlace place() const noexcept { return {.object = table, .offset = offset}; }

  /// Writes at most value_ref_bytes_max bytes at `to`; returns their end.
  std::byte* encode(std::byte* to) const noexcept;
  /// All of `bytes`. `corrupt` at `place` where they are no reference.
  static Result<ValueRef> decode(Bytes bytes, ErrorPlace place) noexcept;
  /// The same of an entry of a table: its block was validated when it was loaded, and with it this.
  static ValueRef trusted(Bytes bytes) noexcept { return decode(bytes, {}).value_or(ValueRef{}); }

  bool operator==(const ValueRef&) const = default;
};

/// How many bytes of a value table some entries refer to.
struct ValueUse {
  std::uint64_t table = 0;
  std::uint64_t bytes = 0;
  bool operator==(const ValueUse&) const = default;
};
/// Adds to a list that ascends by table.
void add_use(std::vector<ValueUse>& uses, std::uint64_t table, std::uint64_t bytes);

/// A frame for a value, sealed: its bytes at the start of `to`, which has room for the value uncompressed and
/// the header; returns how many. `compressor`: may be of method none.
std::size_t write_value(Bytes value, Compressor& compressor, MutableBytes to, ErrorPlace place) noexcept;
/// The frame that `ref` refers to, in the blocks that cover it; to be decompressed where it says so.
/// `corrupt`.
Result<Frame> open_value(Bytes blocks, const ValueRef& ref) noexcept;

/// A value table's last page.
struct ValueFooter {
  std::uint64_t number = 0;
  std::uint64_t owner = 0;     ///< the partition that wrote it
  std::uint64_t data_end = 0;  ///< behind the last frame
  std::uint64_t values = 0;

  void encode(std::span<std::byte, page_bytes> page) const noexcept;
  /// The last page of a file of `file_bytes`, which all that it says is inside of. `corrupt`, also where it
  /// is of another number or owner; `unsupported` for another version.
  static Result<ValueFooter> decode(Bytes page, std::uint64_t number, std::uint64_t file_bytes,
                                    std::uint64_t owner) noexcept;
  /// Whether the page looks like one, whole or not: what tells value tables from key tables without a
  /// manifest.
  static bool looks_like(Bytes page) noexcept;
  static constexpr std::uint64_t file_bytes(std::uint64_t data_end) noexcept {
    return round_up(data_end, page_bytes) + page_bytes;
  }

  bool operator==(const ValueFooter&) const = default;
};

}  // namespace ashlar::lsm
