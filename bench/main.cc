/// ashlar-bench: measures Ashlar beside its peers. See docs/performance.md for the method.
///
/// 1. For each case asked for, in order: set up both sides.
/// 2. Measure A B A B …, Ashlar first, as many pairs as asked for: what disturbs the machine disturbs both.
/// 3. Report medians, and the median and quartiles of the pairs' ratios.

#include <fnmatch.h>

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "bench/block/block_main.h"
#include "bench/block/job.h"
#include "bench/case.h"
#include "bench/plot/plot_main.h"
#include "bench/report.h"

namespace ashlar::bench {

std::uint64_t scaled(const BenchOptions& options, std::uint64_t count) {
  return std::max<std::uint64_t>(1, static_cast<std::uint64_t>(options.scale * static_cast<double>(count)));
}

namespace {

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  add_shard_cases(cases);
  add_mesh_cases(cases);
  add_idle_cases(cases);
  add_log_cases(cases);
  add_kv_get_cases(cases);
  add_kv_write_cases(cases);
  add_kv_scan_cases(cases);
  add_kv_ycsb_cases(cases);
  add_kv_reopen_cases(cases);
  add_resp_cases(cases);
  return cases;
}

/// "kv-get-warm" names all its variants, "kv-get-warm/1k-default" one, "kv-ycsb/*-default" some.
bool named(const Case& which, const std::string& name) {
  return which.name.starts_with(name + "/") || ::fnmatch(name.c_str(), which.name.c_str(), 0) == 0;
}

Result<Row> run_case(const Case& which, const BenchOptions& options, Table& table) {
  table.progress(which, 0, options.pairs);
  Contest contest = TRY(which.prepare(options));
  Row row{.what = &which,
          .ashlar = {},
          .peer = {},
          .peer_version = std::move(contest.peer_version),
          .configuration = std::move(contest.configuration)};
  for (unsigned pair = 0; pair < options.pairs; ++pair) {
    row.ashlar.push_back(TRY(contest.ashlar()));
    if (contest.peer) row.peer.push_back(TRY(contest.peer()));
    table.progress(which, pair + 1, options.pairs);
  }
  return row;
}

/// Writes each row to `json` (nullptr: nowhere) and to the table; false where a case failed.
bool run_cases(const std::vector<const Case*>& chosen, const BenchOptions& options, std::FILE* json) {
  Table table(stdout, chosen);
  bool all_ran = true;
  for (const Case* which : chosen) {
    const Result<Row> row = run_case(*which, options, table);
    if (!row) {
      table.add_failure(*which, row.error().to_string());
      all_ran = false;
      continue;
    }
    table.add(*row);
    if (json == nullptr) continue;
    fmt::print(json, "{}\n", to_json(*row));
    std::fflush(json);
  }
  return all_ran;
}

int run(int argc, char** argv) {
  CLI::App app("Measures Ashlar beside its peers, in alternating pairs; docs/performance.md has the method.");
  BenchOptions options;
  std::vector<std::string> names;
  std::string json_path;
  bool list = false;
  app.add_option("CASE", names, "Cases or groups of cases, all by default");
  app.add_flag("--list", list, "List the cases");
  app.add_option("--pairs", options.pairs, "Pairs of measurements for each case")->check(CLI::Range(1, 1000));
  app.add_option("--json", json_path, "Also write one JSON line for each case to this file (- for stdout)");
  app.add_option("--data", options.data,
                 "Directory on the device to measure; a scratch directory is made in it")
      ->check(CLI::ExistingDirectory);
  app.add_option("--scale", options.scale, "Scale the work; below 1 shows that cases run, not how fast")
      ->check(CLI::Range(1e-6, 100.0));
  app.add_option("--seconds", options.seconds, "Of each measurement that goes by time")
      ->check(CLI::Range(0.001, 36000.0))
      ->capture_default_str();
  app.add_option("--sustained", options.sustained_seconds, "The same of kv-overwrite, which needs long ones")
      ->check(CLI::Range(0.001, 36000.0))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  const std::vector<Case> cases = all_cases();
  if (list) {
    for (const Case& each : cases) fmt::print("{:32} {}\n", each.name, each.summary);
    return 0;
  }
  std::vector<const Case*> chosen;
  for (const Case& each : cases) {
    const auto asked = [&](const std::string& name) { return named(each, name); };
    if (names.empty() || std::ranges::any_of(names, asked)) chosen.push_back(&each);
  }
  for (const std::string& name : names) {
    if (std::ranges::none_of(cases, [&](const Case& each) { return named(each, name); })) {
      fmt::print(stderr, "ashlar-bench: no case \"{}\"; --list shows them\n", name);
      return 2;
    }
  }
  std::FILE* json = json_path.empty()  ? nullptr
                    : json_path == "-" ? stdout
                                       : std::fopen(json_path.c_str(), "w");
  if (json == nullptr && !json_path.empty()) {
    fmt::print(stderr, "ashlar-bench: cannot write {}\n", json_path);
    return 2;
  }
  const bool all_ran = run_cases(chosen, options, json);
  if (json != nullptr && json != stdout) std::fclose(json);
  return all_ran ? 0 : 1;
}

}  // namespace
}  // namespace ashlar::bench

int main(int argc, char** argv) {
  const std::string_view command = argc > 1 ? argv[1] : "";
  if (command == "plot") return ashlar::bench::plot_main(argc - 1, argv + 1);
  if (command == "block") return ashlar::bench::block::block_main(argc - 1, argv + 1);
  if (command == "block-job") return ashlar::bench::block::job_main(argc - 1, argv + 1);
  return ashlar::bench::run(argc, argv);
}
