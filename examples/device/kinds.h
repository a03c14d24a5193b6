#pragma once

/// The examples of docs/devices.md.

#include "ashlar/block/registry.h"

namespace ashlar::examples {

DeviceKind heap_kind();
DeviceKind retry_kind();

}  // namespace ashlar::examples
