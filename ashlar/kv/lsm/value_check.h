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

/// Whether a value can be where a reference, which stands at `place`, says: within that value table; null:
/// there is none of its number. `corrupt` at `place`.
Result<> check_reference(const ValueRef& ref, const ValueTableMeta* table, ErrorPlace place) noexcept;

/// Checks that what a key table refers to is inside of value tables that the manifest names.
class ReferenceCheck final : public EntryVisitor {
 public:
  explicit ReferenceCheck(const ManifestState& state) noexcept : state_(state) {}
  Result<> on_entry(const Entry& entry, ErrorPlace place) override;

 private:
  const ManifestState& state_;
};

}  // namespace ashlar::lsm
