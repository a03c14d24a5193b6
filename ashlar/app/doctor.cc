#include "ashlar/app/doctor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>

#include "ashlar/base/units.h"
#include "ashlar/runtime/ops/uring/probe.h"

namespace ashlar::app {
namespace {

using State = Finding::State;

constexpr std::size_t page_bytes = 4096;

/// The first line of a file of /proc, /sys or a cgroup; empty where it cannot be read.
std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string amount(rlim_t limit) {
  return limit == RLIM_INFINITY ? "unlimited" : format_bytes(limit);
}

Finding kernel() {
  utsname name{};
  uname(&name);
  return {"kernel", State::works, fmt::format("{} {} {}", name.sysname, name.release, name.machine), ""};
}

/// io_uring and each of its features that the runtime uses.
void examine_uring(std::vector<Finding>& findings) {
  const auto features = probe_uring();
  if (!features) {
    const char* const remedy =
        features.error().code == Errc::permission
            ? "it would work with sysctl kernel.io_uring_disabled=0, and a seccomp filter that lets it pass"
            : "it would work from Linux 5.11 on";
    findings.push_back(
        {"io_uring", State::limited, features.error().to_string() + ": epoll and threads instead", remedy});
    return;
  }
  findings.push_back({"io_uring", State::works, "for files, sockets and wake-ups", ""});
  for (const UringFeature& feature : *features) {
    if (feature.present)
      findings.push_back({feature.name, State::works, fmt::format("since Linux {}", feature.since), ""});
    else
      findings.push_back({feature.name, State::limited, feature.instead,
                          fmt::format("it would work from Linux {} on", feature.since)});
  }
}

Finding locked_memory() {
  rlimit limit{};
  getrlimit(RLIMIT_MEMLOCK, &limit);
  constexpr std::uint64_t comfortable_bytes = 64_MiB;
  if (limit.rlim_cur >= comfortable_bytes || geteuid() == 0)
    return {"locked memory", State::works, amount(limit.rlim_cur), ""};
  return {"locked memory", State::limited, amount(limit.rlim_cur),
          fmt::format("registering buffers would work if `ulimit -l` were at least {}",
                      format_bytes(comfortable_bytes))};
}

Finding open_files() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  constexpr rlim_t comfortable = 65'536;
  std::string detail = fmt::format("{} now, up to {}", limit.rlim_cur, limit.rlim_max);
  if (limit.rlim_max >= comfortable) return {"open files", State::works, std::move(detail), ""};
  return {"open files", State::limited, std::move(detail),
          fmt::format("more than {} clients would work if `ulimit -Hn` were at least {}", limit.rlim_max / 2,
                      comfortable)};
}

/// CPUs' worth of time that the cgroups of this process allow, in hundredths; 0 where there is no limit.
unsigned cgroup_cpu_percent() {
  std::string cgroup = first_line("/proc/self/cgroup");
  if (!cgroup.starts_with("0::")) return 0;
  unsigned lowest = 0;
  for (std::filesystem::path path = cgroup.substr(3);; path = path.parent_path()) {
    const std::string quota = first_line("/sys/fs/cgroup" + path.string() + "/cpu.max");
    char* end = nullptr;
    const unsigned long long used = std::strtoull(quota.c_str(), &end, 10),
                             period = std::strtoull(end, nullptr, 10);
    if (used != 0 && period != 0) {
      const auto percent = static_cast<unsigned>(used * 100 / period);
      lowest = lowest == 0 ? percent : std::min(lowest, percent);
    }
    if (path == path.parent_path()) return lowest;
  }
}

Finding processors() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  sched_getaffinity(0, sizeof allowed, &allowed);
  const long online = sysconf(_SC_NPROCESSORS_ONLN);
  std::string detail = fmt::format("{} usable of {} online", CPU_COUNT(&allowed), online);
  const unsigned quota = cgroup_cpu_percent();
  if (quota == 0) return {"processors", State::works, std::move(detail), ""};
  detail += fmt::format(", cgroup quota {}.{:02}", quota / 100, quota % 100);
  if (quota >= 100u * static_cast<unsigned>(CPU_COUNT(&allowed)))
    return {"processors", State::works, detail, ""};
  return {"processors", State::limited, std::move(detail),
          "all of them would work without throttling if the cgroup's cpu.max were higher"};
}

Finding memory() {
  const std::uint64_t total =
      static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  std::string detail = approximate_bytes(total);
  const std::string cgroup = first_line("/proc/self/cgroup");
  if (cgroup.starts_with("0::")) {
    const std::string cap = first_line("/sys/fs/cgroup" + cgroup.substr(3) + "/memory.max");
    if (!cap.empty() && cap != "max")
      detail += ", cgroup limit " + approximate_bytes(std::strtoull(cap.c_str(), nullptr, 10));
  }
  return {"memory", State::works, std::move(detail), ""};
}

Finding huge_pages() {
  const std::string enabled = first_line("/sys/kernel/mm/transparent_hugepage/enabled");
  if (enabled.find("[always]") != std::string::npos || enabled.find("[madvise]") != std::string::npos)
    return {"huge pages", State::works, "transparent, on request", ""};
  return {"huge pages", State::limited,
          enabled.empty() ? "not in this kernel" : "transparent huge pages are off",
          "fewer TLB misses: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"};
}

std::string file_system_name(long type) {
  struct Known {
    long type;
    const char* name;
  };
  static constexpr Known known[] = {{0xef53, "ext4"},        {0x58465342, "xfs"},       {0x9123683e, "btrfs"},
                                    {0x01021994, "tmpfs"},   {0x794c7630, "overlayfs"}, {0x2fc12fc1, "zfs"},
                                    {0xf2f52010, "f2fs"},    {0x6969, "nfs"},           {0x65735546, "fuse"},
                                    {0xca451a4e, "bcachefs"}};
  for (const Known& one : known)
    if (one.type == type) return one.name;
  return fmt::format("file system {:#x}", type);
}

/// ", vda with a volatile write cache" where the directory lies on a block device.
std::string block_device(const struct stat& status) {
  const std::string link = fmt::format("/sys/dev/block/{}:{}", major(status.st_dev), minor(status.st_dev));
  std::error_code error;
  std::filesystem::path device = std::filesystem::canonical(link, error);
  if (error) return {};
  if (std::filesystem::exists(device / "partition", error)) device = device.parent_path();
  const std::string cache = first_line((device / "queue/write_cache").string());
  return fmt::format(" on {}{}", device.filename().string(),
                     cache == "write back" ? " with a volatile write cache" : "");
}

struct Descriptor {
  int fd;
  explicit Descriptor(int number) : fd(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

/// The median of a few durable 4 KiB writes into blocks that were written before, as the log does them; 0 on
/// failure.
std::chrono::nanoseconds durable_write_time(int fd, const std::byte* page) {
  constexpr int rounds = 15;
  std::array<std::chrono::nanoseconds, rounds> times;
  for (int i = 0; i < rounds; ++i)
    if (pwrite(fd, page, page_bytes, i * static_cast<off_t>(page_bytes)) != static_cast<ssize_t>(page_bytes))
      return {};
  if (fsync(fd) != 0) return {};
  for (int i = 0; i < rounds; ++i) {
    const auto start = std::chrono::steady_clock::now();
    if (pwrite(fd, page, page_bytes, i * static_cast<off_t>(page_bytes)) != static_cast<ssize_t>(page_bytes))
      return {};
    if (fdatasync(fd) != 0) return {};
    times[static_cast<std::size_t>(i)] = std::chrono::steady_clock::now() - start;
  }
  std::nth_element(times.begin(), times.begin() + rounds / 2, times.end());
  return times[rounds / 2];
}

Finding data_directory(const std::string& directory) {
  std::error_code error;
  std::filesystem::path place = std::filesystem::absolute(directory, error).lexically_normal();
  while (!std::filesystem::is_directory(place, error) && place.has_relative_path())
    place = place.parent_path();
  struct statfs space{};
  struct stat status{};
  if (statfs(place.c_str(), &space) != 0 || stat(place.c_str(), &status) != 0)
    return {"data directory", State::missing, fmt::format("{}: {}", place.string(), strerrordesc_np(errno)),
            "it would work if it could be read"};
  std::string detail =
      fmt::format("{}: {}{}, {} free", place.string(), file_system_name(space.f_type), block_device(status),
                  approximate_bytes(space.f_bavail * static_cast<std::uint64_t>(space.f_frsize)));
  if (access(place.c_str(), W_OK) != 0)
    return {"data directory", State::missing, std::move(detail),
            fmt::format("it would work if user {} could write there", geteuid())};

  const std::unique_ptr<std::byte, decltype(&std::free)> page(
      static_cast<std::byte*>(std::aligned_alloc(page_bytes, page_bytes)), &std::free);
  std::memset(page.get(), 0, page_bytes);
  const Descriptor direct(open(place.c_str(), O_TMPFILE | O_RDWR | O_DIRECT | O_CLOEXEC, 0600));
  const Descriptor buffered(direct.fd >= 0 ? -1 : open(place.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  const int file = direct.fd >= 0 ? direct.fd : buffered.fd;
  if (file >= 0) {
    const auto time = durable_write_time(file, page.get());
    if (time.count() > 0)
      detail += fmt::format(", a durable 4KiB write takes {}", approximate_duration(time));
  }
  if (direct.fd >= 0) return {"data directory", State::works, std::move(detail) + ", O_DIRECT", ""};
  return {"data directory", State::limited, std::move(detail), "direct I/O would work on ext4, xfs or btrfs"};
}

const char* to_string(State state) {
  switch (state) {
    case State::works: return "works";
    case State::limited: return "limited";
    case State::missing: return "MISSING";
  }
  return "?";
}

}  // namespace

std::vector<Finding> examine(const std::string& directory) {
  std::vector<Finding> findings{kernel()};
  examine_uring(findings);
  for (const auto check : {locked_memory, open_files, processors, memory, huge_pages})
    findings.push_back(check());
  findings.push_back(data_directory(directory));
  return findings;
}

bool print(const std::vector<Finding>& findings) {
  bool ready = true;
  for (const Finding& finding : findings) {
    fmt::print("{:<18} {:<8} {}{}{}\n", finding.subject, to_string(finding.state), finding.detail,
               finding.remedy.empty() ? "" : "; ", finding.remedy);
    ready &= finding.state != State::missing;
  }
  return ready;
}

}  // namespace ashlar::app
