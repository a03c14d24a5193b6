#pragma once

/// A plan by plain threads on an engine's blocking interface.

#include "ashlar/base/result.h"
#include "bench/kv/engine.h"
#include "bench/kv/meter.h"
#include "bench/kv/plan.h"

namespace ashlar::bench {

/// One thread for each worker, on the cores that the calling thread may use. Warms up and rests as the plan
/// says; the meter sees the rest.
Result<Outcome> run_by_threads(Engine& engine, const Plan& plan, Meter& meter);

}  // namespace ashlar::bench
