#include "bench/block/way.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "ashlar/block/spec.h"
#include "bench/process.h"

namespace ashlar::bench::block {

namespace {

using Arguments = std::vector<std::string>;

std::string replaced(std::string text, const std::string& by) {
  for (std::size_t at = 0; (at = text.find('%', at)) != std::string::npos; at += by.size())
    text.replace(at, 1, by);
  return text;
}

std::vector<Way> ashlar_ways() {
  std::vector<Way> ways = {
      {.name = "uring", .kind = "uring", .spec = "uring:%?direct=on"},
      {.name = "uring, polled",
       .kind = "uring",
       .spec = "uring:%?direct=on",
       .arguments = {"--wait", "polled"}},
      {.name = "uring, coroutines",
       .kind = "uring",
       .spec = "uring:%?direct=on",
       .arguments = {"--form", "coroutine"}},
      {.name = "uring, fixed buffers",
       .kind = "uring",
       .spec = "uring:%?direct=on&fixed-buffers",
       .needs_in_effect = "fixed buffers"},
      {.name = "uring, sqpoll",
       .kind = "uring",
       .spec = "uring:%?direct=on&sqpoll&sqpoll-cpu=@",
       .arguments = {"--wait", "polled"},
       .needs_in_effect = "SQPOLL"},
      {.name = "uring, iopoll",
       .kind = "uring",
       .spec = "uring:%?direct=on&iopoll",
       .arguments = {"--wait", "polled"},
       .needs_in_effect = "IOPOLL"},
      {.name = "direct", .kind = "direct", .spec = "direct:%"},
      {.name = "uring, buffered", .kind = "uring", .contest = Contest::cached, .spec = "uring:%?direct=off"},
      {.name = "mmap", .kind = "mmap", .contest = Contest::mapped, .spec = "mmap:%"},
      {.name = "null", .kind = "null", .contest = Contest::null, .spec = "null:1GiB"},
      {.name = "null, coroutines",
       .kind = "null",
       .contest = Contest::null,
       .spec = "null:1GiB",
       .arguments = {"--form", "coroutine"}},
      {.name = "pass(null)", .kind = "pass", .contest = Contest::null, .spec = "pass(null:1GiB)"},
      {.name = "pass(null), serving",
       .kind = "pass",
       .contest = Contest::null,
       .spec = "pass(null:1GiB)?coroutine"},
      {.name = "ram",
       .kind = "ram",
       .contest = Contest::memory,
       .spec = "ram:256MiB",
       .arguments = {"--fill"}},
  };
  for (Way& way : ways) way.opens_read_only = way.kind == "uring" || way.kind == "direct";
  return ways;
}

std::vector<Way> fio_ways() {
  const auto fio = [](std::string name, std::string engine, Arguments arguments) {
    return Way{.name = "fio " + std::move(name),
               .kind = "fio",
               .engine = Engine::fio,
               .spec = std::move(engine),
               .arguments = std::move(arguments)};
  };
  const Arguments fixed = {"--fixedbufs", "--registerfiles", "--nonvectored=1",
                           "--iodepth_batch_complete_max=%"};
  Arguments sqpoll = fixed;
  sqpoll.insert(sqpoll.end(), {"--sqthread_poll=1", "--sqthread_poll_cpu=@"});
  Arguments hipri = fixed;
  hipri.push_back("--hipri");
  std::vector<Way> ways = {fio("io_uring", "io_uring", {"--direct=1"}),
                           fio("io_uring, fixedbufs", "io_uring", fixed),
                           fio("io_uring, sqthread_poll", "io_uring", sqpoll),
                           fio("io_uring, hipri", "io_uring", hipri),
                           fio("libaio", "libaio", {"--direct=1"}),
                           fio("psync", "psync", {"--direct=1"}),
                           fio("io_uring, buffered", "io_uring", {"--direct=0"}),
                           fio("mmap", "mmap", {"--direct=0"}),
                           fio("null", "null", {})};
  for (Way& way : ways) {
    if (way.spec == "io_uring" && way.arguments.size() > 1) way.arguments.push_back("--direct=1");
    way.threads = way.spec == "psync" || way.spec == "mmap";
    if (way.arguments == Arguments{"--direct=0"}) way.contest = Contest::cached;
    if (way.spec == "mmap") way.contest = Contest::mapped;
    if (way.spec == "null") way.contest = Contest::null;
  }
  return ways;
}

std::vector<Way> spdk_ways() {
  const auto spdk = [](const char* name, const char* method, Contest contest) {
    return Way{.name = std::string("SPDK ") + name,
               .kind = "spdk",
               .engine = Engine::spdk,
               .contest = contest,
               .spec = method,
               .arguments = {}};
  };
  return {spdk("uring", "bdev_uring_create", Contest::direct),
          spdk("aio", "bdev_aio_create", Contest::direct), spdk("null", "bdev_null_create", Contest::null),
          spdk("malloc", "bdev_malloc_create", Contest::memory)};
}

Arguments job_command(const Way& way, const Workload& workload, const Target& target, double seconds) {
  std::string spec = replaced(way.spec, quote_target(target.path));
  if (!target.writable && way.opens_read_only) spec += spec.contains('?') ? "&readonly" : "?readonly";
  Arguments command = {"/proc/self/exe",
                       "block-job",
                       spec,
                       "--read",
                       std::to_string(workload.read_percent),
                       "--size",
                       std::to_string(workload.io_bytes),
                       "--qd",
                       std::to_string(workload.queue_depth),
                       "--seconds",
                       fmt::format("{:.3f}", seconds)};
  if (!workload.random) command.emplace_back("--sequential");
  command.insert(command.end(), way.arguments.begin(), way.arguments.end());
  return command;
}

Arguments fio_command(const Way& way, const Workload& workload, const Target& target, const Peers& peers,
                      double seconds) {
  const unsigned depth = way.threads ? 1 : workload.queue_depth;
  const char* const rw = workload.read_percent == 100 ? "read" : workload.read_percent == 0 ? "write" : "rw";
  const double milliseconds = seconds * 1000;
  Arguments command = {peers.fio,
                       "--name=job",
                       "--thread",
                       "--time_based",
                       "--norandommap",
                       "--eta=never",
                       "--invalidate=0",
                       "--disk_util=0",
                       "--group_reporting",
                       "--unified_rw_reporting=1",
                       "--output-format=json",
                       "--lat_percentiles=1",
                       "--clat_percentiles=0",
                       "--percentile_list=50:99:99.9",
                       "--allow_file_create=0",
                       "--random_generator=tausworthe64",
                       "--ioengine=" + way.spec,
                       fmt::format("--rw={}{}", workload.random ? "rand" : "", rw),
                       fmt::format("--rwmixread={}", workload.read_percent),
                       fmt::format("--bs={}", workload.io_bytes),
                       fmt::format("--iodepth={}", depth),
                       fmt::format("--numjobs={}", way.threads ? workload.queue_depth : 1),
                       fmt::format("--runtime={:.0f}ms", milliseconds),
                       fmt::format("--ramp_time={:.0f}ms", std::max(1.0, milliseconds / 10))};
  if (way.contest == Contest::null) {
    command.emplace_back("--size=1g");
  } else {
    command.push_back("--filename=" + target.path);
    command.push_back(fmt::format("--size={}", target.bytes));
  }
  for (const std::string& each : way.arguments) command.push_back(replaced(each, std::to_string(depth)));
  return command;
}

bool huge_pages_free() {
  std::ifstream memory("/proc/meminfo");
  for (std::string word; memory >> word;) {
    if (word == "HugePages_Free:") return memory >> word && word != "0";
  }
  return false;
}

Result<Arguments> bdevperf_command(const Way& way, const Workload& workload, const Target& target,
                                   const Peers& peers, double seconds, int core, const std::string& scratch) {
  nlohmann::ordered_json device = {{"name", "Bench0"}};
  if (way.contest == Contest::direct) {
    device["filename"] = target.path;
    device["block_size"] = 512;
  } else {
    device["num_blocks"] = (way.contest == Contest::null ? 1 << 30 : 256 << 20) / 512;
    device["block_size"] = 512;
  }
  const nlohmann::ordered_json configuration = {
      {"subsystems", {{{"subsystem", "bdev"}, {"config", {{{"method", way.spec}, {"params", device}}}}}}}};
  const std::string path = scratch + "/bdevperf.json";
  if (!(std::ofstream(path) << configuration.dump(1)).flush())
    return fail(Errc::io, "bdevperf's configuration");
  const bool mixed = workload.read_percent != 0 && workload.read_percent != 100;
  Arguments command = {peers.bdevperf,
                       "-c",
                       path,
                       "-l",
                       "-q",
                       std::to_string(workload.queue_depth),
                       "-o",
                       std::to_string(workload.io_bytes),
                       "-t",
                       fmt::format("{:.0f}", std::max(1.0, std::ceil(seconds))),
                       "-m",
                       fmt::format("[{}]", core),
                       "-w",
                       fmt::format("{}{}", workload.random ? "rand" : "",
                                   mixed                        ? "rw"
                                   : workload.read_percent == 0 ? "write"
                                                                : "read")};
  if (mixed) command.insert(command.end(), {"-M", std::to_string(workload.read_percent)});
  if (!huge_pages_free()) command.insert(command.end(), {"--no-huge", "-s", "1024", "-H"});
  return command;
}

/// The first line of what a program says of its version.
std::string version_of(const std::string& program) {
  const auto text = output_of({program, "--version"}, {0}, 5);
  return text ? text->substr(0, text->find('\n')) : "";
}

}  // namespace

Peers find_peers(const std::string& which, const std::string& bdevperf) {
  const auto asked = [&](const char* name) { return which == "all" || which.contains(name); };
  Peers peers;
  if (asked("fio") && is_installed("fio")) {
    peers.fio = "fio";
    peers.fio_version = version_of("fio");
  }
  const std::string program = !bdevperf.empty() ? bdevperf : "bdevperf";
  if (asked("spdk") && is_installed(program)) {
    peers.bdevperf = program;
    peers.bdevperf_version = version_of(program);
  }
  return peers;
}

std::vector<Way> standard_ways(const Peers& peers) {
  std::vector<Way> ways = ashlar_ways();
  const auto append = [&](std::vector<Way> more) { ways.insert(ways.end(), more.begin(), more.end()); };
  if (!peers.fio.empty()) append(fio_ways());
  if (!peers.bdevperf.empty()) append(spdk_ways());
  return ways;
}

Result<Arguments> command_of(const Way& way, const Workload& workload, const Target& target,
                             const Peers& peers, double seconds, int core, int poll_core,
                             const std::string& scratch) {
  Arguments command;
  switch (way.engine) {
    case Engine::ashlar: command = job_command(way, workload, target, seconds); break;
    case Engine::fio: command = fio_command(way, workload, target, peers, seconds); break;
    case Engine::spdk:
      command = TRY(bdevperf_command(way, workload, target, peers, seconds, core, scratch));
      break;
  }
  for (std::string& each : command) {
    if (const auto at = each.find("cpu=@"); at != std::string::npos)
      each.replace(at + 4, 1, std::to_string(poll_core));
  }
  return command;
}

}  // namespace ashlar::bench::block
