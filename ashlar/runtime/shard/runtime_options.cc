#include "ashlar/base/options.h"
#include "ashlar/base/units.h"
#include "ashlar/runtime/shard/runtime.h"

namespace ashlar {

void describe(OptionSet& set, RuntimeOptions& options) {
  set.add("shards", options.shards,
          {.max = 1024,
           .test_max = 4,
           .help = "Shards, each a thread with its own event loop; 0: one per usable core"});
  set.add(
      "memory-cap", options.memory_cap_bytes,
      {.unit = Unit::bytes,
       .max = 1ull << 50,
       .help = "Memory that may be in use before writes are refused; 0: three quarters of what there is"});
  set.add("runtime.backend", options.backend,
          {.names = {"auto", "uring", "epoll"},
           .help = "How operations reach the kernel; auto takes io_uring, and epoll where it is forbidden"});
  set.add("runtime.pin", options.pin,
          {.help = "Bind each shard to a core of its own, where there are enough"});
  set.add("runtime.spin", options.shard.spin,
          {.max = 1'000'000'000, .help = "How long an idle shard polls before it sleeps"});
  set.add("runtime.slice", options.shard.slice,
          {.min = 1'000, .max = 100'000'000, .help = "Longest run of ready tasks before I/O is looked at"});
  set.add(
      "runtime.stall", options.shard.stall,
      {.min = 1'000'000, .max = 60'000'000'000, .help = "A task that holds its shard longer is reported"});
  set.add("runtime.submission-entries", options.uring.submission_entries,
          {.min = 8, .max = 4096, .help = "Entries of an io_uring's submission queue"});
  set.add("runtime.completion-entries", options.uring.completion_entries,
          {.min = 4096, .max = 65536, .help = "Entries of an io_uring's completion queue"});
  set.add(
      "runtime.gather", options.uring.gather,
      {.max = 1024,
       .help = "One in so many of the reads and writes outstanding on an io_uring may wait for the end of "
               "the loop's turn before the kernel gets them; 0: any number, for less CPU"});
  set.add("runtime.rings", options.shard.rings.sharing,
          {.names = {"shared", "split"},
           .help = "Whether foreground, log, flush and compaction each have an io_uring of their own"});
  set.add("runtime.ring-polling", options.shard.rings.polling,
          {.names = {"none", "sqpoll", "iopoll", "both"},
           .help = "Of split rings: a kernel thread takes submissions of each (sqpoll); foreground reads and "
                   "log writes are polled for, where the disk polls (iopoll)"});
  set.add("runtime.ring-depth", options.shard.rings.queue_depth,
          {.min = 1, .max = 4096, .help = "Reads and writes in flight on each of the split rings"});
  set.add("runtime.ring-idle", options.shard.rings.sqpoll_idle_ms,
          {.unit = Unit::milliseconds,
           .min = 1,
           .max = 60'000,
           .help = "How long the poller of a split ring looks for work before it sleeps"});
  set.add("runtime.ring-single-issuer", options.shard.rings.single_issuer,
          {.help = "SINGLE_ISSUER on split rings: no lock in the kernel"});
  set.add("runtime.background-priority", options.shard.rings.background_priority,
          {.names = {"normal", "low", "idle"},
           .help = "To the disk scheduler, of what compaction reads and writes (ioprio)"});
  set.add("runtime.background-async", options.shard.rings.background_async,
          {.help = "Kernel workers start what compaction reads and writes (IOSQE_ASYNC)"});
  set.add("runtime.registered-files", options.uring.registered_files_max,
          {.max = 32768, .help = "Files and sockets that each ring registers; 0: none"});
  set.add("runtime.file-threads", options.epoll.file_threads_max,
          {.min = 1, .max = 256, .help = "Without io_uring: file operations of each shard that run at once"});
}

}  // namespace ashlar
