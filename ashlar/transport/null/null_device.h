#pragma once

/// null:SIZE — completes everything at once: the ceiling of what stands above it.

#include "ashlar/block/registry.h"

namespace ashlar {

/// Reads leave memory as it is, writes go nowhere.
DeviceKind null_kind();

}  // namespace ashlar
