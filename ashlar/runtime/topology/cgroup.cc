#include "ashlar/runtime/topology/cgroup.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>
#include <string_view>
#include <vector>

namespace ashlar {

namespace {

/// A mounted hierarchy of control groups. `controllers` is empty for version 2.
struct Hierarchy {
  std::string mount_point;
  std::string mount_root;  // which group the mount point shows: not "/" inside many containers
  std::vector<std::string> controllers;
  bool unified = false;
};

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

// "36 35 98:0 /root /mount/point rw,noatime master:1 - cgroup2 cgroup rw,cpu": proc(5), mountinfo.
std::vector<Hierarchy> mounted_hierarchies(const std::string& root) {
  std::vector<Hierarchy> hierarchies;
  std::ifstream mounts(root + "/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    const std::size_t dash = line.find(" - ");
    if (dash == line.npos) continue;
    const auto before = split(line.substr(0, dash), ' ');
    const auto after = split(line.substr(dash + 3), ' ');
    if (before.size() < 5 || after.size() < 3) continue;
    if (after[0] == "cgroup2") {
      hierarchies.push_back({before[4], before[3], {}, true});
    } else if (after[0] == "cgroup") {
      hierarchies.push_back({before[4], before[3], split(after[2], ','), false});
    }
  }
  return hierarchies;
}

// "4:memory,cpu:/group", version 2 as "0::/group".
std::string group_of(const std::string& root, const std::string& controller) {
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == line.npos ? line.npos : line.find(':', first + 1);
    if (second == line.npos) continue;
    const auto controllers = split(line.substr(first + 1, second - first - 1), ',');
    const bool unified = controllers.empty();
    if (controller.empty() ? unified : std::ranges::find(controllers, controller) != controllers.end()) {
      return line.substr(second + 1);
    }
  }
  return "/";
}

/// The directories of the process's group and of those above it.
std::vector<std::string> group_directories(const std::string& root, const Hierarchy& hierarchy,
                                           const std::string& controller) {
  std::string group = group_of(root, hierarchy.unified ? std::string() : controller);
  if (hierarchy.mount_root != "/" && group.starts_with(hierarchy.mount_root)) {
    group.erase(0, hierarchy.mount_root.size());
  }
  if (group.find("/..") != group.npos) group.clear();  // outside of what is mounted here
  const std::string top = root + hierarchy.mount_point;
  std::vector<std::string> directories;
  for (;;) {
    while (group.ends_with('/')) group.pop_back();
    directories.push_back(top);
    directories.back() += group;
    if (group.empty()) return directories;
    group.erase(group.rfind('/'));
  }
}

std::vector<std::string> read_words(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return split(line, ' ');
}

std::optional<std::int64_t> number(const std::vector<std::string>& words, std::size_t index) {
  if (index >= words.size()) return {};
  std::int64_t value = 0;
  const char* end = words[index].data() + words[index].size();
  const auto [stopped, error] = std::from_chars(words[index].data(), end, value);
  if (error != std::errc{} || stopped != end) return {};  // such as "max"
  return value;
}

std::optional<double> cpus_of(const std::string& directory, bool unified) {
  std::optional<std::int64_t> quota, period;
  if (unified) {
    const auto words = read_words(directory + "/cpu.max");
    quota = number(words, 0);
    period = number(words, 1);
  } else {
    quota = number(read_words(directory + "/cpu.cfs_quota_us"), 0);  // -1: no limit
    period = number(read_words(directory + "/cpu.cfs_period_us"), 0);
  }
  if (quota.value_or(-1) <= 0 || period.value_or(0) <= 0) return {};
  return static_cast<double>(*quota) / static_cast<double>(*period);
}

std::optional<std::uint64_t> memory_of(const std::string& directory, bool unified) {
  // Version 1 writes "no limit" as the largest multiple of a page.
  constexpr std::int64_t no_limit = std::int64_t{1} << 62;
  const auto bytes = number(read_words(directory + (unified ? "/memory.max" : "/memory.limit_in_bytes")), 0);
  if (!bytes || *bytes <= 0 || *bytes >= no_limit) return {};
  return static_cast<std::uint64_t>(*bytes);
}

template <class T>
void tighten(std::optional<T>& limit, std::optional<T> other) {
  if (other && (!limit || *other < *limit)) limit = other;
}

}  // namespace

CgroupLimits read_cgroup_limits(const std::string& root) {
  CgroupLimits limits;
  for (const Hierarchy& hierarchy : mounted_hierarchies(root)) {
    const auto controls = [&](const char* controller) {
      return hierarchy.unified ||
             std::ranges::find(hierarchy.controllers, controller) != hierarchy.controllers.end();
    };
    if (controls("cpu")) {
      for (const std::string& directory : group_directories(root, hierarchy, "cpu")) {
        tighten(limits.cpus, cpus_of(directory, hierarchy.unified));
      }
    }
    if (controls("memory")) {
      for (const std::string& directory : group_directories(root, hierarchy, "memory")) {
        tighten(limits.memory_bytes, memory_of(directory, hierarchy.unified));
      }
    }
  }
  return limits;
}

}  // namespace ashlar
