#include "ashlar/app/trace_command.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <memory>
#include <utility>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "ashlar/base/units.h"
#include "ashlar/device/standard_registry.h"

namespace ashlar::app {
namespace {

using trace::Entry;
using trace::Pace;
using trace::ReplayReport;
using trace::Trace;
using trace::Writes;

std::string time_of(std::uint64_t nanoseconds) {
  return approximate_duration(std::chrono::nanoseconds(nanoseconds));
}

/// What went wrong has been said on stderr.
int failed(const std::string& what, const std::string& why) {
  fmt::print(stderr, "ashlar: {}: {}\n", what, why);
  return 1;
}

Result<> on_one_shard(RuntimeOptions options, const std::function<Task<Result<>>(Shard&)>& main) {
  options.shards = 1;
  options.pin = false;
  Runtime runtime(options);
  return runtime.run(main);
}

Task<Result<>> load_into(std::string path, Trace* trace) {
  *trace = CO_TRY(co_await trace::load(std::move(path)));
  co_return Result<>{};
}

void print_header(const Trace& trace) {
  const trace::Header& header = trace.header;
  const auto began = static_cast<std::time_t>(header.began_ms / 1000);
  fmt::print("device   {}: {} in blocks of {}\n", header.spec,
             approximate_bytes(header.blocks * header.block_bytes), format_bytes(header.block_bytes));
  fmt::print("began    {:%Y-%m-%d %H:%M:%S} UTC\n", fmt::gmtime(began));
  fmt::print("entries  {} in {} chunks\n", trace.entries.size(), trace.chunks);
  if (trace.dropped != 0) fmt::print("missing  {} requests were not recorded\n", trace.dropped);
  if (trace.damaged + trace.nothing != 0)
    fmt::print("damaged  {} chunks, and {} were never written\n", trace.damaged, trace.nothing);
}

void print_entry(const Entry& entry) {
  const std::string options =
      fmt::format("{}{}{}", entry.durable ? "durable " : "", entry.deadline ? "deadline " : "",
                  entry.priority == IoPriority::normal ? ""
                  : entry.priority == IoPriority::high ? "high "
                                                       : "background ");
  fmt::print("{:>15.6f} {:>5} {:<17} {:>14} {:>7} {:>10}  {}{}\n",
             static_cast<double>(entry.submitted_ns()) / 1e9, entry.shard, to_string(entry.op), entry.lba,
             entry.blocks, time_of(entry.latency_ns), options,
             entry.result == 0 ? "" : to_string(static_cast<Errc>(entry.result - 1)));
}

void print_summary(const Trace& trace) {
  struct Sum {
    std::uint64_t blocks = 0, errors = 0;
    Histogram latency;
  };
  std::map<Op, std::unique_ptr<Sum>> sums;
  for (const Entry& entry : trace.entries) {
    auto& sum = sums[entry.op];
    if (sum == nullptr) sum = std::make_unique<Sum>();
    sum->blocks += entry.blocks;
    sum->errors += entry.result != 0;
    sum->latency.record(entry.latency_ns);
  }
  fmt::print("\n{:<17} {:>10} {:>11} {:>7} {:>10} {:>10} {:>10} {:>10}\n", "", "requests", "data", "errors",
             "p50", "p99", "p99.9", "max");
  for (const auto& [op, sum] : sums) {
    const auto latency = sum->latency.summary();
    fmt::print("{:<17} {:>10} {:>11} {:>7} {:>10} {:>10} {:>10} {:>10}\n", to_string(op), latency.count,
               approximate_bytes(sum->blocks * trace.header.block_bytes), sum->errors, time_of(latency.p50),
               time_of(latency.p99), time_of(latency.p999), time_of(latency.max));
  }
}

void print_report(const ReplayReport& report) {
  fmt::print("\n{:<17} {:>10}   {:>21}   {:>21}\n", "", "", "recorded", "replayed");
  fmt::print("{:<17} {:>10}   {:>10} {:>10}   {:>10} {:>10}\n", "", "requests", "p50", "p99", "p50", "p99");
  for (std::size_t op = 0; op < trace::op_count; ++op) {
    const auto before = report.recorded[op].summary(), now = report.replayed[op].summary();
    if (now.count == 0) continue;
    fmt::print("{:<17} {:>10}   {:>10} {:>10}   {:>10} {:>10}\n", to_string(static_cast<Op>(op)), now.count,
               time_of(before.p50), time_of(before.p99), time_of(now.p50), time_of(now.p99));
  }
  fmt::print("\nin {} (recorded in {}), up to {} at once", approximate_duration(report.replayed_time),
             approximate_duration(report.recorded_time), report.in_flight_max);
  if (report.late_max > Duration(0)) fmt::print(", up to {} late", approximate_duration(report.late_max));
  if (report.skipped != 0) fmt::print(", {} left out", report.skipped);
  fmt::print("\n");
  if (report.first_error)
    fmt::print("{} failed, first: {}\n", report.errors, report.first_error->to_string());
}

trace::ReplayOptions options_of(const TraceArguments& arguments) {
  static const std::map<std::string, Pace> paces{
      {"recorded", Pace::recorded}, {"dependent", Pace::dependent}, {"depth", Pace::depth}};
  static const std::map<std::string, Writes> writes{
      {"refuse", Writes::refuse}, {"skip", Writes::skip}, {"carry-out", Writes::carry_out}};
  trace::ReplayOptions options = arguments.options;
  options.pace = paces.at(arguments.pace);
  options.writes = writes.at(arguments.writes);
  return options;
}

struct Replay {
  const TraceArguments& arguments;
  std::string refused;  // why the device could not be opened
  Trace trace;
  std::unique_ptr<ReplayReport> report;
};

/// Nothing outlives the device: it is made of memory of this process alone.
bool in_memory(const Spec& spec) {
  if (!spec.layer) return spec.kind == "ram" || spec.kind == "null";
  return std::ranges::all_of(spec.children, in_memory);
}

Task<Result<>> replay_on(Replay* replay) {
  const TraceArguments& arguments = replay->arguments;
  CO_TRY(co_await load_into(arguments.file, &replay->trace));
  auto opened = co_await standard_registry().open(arguments.device);
  if (!opened) {
    replay->refused = opened.error().show(arguments.device);
    co_return Result<>{};
  }
  Device& device = **opened;
  trace::ReplayOptions options = options_of(arguments);
  if (in_memory(*parse_spec(arguments.device)) && options.writes == Writes::refuse)
    options.writes = Writes::carry_out;
  // Nobody's data is written over while they use it.
  Result<> result;
  if (options.writes == Writes::carry_out) result = co_await device.claim();
  if (!result) {
    replay->refused = result.error().to_string() + ": somebody uses it";
    co_await device.close();
    co_return Result<>{};
  }
  if (const auto channel = co_await device.channel(); !channel) {
    result = std::unexpected(channel.error());
  } else if (auto report = co_await trace::replay(**channel, replay->trace, options); !report) {
    result = std::unexpected(report.error());
  } else {
    replay->report = std::make_unique<ReplayReport>(*std::move(report));
  }
  co_await device.close();
  co_return result;
}

}  // namespace

int show_trace(const TraceArguments& arguments, RuntimeOptions runtime) {
  Trace trace;
  const Result<> loaded =
      on_one_shard(std::move(runtime), [&](Shard&) { return load_into(arguments.file, &trace); });
  if (!loaded) return failed(arguments.file, loaded.error().to_string());
  print_header(trace);
  if (arguments.entries != 0)
    fmt::print("\n{:>15} {:>5} {:<17} {:>14} {:>7} {:>10}\n", "seconds", "shard", "operation", "block",
               "blocks", "latency");
  for (std::size_t i = 0; i < trace.entries.size() && i < arguments.entries; ++i)
    print_entry(trace.entries[i]);
  print_summary(trace);
  return 0;
}

int replay_trace(const TraceArguments& arguments, RuntimeOptions runtime) {
  Replay replay{.arguments = arguments, .refused = {}, .trace = {}, .report = nullptr};
  const Result<> result = on_one_shard(std::move(runtime), [&](Shard&) { return replay_on(&replay); });
  if (!replay.refused.empty()) return failed(arguments.device, "cannot be opened\n" + replay.refused);
  if (!result) {
    const bool refused = result.error().code == Errc::permission;
    return failed(
        arguments.file,
        result.error().to_string() +
            (refused ? "; --writes carry-out overwrites the device, --writes skip reads only" : ""));
  }
  print_header(replay.trace);
  print_report(*replay.report);
  return replay.report->errors == 0 ? 0 : 1;
}

}  // namespace ashlar::app
