#pragma once

/// What a table says about itself: counts, ranges, sizes.

#include <array>
#include <vector>

#include "ashlar/base/result.h"
#include "ashlar/kv/lsm/range_set.h"
#include "ashlar/kv/lsm/table/format.h"
#include "ashlar/kv/lsm/table/value_table.h"

namespace ashlar::lsm {

struct Properties {
  std::uint64_t entries = 0;
  std::uint64_t keys = 0;  ///< distinct
  std::uint64_t tombstones = 0;
  std::uint64_t expiring = 0;
  Sequence sequence_min, sequence_max;
  std::uint64_t expiry_ms_min = 0, expiry_ms_max = 0;  ///< among those that expire
  /// When a quarter, half and three quarters of those that expire have; zero in tables of former versions.
  std::array<std::uint64_t, 3> expiry_ms_quartiles{};
  std::uint64_t key_bytes = 0, value_bytes = 0;
  std::uint64_t data_bytes = 0;      ///< data frames in the file
  std::uint64_t data_raw_bytes = 0;  ///< their payloads, uncompressed
  std::uint64_t operands = 0;        ///< entries that are merge operands
  std::uint64_t ranges = 0;          ///< erased ranges that the table carries
  Sequence erased_to;                ///< no entry is covered by an erased range up to here
  std::vector<std::byte> smallest, largest;
  std::vector<ValueUse> references;  ///< bytes of value tables that entries refer to; ascending by table

  /// Of all of them.
  std::uint64_t reference_bytes() const noexcept;

  /// Takes an entry into account; `first_version`: the one before has another key. Entries come in order.
  void count(const Entry& entry, bool first_version);
  void count(const ErasedRange& range);
  /// A table of ranges alone, with the one entry that such a table has.
  bool ranges_alone() const noexcept;

  std::vector<std::byte> encode() const;
  /// Fails with `corrupt`. Skips properties it does not know.
  static Result<Properties> decode(Bytes payload, ErrorPlace place);

  bool operator==(const Properties&) const = default;
};

/// Every n-th expiry of a table, in bounded memory: what the quartiles are taken from.
class ExpirySample {
 public:
  void add(std::uint64_t expiry_ms);
  /// Ends the sample.
  std::array<std::uint64_t, 3> quartiles();

 private:
  static constexpr std::size_t sample_max = 1024;

  std::vector<std::uint64_t> sample_;
  std::uint64_t stride_ = 1;
  std::uint64_t count_ = 0;
};

}  // namespace ashlar::lsm
