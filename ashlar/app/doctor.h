#pragma once

/// `ashlar doctor`: what this machine and its storage offer to Ashlar, and the commands that make it better.
/// It changes nothing.

#include <optional>
#include <string>
#include <vector>

#include "ashlar/app/settings.h"
#include "ashlar/device/ladder.h"
#include "ashlar/runtime/machine/machine.h"

namespace ashlar::app {

struct Finding {
  enum class State : std::uint8_t {
    ok,
    better,   ///< works, and could be better: `command` says how
    problem,  ///< what was asked for does not work, or is not safe
  };
  std::string subject;  ///< "huge pages"
  State state = State::ok;
  std::string detail;   ///< what was found, one line
  std::string why;      ///< why that matters for Ashlar; empty where it is ok
  std::string command;  ///< what changes it, exactly; empty where it is ok
};

/// What is known of one path: findings on what it stands on, and the ways to reach it.
struct Examined {
  std::string name;  ///< as it was given
  std::vector<Finding> findings;
  std::optional<Ladder> ladder;
};

/// Where a path lies. `path` is absolute, without symbolic links.
struct Place {
  std::string path;
  std::optional<Mount> mount;                     ///< of a file or directory
  std::optional<BlockDevice> device;              ///< at the top of what it stands on
  std::uint64_t free_bytes = 0, total_bytes = 0;  ///< of the file system
};

// What follows is judged by the machine's files alone: no system calls, the same for a synthetic machine.

/// Kernel, limits, processors, memory, modules.
std::vector<Finding> examine_machine(const Machine& machine, unsigned shards);
/// io_uring, and each of its features that Ashlar uses.
std::vector<Finding> examine_uring(const Machine& machine);
/// File system, and every disk below.
std::vector<Finding> examine_place(const Machine& machine, const Place& place);

struct DoctorOptions {
  std::vector<std::string> targets;  ///< paths, devices and spec strings; none: the data directory
  Goal goal = Goal::latency;         ///< whose ladder is shown
  bool json = false;
  bool measure = false;  ///< time durable writes, in an unnamed file of the data directory
};

/// Examines and prints. 0, or 1 where something that was asked for cannot work.
int run_doctor(const DoctorOptions& options, const Settings& settings, const std::string& data_directory);

// How it is printed (doctor_report.cc).

struct Diagnosis {
  std::vector<Finding> machine, uring;
  std::vector<Examined> targets;

  bool works() const noexcept;
};
std::string report_text(const Diagnosis& diagnosis);
std::string report_json(const Diagnosis& diagnosis);

}  // namespace ashlar::app
