#include "bench/block/block_report.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "ashlar/base/bytes.h"
#include "ashlar/base/checksum.h"
#include "ashlar/base/units.h"
#include "bench/machine.h"

namespace ashlar::bench::block {

namespace {

using Json = nlohmann::ordered_json;

constexpr const char* line_format =
    "  {:<25} {:>8} {:>8} {:>8} {:>8} {:>8} {:>7} {:>6} {:>8} {:>6}  {:<16} {:>6}  {}\n";

/// Four digits that matter; "-" where there is nothing to say.
std::string digits(double value) {
  if (!std::isfinite(value)) return "-";
  if (value == 0) return "0";
  const int whole = static_cast<int>(std::floor(std::log10(std::abs(value)))) + 1;
  return fmt::format("{:.{}f}", value, std::clamp(3 - whole, 0, 3));
}

std::string rate(double value) {
  if (!std::isfinite(value)) return "-";
  if (value >= 999.5e3) return fmt::format("{:.2f} M", value / 1e6);
  if (value >= 999.5) return fmt::format("{:.1f} K", value / 1e3);
  return fmt::format("{:.0f}", value);
}

std::string ratio_text(double value) {
  return std::isfinite(value) ? fmt::format("{:.2f}", value) : "-";
}

double mb_per_s(const Row& row) {
  return median(row, iops) * row.workload->io_bytes / 1e6;
}

Json known(double value) {
  return std::isfinite(value) ? Json(value) : Json();
}
Json given(const std::string& text) {
  return text.empty() ? Json() : Json(text);
}

const char* name_of(Engine engine) {
  switch (engine) {
    case Engine::ashlar: return "ashlar";
    case Engine::fio: return "fio";
    case Engine::spdk: return "spdk";
  }
  return "";
}

const Reference* reference_of(const Workload& workload, std::string_view way) {
  for (const Reference& each : references(workload)) {
    if (each.way == way) return &each;
  }
  return nullptr;
}

Json configuration_of(const Row& row, const RunFacts& facts) {
  Json arguments = row.way->arguments;
  return {{"target", facts.target},
          {"spec", row.way->spec},
          {"arguments", std::move(arguments)},
          {"read_percent", row.workload->read_percent},
          {"random", row.workload->random},
          {"io_bytes", row.workload->io_bytes},
          {"queue_depth", row.workload->queue_depth},
          {"seconds", facts.plan.seconds},
          {"rounds", facts.plan.rounds}};
}

/// What one layer adds to null:, by the time of an I/O; round by round.
std::string layer_cost(std::span<const Row> rows, std::string_view layer) {
  const auto find = [&](std::string_view name) {
    return std::ranges::find_if(rows,
                                [&](const Row& row) { return row.way->name == name && row.measured(); });
  };
  const auto bare = find("null"), with = find(layer);
  if (bare == rows.end() || with == rows.end()) return "";
  std::vector<double> cycles;
  for (std::size_t i = 0; i < std::min(bare->figures.size(), with->figures.size()); ++i)
    cycles.push_back((1 / with->figures[i].iops - 1 / bare->figures[i].iops) * cycles_per_second());
  const Quartiles cost = quartiles(std::move(cycles));
  return fmt::format("{}, {}: {:.0f} cycles ({:.0f} to {:.0f}) and {} allocations per I/O more than null\n",
                     with->workload->title(), layer, cost.median, cost.low, cost.high,
                     digits(median(*with, allocations_each)));
}

}  // namespace

std::string to_json(const Row& row, const RunFacts& facts) {
  const Quartiles ratio = ratio_to_peer(row, iops, true);
  const Json configuration = configuration_of(row, facts);
  const Reference* const reference = reference_of(*row.workload, row.way->name);
  const Json peer_version =
      row.way->engine == Engine::spdk ? given(facts.peers.bdevperf_version) : given(facts.peers.fio_version);
  const Json line = {{"workload", row.workload->name()},
                     {"way", row.way->name},
                     {"engine", name_of(row.way->engine)},
                     {"iops", known(median(row, iops))},
                     {"mb_per_s", known(mb_per_s(row))},
                     {"p50_us", known(median(row, p50_us))},
                     {"p99_us", known(median(row, p99_us))},
                     {"p999_us", known(median(row, p999_us))},
                     {"cpu_us_per_io", known(median(row, cpu_us))},
                     {"kernel_poll_cpu_us_per_io", known(median(row, kernel_poll_us))},
                     {"syscalls_per_io", known(median(row, system_calls))},
                     {"instructions_per_io", known(row.instructions)},
                     {"allocations_per_io", known(median(row, allocations_each))},
                     {"peer", row.peer != nullptr ? Json(row.peer->way->name) : Json()},
                     {"ratio", known(ratio.median)},
                     {"iqr_low", known(ratio.low)},
                     {"iqr_high", known(ratio.high)},
                     {"cpu_ratio", known(ratio_to_peer(row, cpu_us, false).median)},
                     {"reference_iops", reference != nullptr ? Json(reference->iops) : Json()},
                     {"reference_source", reference != nullptr ? Json(reference->source) : Json()},
                     {"error", given(row.failed)},
                     {"notes", row.figures.empty() ? Json::array() : Json(row.figures.front().notes)},
                     {"versions",
                      {{"ashlar", ASHLAR_VERSION},
                       {"peer", peer_version},
                       {"compiler", __VERSION__},
                       {"machine", machine_name()}}},
                     {"configuration", configuration},
                     {"configuration_hash", fmt::format("{:016x}", xxh3(as_bytes(configuration.dump())))}};
  return line.dump();
}

BlockTable::BlockTable(std::FILE* out) : out_(out), terminal_(::isatty(::fileno(out)) == 1) {}

void BlockTable::clear_progress() {
  if (terminal_) fmt::print(out_, "\r\x1b[K");
}

void BlockTable::begin(const RunFacts& facts, unsigned steps) {
  steps_ = steps;
  started_ = seconds_now();
  fmt::print(out_, "{}\n{}\n", facts.target, machine_name());
  fmt::print(out_, "fio: {}; SPDK bdevperf: {}\n",
             facts.peers.fio.empty() ? "not here" : facts.peers.fio_version,
             facts.peers.bdevperf.empty() ? "not here" : facts.peers.bdevperf_version);
  fmt::print(out_, "each {:.3g} s in {} rounds, alternating; medians; all on core {}\n", facts.plan.seconds,
             facts.plan.rounds, facts.plan.core);
  if (const std::string why = system_calls_uncounted(); !why.empty())
    fmt::print(out_, "system calls are not counted: {}\n", why);
}

void BlockTable::progress(const Workload& workload, const Way& way, unsigned step) {
  if (!terminal_) return;
  clear_progress();
  const double spent = seconds_now() - started_;
  const double left = step != 0 ? spent / step * (steps_ - std::min(step, steps_)) : 0;
  fmt::print(out_, "{:3.0f} %  {}: {} …  {:.0f} s left", 100.0 * step / std::max(1u, steps_),
             workload.title(), way.name, left);
  std::fflush(out_);
}

std::string BlockTable::reference_text(const Workload& workload, std::string_view way) {
  const Reference* const reference = reference_of(workload, way);
  if (reference == nullptr) return "";
  auto at = std::ranges::find(sources_, reference->source);
  if (at == sources_.end()) at = sources_.insert(at, reference->source);
  return fmt::format("{}: {} [{}]", reference->short_source, rate(reference->iops),
                     at - sources_.begin() + 1);
}

void BlockTable::print_row(const Row& row, std::string_view reference) {
  const std::string& name = row.way->name;
  if (!row.measured()) {
    fmt::print(out_, "  {:<25} {}{}{}\n", name, row.failed.empty() ? "not measured" : row.failed,
               reference.empty() ? "" : "  ", reference);
    return;
  }
  const Quartiles ratio = ratio_to_peer(row, iops, true);
  const double poll_us = median(row, kernel_poll_us);
  const std::string instructions =
      std::isfinite(row.instructions) ? fmt::format("{:.0f} instr.  ", row.instructions) : "";
  const std::string poll = poll_us > 0.005 ? fmt::format("+{} us kernel poll  ", digits(poll_us)) : "";
  fmt::print(
      out_, line_format, name, rate(median(row, iops)), digits(mb_per_s(row)), digits(median(row, p50_us)),
      digits(median(row, p99_us)), digits(median(row, p999_us)), digits(median(row, cpu_us)),
      digits(median(row, system_calls)), digits(median(row, allocations_each)), ratio_text(ratio.median),
      std::isfinite(ratio.low) ? fmt::format("({:.2f} to {:.2f})", ratio.low, ratio.high) : "",
      ratio_text(ratio_to_peer(row, cpu_us, false).median), instructions + poll + std::string(reference));
}

void BlockTable::add(const Workload& workload, std::span<const Row> rows) {
  clear_progress();
  fmt::print(out_, "\n{}\n", workload.title());
  fmt::print(out_, line_format, "", "IOPS", "MB/s", "p50 us", "p99 us", "p99.9 us", "CPU us", "calls",
             "allocs", "ratio", "quartiles", "CPU x", "reference");
  for (const Row& row : rows) print_row(row, reference_text(workload, row.way->name));
  for (const Reference& each : references(workload)) {
    if (std::string_view(each.way).starts_with("SPDK "))
      fmt::print(out_, "  {:<25} {}\n", each.way, reference_text(workload, each.way));
  }
  std::fflush(out_);
}

void BlockTable::end(std::span<const std::vector<Row>> all) {
  clear_progress();
  fmt::print(out_, "\n");
  for (const std::vector<Row>& rows : all) {
    fmt::print(out_, "{}{}", layer_cost(rows, "pass(null)"), layer_cost(rows, "pass(null), serving"));
  }
  fmt::print(
      out_,
      "CPU, system calls and allocations are for each I/O; ratio and CPU x are to the fastest peer of the "
      "same kind, above 1 where Ashlar is better.\n");
  std::vector<std::string> said;
  for (const std::vector<Row>& rows : all) {
    for (const Row& row : rows) {
      if (row.figures.empty()) continue;
      for (const std::string& note : row.figures.front().notes) {
        const std::string line = fmt::format("{}: {}", row.way->name, note);
        if (std::ranges::find(said, line) != said.end()) continue;
        said.push_back(line);
        fmt::print(out_, "{}\n", line);
      }
    }
  }
  for (std::size_t i = 0; i < sources_.size(); ++i) fmt::print(out_, "[{}] {}\n", i + 1, sources_[i]);
}

}  // namespace ashlar::bench::block
