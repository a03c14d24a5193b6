#pragma once

/// A data set on a device: volume 1 holds the root record, volume 2 + i partition i.

#include "ashlar/blob/home.h"
#include "ashlar/block/device.h"

namespace ashlar::blob {

/// Takes over the device, which must be formatted; it is claimed for this process when the root is opened.
/// `reserve_bytes`: of one partition.
std::unique_ptr<Home> device_home(std::unique_ptr<Device> device, std::uint64_t reserve_bytes);

}  // namespace ashlar::blob
