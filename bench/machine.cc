#include "bench/machine.h"

#include <sched.h>
#include <sys/utsname.h>

#include <chrono>
#include <fstream>
#include <thread>

#include <fmt/format.h>

#include "bench/statistics.h"

namespace ashlar::bench {

const std::vector<int>& cores() {
  static const std::vector<int> usable = [] {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    ::sched_getaffinity(0, sizeof allowed, &allowed);
    std::vector<int> found;
    for (int core = 0; core < CPU_SETSIZE; ++core) {
      if (CPU_ISSET(core, &allowed)) found.push_back(core);
    }
    return found;
  }();
  return usable;
}

void on_cores(const std::vector<int>& where, const std::function<void()>& work) {
  std::thread([&] {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const int core : where) CPU_SET(core, &set);
    ::sched_setaffinity(0, sizeof set, &set);
    work();
  }).join();
}

std::uint64_t cycles() noexcept {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#else
  std::uint64_t ticks;
  asm volatile("mrs %0, cntvct_el0" : "=r"(ticks));
  return ticks;
#endif
}

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double cycles_per_second() {
  static const double rate = [] {
    const double start = seconds_now();
    const std::uint64_t first = cycles();
    while (seconds_now() - start < 0.02) {
    }
    return static_cast<double>(cycles() - first) / (seconds_now() - start);
  }();
  return rate;
}

double SliceClock::cycles_each(std::uint64_t operations_per_slice) const {
  std::vector<double> slices;
  for (std::size_t i = 1; i < marks_.size(); ++i) {
    slices.push_back(static_cast<double>(marks_[i] - marks_[i - 1]));
  }
  return quartiles(std::move(slices)).median / static_cast<double>(operations_per_slice);
}

double SliceClock::ns_each(std::uint64_t operations_per_slice) const {
  return cycles_each(operations_per_slice) * 1e9 / cycles_per_second();
}

std::string machine_name() {
  utsname system{};
  ::uname(&system);
  std::string model = system.machine;
  std::ifstream processors("/proc/cpuinfo");
  for (std::string line; std::getline(processors, line);) {
    if (line.starts_with("model name")) {
      model = line.substr(line.find(':') + 2);
      break;
    }
  }
  return fmt::format("{} {}, {}, {} cores", system.sysname, system.release, model, cores().size());
}

}  // namespace ashlar::bench
