#pragma once

/// The CPU's cycle counter, for what a piece of work cost.

#include <cstdint>
#include <cstring>

#include "ashlar/runtime/ops/backend.h"

namespace ashlar {

/// Cycles of the time-stamp counter; nanoseconds of the back end's clock where there is no such counter, and
/// in simulation, where a run must be the same again.
inline std::uint64_t cycles_now(const Backend& backend) noexcept {
#ifdef __x86_64__
  if (std::strcmp(backend.name(), "simulated") != 0) return __builtin_ia32_rdtsc();
#endif
  return static_cast<std::uint64_t>(backend.now().time_since_epoch().count());
}

}  // namespace ashlar
