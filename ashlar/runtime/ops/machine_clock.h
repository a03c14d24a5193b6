#pragma once

/// The machine's clocks, for threads that are no shard and so are never simulated. Tasks ask their shard.

#include <cstdint>

#include "ashlar/runtime/ops/clock.h"

namespace ashlar {

/// Monotonic. Any thread.
Instant machine_now() noexcept;
/// Milliseconds since 1970; may step. Any thread.
std::uint64_t machine_wall_ms() noexcept;

}  // namespace ashlar
