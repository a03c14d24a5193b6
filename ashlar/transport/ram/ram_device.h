#pragma once

/// ram:SIZE — memory as a device. Charged to the memory cap of the process; gone when it is closed.

#include "ashlar/block/registry.h"

namespace ashlar {

/// Any shard copies for itself; a stripe of 64 KiB is locked meanwhile where there are several shards. Views
/// of it (Device::map) are the memory itself.
DeviceKind ram_kind();

}  // namespace ashlar
