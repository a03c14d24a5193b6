#include "bench/report.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "ashlar/base/bytes.h"
#include "ashlar/base/checksum.h"
#include "bench/machine.h"

namespace ashlar::bench {

namespace {

using Json = nlohmann::ordered_json;

std::vector<double> column(const std::vector<Sample>& samples, double Sample::* field) {
  std::vector<double> values;
  for (const Sample& sample : samples) {
    if (!std::isnan(sample.*field)) values.push_back(sample.*field);
  }
  return values;
}

Comparison compare(const Row& row, double Sample::* field, bool more_is_better) {
  const std::vector<double> ours = column(row.ashlar, field);
  const std::vector<double> theirs = column(row.peer, field);
  return {.ashlar = quartiles(ours),
          .peer = quartiles(theirs),
          .ratio = quartiles(ratios(ours, theirs, more_is_better)),
          .known = !ours.empty() && !theirs.empty(),
          .measured = !ours.empty()};
}

/// Whether a case's targets are met, or that there is nothing to judge.
enum class Verdict : std::uint8_t { none, met, missed };

Verdict judge(const Row& row) {
  const Case& what = *row.what;
  const Comparison figures = compare(row, &Sample::value, what.more_is_better);
  const Comparison cpu = compare(row, &Sample::server_cpu_us, false);
  bool judged = false, met = true;
  const auto check = [&](bool possible, bool good) {
    judged |= possible;
    met &= !possible || good;
  };
  check(what.target != 0 && figures.known, figures.ratio.median >= what.target);
  check(what.cpu_target != 0 && cpu.known, cpu.ratio.median >= what.cpu_target);
  check(what.at_most != 0, figures.ashlar.median <= what.at_most);
  check(what.beyond_peer != 0 && figures.known,
        figures.ashlar.median <= figures.peer.median + what.beyond_peer);
  return !judged ? Verdict::none : met ? Verdict::met : Verdict::missed;
}

/// "1.50", a ratio, or "<=1.00", a bound on our own figure.
std::string target_text(const Case& what) {
  if (what.target != 0) return fmt::format("{:.2f}", what.target);
  if (what.at_most != 0) return fmt::format("<={:.2f}", what.at_most);
  if (what.beyond_peer != 0) return fmt::format("peer+{:g}", what.beyond_peer);
  return "";
}

/// Of what else was counted, what has this name.
std::vector<double> counted(const std::vector<Sample>& samples, const std::string& name) {
  std::vector<double> values;
  for (const Sample& sample : samples) {
    for (const auto& [each, value] : sample.columns) {
      if (each == name && !std::isnan(value)) values.push_back(value);
    }
  }
  return values;
}

/// Medians of what else was counted, in the order of the first sample.
Json columns_of(const std::vector<Sample>& samples) {
  Json columns = Json::object();
  for (const auto& [name, first] : samples.front().columns) {
    std::vector<double> values = counted(samples, name);
    columns[name] = values.empty() ? Json() : Json(quartiles(std::move(values)).median);
  }
  return columns;
}

/// Of the measurement whose figure is the median one: [[seconds, operations per second, longest wait in ms],
/// …].
Json series_of(const std::vector<Sample>& samples) {
  std::vector<const Sample*> order;
  for (const Sample& sample : samples) order.push_back(&sample);
  std::ranges::sort(order, {}, &Sample::value);
  Json series = Json::array();
  for (const Point& each : order[order.size() / 2]->series)
    series.push_back({each.seconds, each.rate, each.longest_ms});
  return series;
}

std::string short_number(double value) {
  if (value == 0 || !std::isfinite(value)) return fmt::format("{}", value);
  const int whole_digits = static_cast<int>(std::floor(std::log10(std::abs(value)))) + 1;
  return fmt::format("{:.{}f}", value, std::clamp(4 - whole_digits, 0, 4));
}

}  // namespace

std::string to_json(const Row& row) {
  const Comparison figures = compare(row, &Sample::value, row.what->more_is_better);
  const auto known = [&](double value) { return figures.known ? Json(value) : Json(); };

  Json configuration = Json::object();
  for (const auto& [key, value] : row.configuration) configuration[key] = value;
  const std::string text = configuration.dump();

  Json line = {{"case", row.what->name},
               {"ashlar", figures.ashlar.median},
               {"peer", known(figures.peer.median)},
               {"peer_name", row.what->peer_name.empty() ? Json() : Json(row.what->peer_name)},
               {"unit", row.what->unit},
               {"ratio", known(figures.ratio.median)},
               {"iqr_low", known(figures.ratio.low)},
               {"iqr_high", known(figures.ratio.high)},
               {"ashlar_low", figures.ashlar.low},
               {"ashlar_high", figures.ashlar.high},
               {"peer_low", known(figures.peer.low)},
               {"peer_high", known(figures.peer.high)}};
  const Comparison cpu = compare(row, &Sample::server_cpu_us, false);
  if (cpu.measured) {
    line["ashlar_cpu_us"] = cpu.ashlar.median;
    line["peer_cpu_us"] = cpu.known ? Json(cpu.peer.median) : Json();
    line["cpu_ratio"] = cpu.known ? Json(cpu.ratio.median) : Json();
  }
  if (!row.ashlar.front().columns.empty()) {
    line["ashlar_columns"] = columns_of(row.ashlar);
    line["peer_columns"] = row.peer.empty() ? Json() : columns_of(row.peer);
  }
  if (!row.ashlar.front().series.empty()) {
    line["ashlar_series"] = series_of(row.ashlar);
    line["peer_series"] = row.peer.empty() ? Json() : series_of(row.peer);
  }
  const auto given = [](double value) { return value != 0 ? Json(value) : Json(); };
  line["target"] = given(row.what->target);
  line["cpu_target"] = given(row.what->cpu_target);
  line["at_most"] = given(row.what->at_most);
  line["beyond_peer"] = given(row.what->beyond_peer);
  const Verdict verdict = judge(row);
  line["met"] = verdict != Verdict::none ? Json(verdict == Verdict::met) : Json();
  line["pairs"] = row.ashlar.size();
  line["versions"] = {{"ashlar", ASHLAR_VERSION},
                      {"peer", row.peer_version.empty() ? Json() : Json(row.peer_version)},
                      {"compiler", __VERSION__},
                      {"machine", machine_name()}};
  line["configuration"] = configuration;
  line["configuration_hash"] = fmt::format("{:016x}", xxh3(as_bytes(text)));
  return line.dump();
}

Table::Table(std::FILE* out, const std::vector<const Case*>& cases)
    : out_(out), terminal_(::isatty(::fileno(out)) == 1), name_width_(4) {
  for (const Case* each : cases) name_width_ = std::max(name_width_, static_cast<int>(each->name.size()));
  fmt::print(out_, "{:{}}  {:>10} {:>10}  {:<11} {:>7}  {:<15} {:>7}  {}\n", "case", name_width_, "ashlar",
             "peer", "unit", "ratio", "quartiles", "target", "peer");
}

void Table::clear_progress() {
  if (terminal_) fmt::print(out_, "\r\x1b[K");
}

void Table::progress(const Case& running, unsigned pair, unsigned pairs) {
  if (!terminal_) return;
  clear_progress();
  fmt::print(out_, "{:{}}  {} of {} pairs …", running.name, name_width_, pair, pairs);
  std::fflush(out_);
}

void Table::add(const Row& row) {
  clear_progress();
  const Case& what = *row.what;
  std::string remarks = what.peer_name;
  if (!what.peer_name.empty() && row.peer.empty()) remarks += " (not here)";
  if (const Verdict verdict = judge(row); verdict != Verdict::none) {
    remarks += verdict == Verdict::met ? ", met" : ", missed";
  }
  print_line(what.name, compare(row, &Sample::value, what.more_is_better), what.unit, target_text(what),
             remarks);
  const Comparison cpu = compare(row, &Sample::server_cpu_us, false);
  const std::string cpu_target = what.cpu_target != 0 ? fmt::format("{:.2f}", what.cpu_target) : "";
  if (cpu.measured) print_line("", cpu, "CPU us/op", cpu_target, "of the server");
  for (const auto& [name, ignored] : row.ashlar.front().columns) print_column(row, name);
  std::fflush(out_);
}

/// One of the other things that were counted, both sides' medians. Few of anything is better.
void Table::print_column(const Row& row, const std::string& name) {
  const std::vector<double> ours = counted(row.ashlar, name), theirs = counted(row.peer, name);
  const Comparison figures{.ashlar = quartiles(ours),
                           .peer = quartiles(theirs),
                           .ratio = quartiles(ratios(ours, theirs, false)),
                           .known = !theirs.empty(),
                           .measured = true};
  print_line("", figures, name, "", "");
}

void Table::print_line(const std::string& name, const Comparison& figures, const std::string& unit,
                       const std::string& target, const std::string& remarks) {
  fmt::print(out_, "{:{}}  {:>10} {:>10}  {:<11} {:>7}  {:<15} {:>7}  {}\n", name, name_width_,
             short_number(figures.ashlar.median), figures.known ? short_number(figures.peer.median) : "-",
             unit, figures.known ? fmt::format("{:.2f}", figures.ratio.median) : "-",
             figures.known ? fmt::format("{:.2f} to {:.2f}", figures.ratio.low, figures.ratio.high) : "",
             target, remarks);
}

void Table::add_failure(const Case& failed, const std::string& why) {
  clear_progress();
  fmt::print(out_, "{:{}}  failed: {}\n", failed.name, name_width_, why);
  std::fflush(out_);
}

}  // namespace ashlar::bench
