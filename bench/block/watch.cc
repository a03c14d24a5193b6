/// 1. Start the program, its output in a file. 2. Every 10 ms note its CPU time, that of its SQPOLL threads
/// and the count of its system calls; threads that appear are counted from then on. 3. After its end, take
/// the differences between two notes well inside of the time in which it measured: neither its start nor its
/// report is charged to its I/Os.

#include "bench/block/watch.h"

#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <thread>

#include <fmt/format.h>

#include "bench/machine.h"
#include "bench/process.h"

namespace ashlar::bench::block {

namespace {

/// Counts the system calls of some threads; closed with this object.
class SystemCallCounter {
 public:
  SystemCallCounter() : tracepoint_(system_call_tracepoint()) {}
  SystemCallCounter(const SystemCallCounter&) = delete;
  SystemCallCounter& operator=(const SystemCallCounter&) = delete;
  ~SystemCallCounter() {
    for (const auto& [thread, descriptor] : counters_) ::close(descriptor);
  }

  bool add(pid_t thread) {
    if (tracepoint_ == 0) return false;
    if (counters_.contains(thread)) return true;
    perf_event_attr what{};
    what.type = PERF_TYPE_TRACEPOINT;
    what.size = sizeof what;
    what.config = tracepoint_;
    const long descriptor = ::syscall(SYS_perf_event_open, &what, thread, -1, -1, PERF_FLAG_FD_CLOEXEC);
    if (descriptor < 0) return false;
    counters_.emplace(thread, static_cast<int>(descriptor));
    return true;
  }

  double total() const {
    double sum = 0;
    for (const auto& [thread, descriptor] : counters_) {
      std::uint64_t count = 0;
      if (::read(descriptor, &count, sizeof count) == sizeof count) sum += static_cast<double>(count);
    }
    return sum;
  }

 private:
  std::uint64_t tracepoint_;
  std::map<pid_t, int> counters_;
};

struct Note {
  double time = 0, cpu = 0, kernel_poll = 0, system_calls = 0;
};

std::string first_word(const std::filesystem::path& path) {
  std::string word;
  std::ifstream(path) >> word;
  return word;
}

/// Sees to each thread of the process; returns the seconds that those of SQPOLL have run.
double look_at_threads(pid_t process, SystemCallCounter* counter) {
  double seconds = 0;
  std::error_code gone;
  const auto tasks = std::filesystem::directory_iterator(fmt::format("/proc/{}/task", process), gone);
  if (gone) return 0;
  for (const auto& task : tasks) {
    if (first_word(task.path() / "comm").starts_with("iou-sqp")) {
      const std::string ran_ns = first_word(task.path() / "schedstat");
      if (!ran_ns.empty()) seconds += std::stod(ran_ns) * 1e-9;
    } else if (counter != nullptr) {
      counter->add(static_cast<pid_t>(std::stoi(task.path().filename())));
    }
  }
  return seconds;
}

Usage usage_of(const std::vector<Note>& notes, double end, double seconds, bool counted) {
  const auto since = [&](double time) {
    auto at = notes.begin();
    while (at + 1 < notes.end() && at->time < time) ++at;
    return *at;
  };
  if (notes.size() < 2) return {};
  const Note first = since(end - 0.8 * seconds);
  const Note last = since(end - 0.2 * seconds);
  const double time = last.time - first.time;
  if (time <= 0) return {};
  Usage usage;
  usage.kernel_poll = (last.kernel_poll - first.kernel_poll) / time;
  usage.cpu = std::max(0.0, (last.cpu - first.cpu) / time - usage.kernel_poll);
  if (counted) usage.system_calls = (last.system_calls - first.system_calls) / time;
  return usage;
}

}  // namespace

std::uint64_t system_call_tracepoint() {
  for (const char* root : {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"}) {
    std::uint64_t id = 0;
    if (std::ifstream(std::string(root) + "/events/raw_syscalls/sys_enter/id") >> id) return id;
  }
  return 0;
}

std::string system_calls_uncounted() {
  if (system_call_tracepoint() == 0)
    return "no tracepoints to be seen (root, and a mounted tracefs, are needed)";
  SystemCallCounter counter;
  if (!counter.add(::getpid())) return fmt::format("perf_event_open: {}", std::strerror(errno));
  return "";
}

Result<Watched> watch(const Run& run) {
  constexpr auto interval = std::chrono::milliseconds(10);
  const ScratchDirectory scratch(std::filesystem::temp_directory_path());
  const std::string path = scratch.path() + "/output";
  Process process = TRY(Process::start(run.arguments, run.cores, path));
  const pid_t pid = process.pid();
  const double killed_at = seconds_now() + 10 * run.seconds + 30;
  SystemCallCounter counter;
  std::vector<Note> notes;
  for (;;) {
    const double kernel_poll = look_at_threads(pid, run.count_system_calls ? &counter : nullptr);
    const Note note{seconds_now(), process.cpu_seconds(), kernel_poll, counter.total()};
    const auto status = process.ended();
    if (!status) {
      if (note.time > killed_at) return fail(Errc::timed_out, "a program under measurement");
      notes.push_back(note);
      std::this_thread::sleep_for(interval);
      continue;
    }
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return Watched{text.str(), *status, usage_of(notes, seconds_now(), run.seconds, run.count_system_calls)};
  }
}

}  // namespace ashlar::bench::block
