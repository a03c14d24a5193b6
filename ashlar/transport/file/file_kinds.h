#pragma once

/// Files, block devices and character devices by offset, reached in three ways. What a channel does is the
/// same in all of them (file_channel.h); where its operations run is not:
///
///   uring:PATH    on the shard's io_uring, or on a further one where options ask for that (?sqpoll, ?iopoll)
///   direct:PATH   preadv2 and pwritev2 on a few threads of the channel's own
///   sim:NAME      a file of the simulator's disk
///
/// On a simulated shard uring: and direct: run on its disk too, so that whole stacks can be simulated. Where
/// the shard has no io_uring, uring: runs on the shard's threads, and says so in Device::notes().

#include "ashlar/block/registry.h"

namespace ashlar {

DeviceKind uring_kind();
DeviceKind direct_kind();
DeviceKind sim_kind();

}  // namespace ashlar
