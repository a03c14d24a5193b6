#pragma once

/// Finds what a log holds. Format and rules: docs/formats/log.md, "Recovery".

#include <cstdint>

#include "ashlar/base/result.h"
#include "ashlar/log/segments.h"
#include "ashlar/runtime/task/task.h"

namespace ashlar::wal {

class RecordVisitor;

/// Delivers every record from `first_needed` on. Changes nothing but unfinished segments, which it removes.
Task<Result<Recovered>> recover(blob::Store& store, std::uint32_t log, std::uint64_t first_needed,
                                RecordVisitor& visitor);

}  // namespace ashlar::wal
