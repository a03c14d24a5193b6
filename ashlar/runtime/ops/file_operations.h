#pragma once

#include <fcntl.h>

#include "ashlar/runtime/ops/operation.h"

namespace ashlar {

/// What discard is on a regular file and write_zeroes on anything, to fallocate(2): neither changes the size.
constexpr int punch_hole_mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
constexpr int zero_range_mode = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;

bool is_block_device(int descriptor) noexcept;

/// Whether the operation is one on a file, on memory that maps one, or close, which execute_file_operation()
/// knows.
bool is_file_operation(OpCode code) noexcept;

/// Carries out a file operation, or a step of a send_file, with blocking system calls, to its end: short
/// transfers and EINTR are handled inside. Returns its result as Operation::result defines it. Any thread.
std::int64_t execute_file_operation(Operation& operation) noexcept;

}  // namespace ashlar
