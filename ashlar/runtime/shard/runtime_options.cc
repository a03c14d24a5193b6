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
  set.add("runtime.registered-files", options.uring.registered_files_max,
          {.max = 32768, .help = "Files and sockets that each ring registers; 0: none"});
  set.add("runtime.file-threads", options.epoll.file_threads_max,
          {.min = 1, .max = 256, .help = "Without io_uring: file operations of each shard that run at once"});
}

}  // namespace ashlar
