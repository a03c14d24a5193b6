#pragma once

/// Reads a value table from its first byte to its last and checks all that its format promises. Format:
/// docs/formats/value-table.md.

#include <optional>

#include "ashlar/kv/lsm/table/value_table.h"
#include "ashlar/kv/lsm/table_check.h"

namespace ashlar::lsm {

/// `partition`: whose it must be. Memory: a megabyte, and the largest value. `corrupt` with table and offset,
/// errors of reading as they are.
Task<Result<ValueTableMeta>> check_value_table(blob::Store& blobs, std::uint64_t partition,
                                               std::uint64_t number, CheckProgress* progress = nullptr);

/// Whether the table is one of values, by its last page, whole or not; false where that cannot be read.
Task<bool> is_value_table(blob::Store& blobs, std::uint64_t number);

/// Checks that what a key table refers to is inside of value tables that the manifest names.
class ReferenceCheck final : public EntryVisitor {
 public:
  ReferenceCheck(const ManifestState& state, std::uint64_t table) noexcept : state_(state), table_(table) {}
  Result<> on_entry(const Entry& entry) override;

 private:
  const ManifestState& state_;
  std::uint64_t table_;
};

}  // namespace ashlar::lsm
