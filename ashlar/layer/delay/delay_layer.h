#pragma once

/// delay(DEVICE) — a slower device: latencies from a distribution, limits on requests and bytes per second.
///
///   delay(ram:1GiB)?read=80us&write=20us&distribution=lognormal&spread=40%
///   delay(auto:/dev/sdb)?iops=3000&bandwidth=125MiB        what a cloud volume would be
///
/// A request waits for its turn under the limits, then its latency passes, then it goes down: requests
/// overtake each other as on a device with a queue. Time is the shard's (virtual in simulation), chance comes
/// from the seed: the same requests at the same times take as long again.

#include "ashlar/block/registry.h"

namespace ashlar {

/// Limits are of the device, over all shards; each shard draws from a generator of its own. A request whose
/// deadline comes first ends then, with `timed_out`, and is not begun.
DeviceKind delay_kind();

}  // namespace ashlar
