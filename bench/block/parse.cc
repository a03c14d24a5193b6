// What the programs print. Nothing here trusts it: a program may fail, print a warning first, or be of
// another version.

#include <sstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "bench/block/way.h"

namespace ashlar::bench::block {

namespace {

using Json = nlohmann::ordered_json;

double number(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number()) return std::numeric_limits<double>::quiet_NaN();
  return found->get<double>();
}

const Json& member(const Json& object, const char* key) {
  static const Json none = Json::object();
  const auto found = object.find(key);
  return found != object.end() && found->is_object() ? *found : none;
}

/// The object that begins a line: messages may stand before it.
Json json_in(const std::string& output) {
  const auto at = output.starts_with('{') ? 0 : output.find("\n{");
  Json json = at == std::string::npos ? Json() : Json::parse(output.substr(at), nullptr, false);
  return json.is_object() ? json : Json::object();
}

/// The line that says best what went wrong.
Failed failure(const std::string& output) {
  std::string last;
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("fio: ") && !line.contains("pid=")) return {line.substr(5)};
    if (line.find_first_not_of(" {}\t") != std::string::npos) last = line;
  }
  return {last.empty() ? "it printed nothing" : last};
}

}  // namespace

std::expected<Figures, Failed> parse_job(const std::string& output) {
  const Json json = json_in(output);
  if (json.contains("error") && json["error"].is_string())
    return std::unexpected(Failed{json["error"].get<std::string>()});
  const double ios = number(json, "ios"), seconds = number(json, "seconds");
  if (!(ios > 0) || !(seconds > 0)) return std::unexpected(failure(output));
  Figures figures{.iops = ios / seconds,
                  .p50_us = number(json, "p50_us"),
                  .p99_us = number(json, "p99_us"),
                  .p999_us = number(json, "p999_us"),
                  .allocations = number(json, "allocations") / ios,
                  .notes = {}};
  if (const auto notes = json.find("notes"); notes != json.end() && notes->is_array()) {
    for (const Json& note : *notes) {
      if (note.is_string()) figures.notes.push_back(note);
    }
  }
  return figures;
}

std::expected<Figures, Failed> parse_fio(const std::string& output) {
  const Json json = json_in(output);
  const auto jobs = json.find("jobs");
  if (jobs == json.end() || !jobs->is_array() || jobs->empty() || number((*jobs)[0], "error") != 0)
    return std::unexpected(failure(output));
  const Json& mixed = member((*jobs)[0], "mixed");
  const Json& percentiles = member(member(mixed, "lat_ns"), "percentile");
  Figures figures{.iops = number(mixed, "iops"),
                  .p50_us = number(percentiles, "50.000000") / 1e3,
                  .p99_us = number(percentiles, "99.000000") / 1e3,
                  .p999_us = number(percentiles, "99.900000") / 1e3,
                  .notes = {}};
  if (!(figures.iops > 0)) return std::unexpected(failure(output));
  return figures;
}

/// " Bench0              :       1.00 13600000.00   53125.00       0.00     0.00       2.35 …" and, with
/// -l, lines " 50.00000% :     2.345us".
std::expected<Figures, Failed> parse_bdevperf(const std::string& output) {
  Figures figures;
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name, colon;
    double first = 0, second = 0;
    words >> name >> colon;
    if (colon != ":") continue;
    if (name == "Bench0" && words >> first >> second) figures.iops = second;
    if (!name.ends_with('%') || !(words >> first)) continue;
    const double percent = std::strtod(name.c_str(), nullptr);
    if (percent == 50) figures.p50_us = first;
    if (percent == 99) figures.p99_us = first;
    if (percent > 99.89 && percent < 99.91) figures.p999_us = first;
  }
  if (!(figures.iops > 0)) return std::unexpected(failure(output));
  return figures;
}

std::expected<Figures, Failed> parse_output(const Way& way, const std::string& output) {
  switch (way.engine) {
    case Engine::ashlar: return parse_job(output);
    case Engine::fio: return parse_fio(output);
    case Engine::spdk: return parse_bdevperf(output);
  }
  return std::unexpected(Failed{"no such engine"});
}

}  // namespace ashlar::bench::block
