#include "ashlar/log/options.h"

#include "ashlar/base/options.h"
#include "ashlar/base/units.h"

namespace ashlar::wal {

void describe(OptionSet& set, LogOptions& options) {
  set.add("log.segment-bytes", options.segment_bytes,
          {.unit = Unit::bytes,
           .min = 1_MiB,
           .max = 1_GiB,
           .multiple_of = 4_KiB,
           .test_max = 4_MiB,
           .help = "Size of a log segment; a batch must fit in one"});
  set.add("log.buffer-bytes", options.buffer_bytes,
          {.unit = Unit::bytes,
           .min = 4_KiB,
           .max = 4_MiB,
           .multiple_of = 4_KiB,
           .test_max = 64_KiB,
           .help = "A commit group is written when it fills this, if not sooner"});
  set.add("log.memory-bytes", options.memory_bytes,
          {.unit = Unit::bytes,
           .min = 1_MiB,
           .max = 4_GiB,
           .help = "Most memory of one log for records that wait to be written"});
  set.add("log.spares", options.spares,
          {.max = 64, .help = "Released segments that a log keeps for reuse, beyond the next one"});
  set.add("log.sync-period", options.sync_period,
          {.min = 1, .max = 60'000, .help = "Longest time until a write that nobody waits for is durable"});
}

}  // namespace ashlar::wal
