#pragma once

/// pass(DEVICE) — does nothing: what an empty layer costs, in both kinds (block/layer.h).

#include "ashlar/block/registry.h"

namespace ashlar {

/// Forwards each request; with ?coroutine each passes through a coroutine and a request of its own.
DeviceKind pass_kind();

}  // namespace ashlar
