#include "ashlar/device/standard_registry.h"

#include "ashlar/device/ladder.h"
#include "ashlar/layer/delay/delay_layer.h"
#include "ashlar/layer/fault/fault_device.h"
#include "ashlar/layer/pass/pass_layer.h"
#include "ashlar/layer/trace/trace_device.h"
#include "ashlar/transport/file/file_kinds.h"
#include "ashlar/transport/mmap/mmap_device.h"
#include "ashlar/transport/null/null_device.h"
#include "ashlar/transport/ram/ram_device.h"

namespace ashlar {

const Registry& standard_registry() {
  static const Registry registry = [] {
    Registry kinds;
    kinds.add(null_kind());
    kinds.add(ram_kind());
    kinds.add(uring_kind());
    kinds.add(direct_kind());
    kinds.add(mmap_kind());
    kinds.add(sim_kind());
    kinds.add(auto_kind(standard_registry));
    kinds.add(pass_kind());
    kinds.add(delay_kind());
    kinds.add(fault_kind());
    kinds.add(trace_kind());
    return kinds;
  }();
  return registry;
}

}  // namespace ashlar
