/// Instructions come from the processor's counter where the machine shows it, else from callgrind where this
/// runs under it: it dumps what it counted between begin() and end() into a file, whose total is read back.

#include "bench/kv/meter.h"

#include <linux/perf_event.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>

#include <fmt/format.h>

#include "bench/block/job.h"
#include "bench/block/watch.h"

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#define ASHLAR_BENCH_CALLGRIND 1
#else
#define ASHLAR_BENCH_CALLGRIND 0
#endif

namespace ashlar::bench {

namespace {

/// Of this process and the threads that it starts from now on; -1 where it cannot be counted.
int open_counter(std::uint32_t type, std::uint64_t which) {
  perf_event_attr what{};
  what.type = type;
  what.size = sizeof what;
  what.config = which;
  what.inherit = 1;
  what.exclude_hv = 1;
  return static_cast<int>(::syscall(SYS_perf_event_open, &what, 0, -1, -1, PERF_FLAG_FD_CLOEXEC));
}

double value_of(int counter) {
  std::uint64_t count = 0;
  if (counter < 0 || ::read(counter, &count, sizeof count) != sizeof count) return 0;
  return static_cast<double>(count);
}

double field_of(const char* path, const std::string& name) {
  std::ifstream file(path);
  for (std::string key; file >> key;) {
    double value = 0;
    if (key == name && file >> value) return value;
    file.ignore(1 << 10, '\n');
  }
  return 0;
}

#if ASHLAR_BENCH_CALLGRIND
/// The total of callgrind's newest dump, found by the name that ASHLAR_CALLGRIND_OUT gives (callgrind's own
/// option,
/// "%p" spelled out).
double last_dump() {
  const char* prefix = std::getenv("ASHLAR_CALLGRIND_OUT");
  if (prefix == nullptr) return 0;
  double total = 0;
  for (int number = 1;; ++number) {
    const auto path = fmt::format("{}.{}.{}", prefix, ::getpid(), number);
    if (!std::filesystem::exists(path)) return total;
    total = std::max({total, field_of(path.c_str(), "summary:"), field_of(path.c_str(), "totals:")});
  }
}
#endif

}  // namespace

Meter::Meter(bool count_system_calls) {
  const std::uint64_t tracepoint = count_system_calls ? block::system_call_tracepoint() : 0;
  if (tracepoint != 0) system_calls_ = open_counter(PERF_TYPE_TRACEPOINT, tracepoint);
  instructions_ = open_counter(PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS);
}

Meter::~Meter() {
  for (const int each : {system_calls_, instructions_}) {
    if (each >= 0) ::close(each);
  }
}

Meter::Reading Meter::look() const {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  constexpr const char* io = "/proc/self/io";
  return {.cpu_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime),
          .allocations = static_cast<double>(block::allocations()),
          .system_calls = value_of(system_calls_),
          .instructions = value_of(instructions_),
          .written = field_of(io, "write_bytes:") - field_of(io, "cancelled_write_bytes:"),
          .read = field_of(io, "read_bytes:")};
}

void Meter::begin() {
  begin_ = look();
#if ASHLAR_BENCH_CALLGRIND
  CALLGRIND_START_INSTRUMENTATION;
  CALLGRIND_ZERO_STATS;
#endif
}

void Meter::end() {
#if ASHLAR_BENCH_CALLGRIND
  if (RUNNING_ON_VALGRIND) {
    CALLGRIND_DUMP_STATS;
    CALLGRIND_STOP_INSTRUMENTATION;
    callgrind_instructions_ = last_dump();
  }
#endif
  end_ = look();
}

Columns Meter::columns(std::uint64_t operations, bool with_allocations) const {
  const auto count = static_cast<double>(operations);
  Columns columns = {{"cpu_us", (end_.cpu_seconds - begin_.cpu_seconds) * 1e6 / count}};
  if (with_allocations) columns.emplace_back("allocations", (end_.allocations - begin_.allocations) / count);
  if (system_calls_ >= 0)
    columns.emplace_back("system_calls", (end_.system_calls - begin_.system_calls) / count);
  if (callgrind_instructions_ != 0) {
    columns.emplace_back("instructions", callgrind_instructions_ / count);
  } else if (instructions_ >= 0) {
    columns.emplace_back("instructions", (end_.instructions - begin_.instructions) / count);
  }
  columns.emplace_back("rss_mib", field_of("/proc/self/status", "VmHWM:") / 1024);
  return columns;
}

}  // namespace ashlar::bench
