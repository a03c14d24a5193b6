#pragma once

/// The section of a table that carries erased ranges. Format: docs/formats/table.md, "Erased ranges".

#include <vector>

#include "ashlar/base/result.h"
#include "ashlar/kv/lsm/range_set.h"

namespace ashlar::lsm {

/// Empty for no ranges.
std::vector<std::byte> encode_ranges(const std::vector<ErasedRange>& ranges);
/// Fails with `corrupt` at the byte where it goes wrong.
Result<std::vector<ErasedRange>> decode_ranges(Bytes payload, ErrorPlace place);

/// The key of the one entry of a table that carries ranges alone.
std::vector<std::byte> ranges_key(std::uint64_t table_number);
/// Whether it is one of those.
bool is_ranges_key(Bytes key) noexcept;

}  // namespace ashlar::lsm
