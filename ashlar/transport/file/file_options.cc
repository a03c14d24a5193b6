#include "ashlar/transport/file/file_options.h"

#include <algorithm>
#include <bit>
#include <string>

#include "ashlar/base/units.h"

namespace ashlar {

namespace {

constexpr std::uint32_t cpus_max = 4095;

void describe_common(OptionSet& set, FileOptions& options) {
  set.add("block", options.block_bytes,
          {.unit = Unit::bytes,
           .max = 64_KiB,
           .multiple_of = 512,
           .help = "unit of addresses and lengths, a power of two; 0: the device's own"});
  set.add("qd", options.queue_depth,
          {.min = 1,
           .max = 4096,
           .help = "requests of a channel that are under way at once; more wait, by priority"});
  set.add("sync", options.sync,
          {.names = {"none", "dsync", "sync"}, .help = "what each write waits for: O_DSYNC or O_SYNC"});
  set.add("bounce", options.bounce, {.help = "copy misaligned memory instead of refusing it"});
  set.add("readonly", options.read_only, {.help = "open for reading only"});
}

void describe_paths(OptionSet& set, FileOptions& options) {
  set.add("in-use", options.in_use,
          {.help = "open a block device for writing although it is claimed (mounted, part of an array)"});
  set.add(
      "create", options.create_bytes,
      {.unit = Unit::bytes, .max = 1_TiB << 10, .help = "make the file, of this size, where it is missing"});
  set.add("sparse", options.sparse, {.help = "with create: reserve no space"});
  set.add("size", options.size_bytes,
          {.unit = Unit::bytes, .max = 1_TiB << 20, .help = "of a character device that does not say"});
}

void describe_ring(OptionSet& set, FileOptions& options) {
  RingOptions& ring = options.ring;
  set.add("direct", options.direct,
          {.names = {"auto", "on", "off", "true"}, .help = "O_DIRECT; auto: where the file takes it"});
  set.add("fixed-buffers", options.fixed_buffers, {.help = "register the shard's buffers with the ring"});
  set.add("own-ring", options.own_ring, {.help = "a ring beside the shard's; those below imply it"});
  set.add("sqpoll", ring.sqpoll, {.help = "a kernel thread takes submissions (SQPOLL)"});
  set.add("sqpoll-idle", ring.sqpoll_idle_ms,
          {.unit = Unit::milliseconds, .min = 1, .max = 3'600'000, .help = "after which it sleeps"});
  set.add("sqpoll-cpu", options.sqpoll_cpu, {.max = cpus_max, .help = "that it is bound to (SQ_AFF)"});
  set.add("iopoll", ring.iopoll, {.help = "poll the device for completions (IOPOLL)"});
  set.add("task-run", ring.task_run,
          {.names = {"auto", "interrupt", "coop", "defer"}, .help = "when the kernel posts completions"});
  set.add("single-issuer", ring.single_issuer, {.help = "SINGLE_ISSUER: the ring needs no lock"});
  set.add("registered-ring", ring.registered_ring, {.help = "register the ring's own descriptor"});
  set.add("fixed-files", ring.fixed_files, {.help = "register the file"});
  set.add("async", ring.always_async, {.help = "IOSQE_ASYNC: kernel workers start each operation"});
  set.add("workers", ring.workers_max, {.max = 4096, .help = "IOWQ_MAX_WORKERS; 0: the kernel's limit"});
  set.add("workers-cpu", options.workers_cpu, {.max = cpus_max, .help = "IOWQ_AFF: that they are bound to"});
}

void describe(OptionSet& set, FileOptions& options, FileKind kind) {
  // Before it is declared: a default is what the field holds by then.
  if (kind == FileKind::direct) options.queue_depth = 64;
  describe_common(set, options);
  switch (kind) {
    case FileKind::uring:
      describe_paths(set, options);
      describe_ring(set, options);
      break;
    case FileKind::direct:
      describe_paths(set, options);
      set.add("buffered", options.buffered, {.help = "through the page cache, without O_DIRECT"});
      set.add("threads", options.threads, {.min = 1, .max = 256, .help = "of each channel"});
      break;
    case FileKind::sim:
      set.add(
          "size", options.create_bytes,
          {.unit = Unit::bytes, .max = 1_TiB, .help = "make the file, of this size, where it is missing"});
      break;
  }
}

std::unexpected<SpecError> refuse(const SpecOption& option, const char* why) {
  return std::unexpected(SpecError{option.name + ": " + why, option.at});
}

}  // namespace

const SpecOption* find_option(const Spec& spec, std::string_view name) noexcept {
  const auto found = std::ranges::find(spec.options, name, &SpecOption::name);
  return found == spec.options.end() ? nullptr : &*found;
}

template <FileKind kind>
std::shared_ptr<void> describe_file_options(OptionSet& set) {
  auto options = std::make_shared<FileOptions>();
  describe(set, *options, kind);
  return options;
}
template std::shared_ptr<void> describe_file_options<FileKind::uring>(OptionSet&);
template std::shared_ptr<void> describe_file_options<FileKind::direct>(OptionSet&);
template std::shared_ptr<void> describe_file_options<FileKind::sim>(OptionSet&);

SpecResult<FileOptions> file_options_of(const Spec& spec, FileKind kind) {
  FileOptions options;
  OptionSet set;
  describe(set, options, kind);
  if (auto read = read_options(spec, set); !read) return std::unexpected(read.error());

  RingOptions& ring = options.ring;
  const bool direct_off = options.direct == DirectIo::off;
  const struct {
    const char* name;
    bool refused;
    const char* why;
  } pairs[] = {
      {"block", options.block_bytes != 0 && !std::has_single_bit(options.block_bytes), "a power of two"},
      {"sqpoll-idle", !ring.sqpoll, "there is no poller without sqpoll"},
      {"sqpoll-cpu", !ring.sqpoll, "there is no poller without sqpoll"},
      {"task-run", ring.sqpoll && ring.task_run == TaskRun::cooperative, "sqpoll excludes COOP_TASKRUN"},
      {"task-run", ring.sqpoll && ring.task_run == TaskRun::deferred, "sqpoll excludes DEFER_TASKRUN"},
      {"task-run", ring.task_run == TaskRun::deferred && !ring.single_issuer,
       "DEFER_TASKRUN needs SINGLE_ISSUER"},
      {"iopoll", ring.iopoll && direct_off, "only direct I/O can be polled for"},
      {"sparse", options.sparse && options.create_bytes == 0, "is for create=SIZE"},
      {"create", options.create_bytes != 0 && options.read_only, "a file that is only read stays empty"},
      {"sync", options.sync != SyncMode::none && options.read_only, "nothing is written with readonly"},
  };
  for (const auto& [name, refused, why] : pairs) {
    const SpecOption* const option = find_option(spec, name);
    if (refused && option != nullptr) return refuse(*option, why);
  }

  if (find_option(spec, "sqpoll-cpu") != nullptr) ring.sqpoll_cpu = static_cast<int>(options.sqpoll_cpu);
  if (find_option(spec, "workers-cpu") != nullptr) ring.workers_cpu = static_cast<int>(options.workers_cpu);
  ring.queue_depth = options.queue_depth;
  for (const char* name : {"sqpoll", "iopoll", "task-run", "single-issuer", "registered-ring", "fixed-files",
                           "async", "workers", "workers-cpu"})
    options.own_ring = options.own_ring || find_option(spec, name) != nullptr;
  if (options.direct == DirectIo::flag) options.direct = DirectIo::on;
  if (options.buffered) options.direct = DirectIo::off;
  return options;
}

}  // namespace ashlar
