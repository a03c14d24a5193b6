#pragma once

#include "ashlar/runtime/ops/operation.h"

namespace ashlar {

/// Whether the operation is one on a file (or close), which execute_file_operation() knows.
bool is_file_operation(OpCode code) noexcept;

/// Carries out a file operation with blocking system calls, to its end: short transfers and EINTR are handled
/// inside. Returns its result as Operation::result defines it. Any thread.
std::int64_t execute_file_operation(Operation& operation) noexcept;

}  // namespace ashlar
