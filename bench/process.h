#pragma once

/// Child processes: the servers under measurement and the clients that drive them. Each is stopped by its
/// pid.

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ashlar/base/result.h"

namespace ashlar::bench {

/// A directory of its own below `parent`, removed with everything in it at the end.
class ScratchDirectory {
 public:
  explicit ScratchDirectory(const std::string& parent);
  ~ScratchDirectory();
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

/// A running program, bound to some cores. Ends with SIGTERM, and SIGKILL if it does not obey.
class Process {
 public:
  /// Its output goes to `output` (a file), or nowhere. not_found where there is no such program.
  static Result<Process> start(const std::vector<std::string>& arguments, const std::vector<int>& cores,
                               const std::string& output = "/dev/null");
  Process(Process&& other) noexcept;
  Process& operator=(Process&&) = delete;
  ~Process();

  pid_t pid() const noexcept { return pid_; }  ///< 0 once its end was seen
  /// User and system time of all its threads so far.
  double cpu_seconds() const;
  bool running();
  /// Its exit status, at the first call after its end; does not wait.
  std::optional<int> ended();
  /// Waits for its end: its exit status; timed_out after so many seconds, and then it is killed.
  Result<int> wait(double seconds);

 private:
  explicit Process(pid_t pid) noexcept : pid_(pid) {}
  pid_t pid_;
};

/// Runs a program to its end and returns what it wrote to stdout. An error where its exit status is not 0.
Result<std::string> output_of(const std::vector<std::string>& arguments, const std::vector<int>& cores,
                              double seconds_max);

/// Whether a program is in the PATH, or the path of one.
bool is_installed(const std::string& program);

/// The path of a program that stands beside this one.
std::string beside_us(const std::string& program);

/// A TCP port of the loopback interface that nobody uses now.
std::uint16_t free_port();

}  // namespace ashlar::bench
