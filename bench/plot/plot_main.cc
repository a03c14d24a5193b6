/// 1. Read the rows; those of one group ("kv-ycsb") are one picture, DIR/kv-ycsb.svg. 2. A group's picture
/// has two bars for each case, ours above the peer's, on a scale of that case, with quartiles as whiskers,
/// and the ratio. 3. A case that was watched over time has a picture of its own beside it,
/// DIR/kv-overwrite-leveled.svg: throughput above, the longest wait of each stretch below.

#include "bench/plot/plot_main.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "bench/plot/bars.h"
#include "bench/plot/timeline.h"

namespace ashlar::bench {

namespace {

using Json = nlohmann::ordered_json;
using plot::Bar;
using plot::BarRow;

std::string group_of(const std::string& name) {
  return name.substr(0, name.find('/'));
}

Bar bar_of(const Json& row, const std::string& side) {
  if (!row.contains(side) || row[side].is_null()) return {};
  const auto quartile = [&](const std::string& name) {
    return row.contains(name) && row[name].is_number() ? row[name].get<double>() : row[side].get<double>();
  };
  return {.value = row[side], .low = quartile(side + "_low"), .high = quartile(side + "_high")};
}

BarRow bars_of(const Json& row) {
  const std::string name = row["case"];
  BarRow bars{.name = name.contains('/') ? name.substr(name.find('/') + 1) : name,
              .unit = row["unit"],
              .peer_name = row["peer_name"].is_string() ? row["peer_name"].get<std::string>() : "",
              .ours = bar_of(row, "ashlar"),
              .peer = bar_of(row, "peer")};
  if (row["ratio"].is_number()) bars.ratio = {row["ratio"], row["iqr_low"], row["iqr_high"]};
  if (row["target"].is_number()) bars.target = row["target"];
  return bars;
}

std::vector<plot::Moment> moments_of(const Json& row, const char* side) {
  std::vector<plot::Moment> moments;
  if (!row.contains(side) || row[side].is_null()) return moments;
  for (const Json& each : row[side]) moments.push_back({each[0], each[1], each[2]});
  return moments;
}

bool write(const std::filesystem::path& path, const std::string& picture) {
  std::ofstream file(path);
  file << picture;
  file.close();
  if (!file.good()) fmt::print(stderr, "ashlar-bench: cannot write {}\n", path.string());
  return file.good();
}

/// Whether a line over time says more than a bar: long enough, and asked for.
bool over_time(const Json& row) {
  constexpr std::size_t moments_least = 8;
  return row.contains("ashlar_series") && row["ashlar_series"].size() >= moments_least &&
         group_of(row["case"]) == "kv-overwrite";
}

bool draw(const std::vector<Json>& rows, const std::filesystem::path& directory) {
  std::map<std::string, std::vector<BarRow>> groups;
  std::string machine;
  bool good = true;
  for (const Json& row : rows) {
    const std::string name = row["case"];
    machine = row["versions"]["machine"];
    groups[group_of(name)].push_back(bars_of(row));
    if (!over_time(row)) continue;
    std::string file = name;
    std::ranges::replace(file, '/', '-');
    good &= write(directory / (file + ".svg"),
                  plot::render_timeline(name, machine, moments_of(row, "ashlar_series"),
                                        moments_of(row, "peer_series"), bars_of(row).peer_name));
  }
  for (const auto& [name, bars] : groups)
    good &= write(directory / (name + ".svg"), plot::render_bars(name, machine, bars));
  return good;
}

}  // namespace

int plot_main(int argc, char** argv) {
  CLI::App app("Draws what --json wrote: a picture for each group of cases.");
  std::string rows_path, directory;
  app.add_option("ROWS", rows_path, "The file of JSON lines")->required()->check(CLI::ExistingFile);
  app.add_option("DIR", directory, "Where the pictures go; made where it is missing")->required();
  CLI11_PARSE(app, argc, argv);

  std::vector<Json> rows;
  std::ifstream file(rows_path);
  for (std::string line; std::getline(file, line);) {
    if (line.empty()) continue;
    Json row = Json::parse(line, nullptr, false);
    if (row.is_discarded() || !row.contains("case")) {
      fmt::print(stderr, "ashlar-bench: {}: line {} is no row of --json\n", rows_path, rows.size() + 1);
      return 2;
    }
    rows.push_back(std::move(row));
  }
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  return draw(rows, directory) ? 0 : 2;
}

}  // namespace ashlar::bench
