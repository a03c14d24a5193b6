#pragma once

/// Every kind of device that this build has.

#include "ashlar/block/registry.h"

namespace ashlar {

/// In the order in which help lists them: transports, then layers. Made at the first call; any thread.
const Registry& standard_registry();

}  // namespace ashlar
