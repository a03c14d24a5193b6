#pragma once

/// What a look-up on a device cannot be faster than: 4 KiB reads at random places of a file, O_DIRECT, by
/// io_uring and nothing else.

#include "ashlar/base/result.h"
#include "bench/kv/meter.h"
#include "bench/kv/plan.h"

namespace ashlar::bench {

/// Reads `plan.workers` at once from a file of plan.keys × 4 KiB / 32 below `directory`, which it makes.
/// `polled`: looks for completions all the time instead of sleeping.
Result<Outcome> run_raw_reads(const std::string& directory, const Plan& plan, bool polled, Meter& meter);

}  // namespace ashlar::bench
