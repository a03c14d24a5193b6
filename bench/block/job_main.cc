/// A job as a process of its own, so that its CPU time, its system calls and its instructions are counted as
/// those of any other program are.

#include <map>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "bench/block/job.h"

namespace ashlar::bench::block {

namespace {

std::string to_json(const JobResult& result) {
  const double cycles_per_us = result.cycles_per_ns * 1e3;
  const auto us = [&](double percent) {
    return static_cast<double>(result.latency_cycles.percentile(percent)) / cycles_per_us;
  };
  return nlohmann::ordered_json{{"ios", result.ios},
                                {"seconds", result.seconds},
                                {"p50_us", us(50)},
                                {"p99_us", us(99)},
                                {"p999_us", us(99.9)},
                                {"mean_us", result.latency_cycles.mean() / cycles_per_us},
                                {"allocations", result.allocations},
                                {"notes", result.notes}}
      .dump();
}

}  // namespace

int job_main(int argc, char** argv) {
  CLI::App app("Keeps I/Os in flight on one device, and prints what came of it as a line of JSON.");
  JobOptions options;
  bool sequential = false;
  app.add_option("SPEC", options.spec, "The device")->required();
  app.add_option("--read", options.read_percent, "Percentage of reads; the rest writes")
      ->check(CLI::Range(0, 100));
  app.add_flag("--sequential", sequential, "Addresses in order, not at random");
  app.add_option("--size", options.io_bytes, "Bytes of an I/O")->check(CLI::Range(512, 16 << 20));
  app.add_option("--qd", options.queue_depth, "I/Os in flight")->check(CLI::Range(1, 4096));
  app.add_option("--seconds", options.seconds, "How long to measure")->check(CLI::Range(0.001, 3600.0));
  app.add_option("--ios", options.ios, "Measure so many I/Os, and do not warm up");
  app.add_option("--form", options.form, "What issues an I/O")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, Form>{{"callback", Form::callback}, {"coroutine", Form::coroutine}}));
  app.add_option("--wait", options.waiting, "How completions are waited for")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, Waiting>{{"asleep", Waiting::asleep}, {"polled", Waiting::polled}}));
  app.add_flag("--fill", options.fill, "Write the whole device first");
  CLI11_PARSE(app, argc, argv);
  options.random = !sequential;

  const auto result = run_job(options);
  if (!result) {
    fmt::print("{}\n", nlohmann::ordered_json{{"error", result.error().message}}.dump());
    return 1;
  }
  fmt::print("{}\n", to_json(*result));
  return 0;
}

}  // namespace ashlar::bench::block
