#include "bench/block/measure.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>

#include "bench/process.h"

namespace ashlar::bench::block {

namespace {

constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

/// One measurement; on an error the row says why, and is asked no more.
void measure_once(Row& row, const Target& target, const Peers& peers, const Plan& plan, bool count) {
  const ScratchDirectory scratch(std::filesystem::temp_directory_path());
  const double seconds = plan.seconds / plan.rounds;
  const auto command =
      command_of(*row.way, *row.workload, target, peers, seconds, plan.core, plan.poll_core, scratch.path());
  if (!command) {
    row.failed = command.error().to_string();
    return;
  }
  const auto watched = watch({.arguments = *command,
                              .cores = {plan.core},
                              .seconds = row.way->engine == Engine::spdk ? std::max(1.0, seconds) : seconds,
                              .count_system_calls = count});
  if (!watched) {
    row.failed = watched.error().to_string();
    return;
  }
  auto figures = parse_output(*row.way, watched->output);
  if (!figures) {
    row.failed = figures.error().message;
    return;
  }
  for (const std::string& note : figures->notes) {
    if (!row.way->needs_in_effect.empty() && note.starts_with(row.way->needs_in_effect)) {
      row.failed = note;
      return;
    }
  }
  row.figures.push_back(*std::move(figures));
  row.usage.push_back(watched->usage);
}

/// "==123== Collected : 45678".
double collected(const std::string& output) {
  const auto at = output.find("Collected : ");
  return at == std::string::npos ? unknown : std::strtod(output.c_str() + at + 12, nullptr);
}

/// A copy of this program that callgrind can read.
std::string stripped_copy(const std::string& directory) {
  std::error_code failed;
  const std::string self = std::filesystem::read_symlink("/proc/self/exe", failed);
  const std::string copy = directory + "/ashlar-bench";
  for (const char* tool : {"objcopy", "llvm-objcopy-19"}) {
    if (is_installed(tool) && output_of({tool, "--strip-debug", self, copy}, {0}, 60)) return copy;
  }
  return self;
}

}  // namespace

std::vector<double> column(const Row& row, const Column& value) {
  std::vector<double> values;
  for (std::size_t i = 0; i < row.figures.size(); ++i) {
    if (const double each = value(row.figures[i], row.usage[i]); std::isfinite(each)) values.push_back(each);
  }
  return values;
}

double median(const Row& row, const Column& value) {
  auto values = column(row, value);
  return values.empty() ? unknown : quartiles(std::move(values)).median;
}

double iops(const Figures& figures, const Usage&) {
  return figures.iops;
}
double p50_us(const Figures& figures, const Usage&) {
  return figures.p50_us;
}
double p99_us(const Figures& figures, const Usage&) {
  return figures.p99_us;
}
double p999_us(const Figures& figures, const Usage&) {
  return figures.p999_us;
}
double cpu_us(const Figures& figures, const Usage& usage) {
  return usage.cpu > 0 ? usage.cpu * 1e6 / figures.iops : unknown;
}
double kernel_poll_us(const Figures& figures, const Usage& usage) {
  return usage.kernel_poll * 1e6 / figures.iops;
}
double system_calls(const Figures& figures, const Usage& usage) {
  return usage.system_calls / figures.iops;
}
double allocations_each(const Figures& figures, const Usage&) {
  return figures.allocations;
}

Quartiles ratio_to_peer(const Row& row, const Column& value, bool more_is_better) {
  if (row.peer == nullptr) return {unknown, unknown, unknown};
  auto each = ratios(column(row, value), column(*row.peer, value), more_is_better);
  if (each.empty()) return {unknown, unknown, unknown};
  return quartiles(std::move(each));
}

std::vector<Row> measure(const Workload& workload, const std::vector<const Way*>& ways, const Target& target,
                         const Peers& peers, const Plan& plan,
                         const std::function<void(const Way&, unsigned)>& progress) {
  std::vector<Row> rows;
  for (const Way* way : ways) rows.push_back({.workload = &workload, .way = way, .figures = {}, .usage = {}});
  for (unsigned round = 0; round < plan.rounds; ++round) {
    for (Row& row : rows) {
      if (!row.failed.empty()) continue;
      progress(*row.way, round);
      measure_once(row, target, peers, plan, plan.count_system_calls && round == 0);
    }
  }
  return rows;
}

void find_best_peers(std::vector<Row>& rows) {
  for (Row& row : rows) {
    if (row.way->engine != Engine::ashlar || !row.measured()) continue;
    for (const Row& other : rows) {
      if (other.way->engine == Engine::ashlar || !other.measured()) continue;
      if (other.way->contest != row.way->contest || other.workload != row.workload) continue;
      if (row.peer == nullptr || median(other, iops) > median(*row.peer, iops)) row.peer = &other;
    }
  }
}

double count_instructions(const Way& way, const Workload& workload, const Target& target, const Peers& peers,
                          const Plan& plan) {
  constexpr unsigned few = 2'000, many = 10'000;
  if (!is_installed("valgrind") || way.engine == Engine::spdk) return unknown;
  const ScratchDirectory scratch(std::filesystem::temp_directory_path());
  auto command = command_of(way, workload, target, peers, 1, plan.core, plan.poll_core, scratch.path());
  if (!command) return unknown;
  std::erase(*command, "--time_based");
  std::erase_if(*command, [](const std::string& each) {
    return each.starts_with("--runtime=") || each.starts_with("--ramp_time=");
  });
  if (way.engine == Engine::ashlar) command->front() = stripped_copy(scratch.path());
  const auto run = [&](unsigned ios) {
    std::vector<std::string> arguments = {"valgrind", "--tool=callgrind",
                                          "--callgrind-out-file=" + scratch.path() + "/callgrind"};
    arguments.insert(arguments.end(), command->begin(), command->end());
    if (way.engine == Engine::ashlar) {
      arguments.insert(arguments.end(), {"--ios", std::to_string(ios)});
    } else {
      arguments.push_back(fmt::format("--number_ios={}", ios));
    }
    const auto watched = watch({.arguments = arguments, .cores = {plan.core}, .seconds = 10});
    return watched && watched->status == 0 ? collected(watched->output) : unknown;
  };
  return (run(many) - run(few)) / (many - few);
}

}  // namespace ashlar::bench::block
