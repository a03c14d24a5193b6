/// ashlar-bench block: see docs/performance.md, "Block devices".
///
/// 1. Find the peers, and choose the ways and workloads that were asked for.
/// 2. For each workload, each contest by itself, so that the page cache of one is not the noise of the other:
/// in
///    each round, one way after the other.
/// 3. Print a workload's rows when it is done; the JSON and the chart with it.

#include "bench/block/block_main.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <fstream>
#include <optional>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "ashlar/base/units.h"
#include "bench/block/block_report.h"
#include "bench/block/chart.h"
#include "bench/block/measure.h"
#include "bench/machine.h"

namespace ashlar::bench::block {

namespace {

struct BlockOptions {
  std::string target;
  std::vector<std::string> kinds;
  std::vector<std::string> specs;
  std::string peers = "all";
  std::string bdevperf;
  std::uint64_t size_bytes = 1_GiB;
  std::string json, chart;
  bool destroy = false, quick = false, instructions = false;
  Plan plan;
};

bool contains(const std::vector<std::string>& list, const std::string& word) {
  return std::ranges::find(list, word) != list.end();
}

/// The ways that were asked for; the peers of contests that nobody enters stay at home.
std::vector<Way> choose_ways(const BlockOptions& options, const Peers& peers) {
  std::vector<Way> ways = standard_ways(peers);
  for (const std::string& spec : options.specs) {
    Way own;
    own.name = own.kind = own.spec = spec;
    ways.insert(ways.begin(), std::move(own));
  }
  std::erase_if(ways, [&](const Way& way) {
    if (options.target.empty() && reaches_disk(way)) return true;
    if (way.engine != Engine::ashlar || contains(options.specs, way.kind)) return false;
    return !options.kinds.empty() && !contains(options.kinds, way.kind);
  });
  const auto entered = [&, chosen = ways](Contest contest) {
    return std::ranges::any_of(
        chosen, [&](const Way& way) { return way.engine == Engine::ashlar && way.contest == contest; });
  };
  std::erase_if(ways, [&](const Way& way) { return !entered(way.contest); });
  return ways;
}

/// The whole run.
class Comparison {
 public:
  Comparison(const BlockOptions& options, std::optional<TargetFile> file, Peers peers)
      : options_(options), file_(std::move(file)), table_(stdout), ways_(choose_ways(options, peers)) {
    facts_ = {.target = "no target", .plan = options.plan, .peers = std::move(peers)};
    if (file_) {
      target_ = file_->target();
      facts_.target = fmt::format("{} ({}), {}", target_.path, file_->what(), format_bytes(target_.bytes));
    }
    for (const Workload& each : workloads()) {
      if (options.quick && !each.quick) continue;
      if (!ways_for(each).empty()) chosen_.push_back(&each);
    }
  }

  /// False where one of our own ways failed without being refused a feature.
  void run(std::FILE* json) {
    unsigned steps = 0;
    for (const Workload* each : chosen_) steps += static_cast<unsigned>(ways_for(*each).size());
    table_.begin(facts_, steps * options_.plan.rounds);
    for (const Workload* each : chosen_) {
      std::vector<Row> rows = run_workload(*each);
      find_best_peers(rows);
      table_.add(*each, rows);
      for (const Row& row : rows) {
        if (json != nullptr) fmt::print(json, "{}\n", to_json(row, facts_));
      }
      if (json != nullptr) std::fflush(json);
      done_.push_back(std::move(rows));
      if (!options_.chart.empty()) std::ofstream(options_.chart) << chart();
    }
    table_.end(done_);
  }

 private:
  std::vector<const Way*> ways_for(const Workload& workload) const {
    std::vector<const Way*> chosen;
    for (const Way& way : ways_) {
      const bool asked = through_page_cache(way) ? workload.cached : reaches_disk(way) || workload.ceiling;
      const bool allowed = !reaches_disk(way) || !workload.writes() || target_.writable;
      if (asked && allowed) chosen.push_back(&way);
    }
    return chosen;
  }

  std::vector<Row> run_workload(const Workload& workload) {
    std::vector<Row> rows;
    for (const Contest contest :
         {Contest::direct, Contest::cached, Contest::mapped, Contest::null, Contest::memory}) {
      std::vector<const Way*> ways = ways_for(workload);
      std::erase_if(ways, [&](const Way* way) { return way->contest != contest; });
      if (ways.empty()) continue;
      const bool cached = through_page_cache(*ways.front());
      if (cached && workload.read_percent != 0) file_->into_page_cache();
      std::vector<Row> measured =
          measure(workload, ways, target_, facts_.peers, options_.plan,
                  [&](const Way& way, unsigned) { table_.progress(workload, way, step_++); });
      if (cached) file_->out_of_page_cache();
      if (options_.instructions && workload.queue_depth == 32 && !workload.writes()) {
        for (Row& row : measured) {
          if (row.measured())
            row.instructions = count_instructions(*row.way, workload, target_, facts_.peers, options_.plan);
        }
      }
      rows.insert(rows.end(), std::make_move_iterator(measured.begin()),
                  std::make_move_iterator(measured.end()));
    }
    return rows;
  }

  /// Of 4 KiB random reads: of the disk itself where there is one, else of the ceilings. The page cache is
  /// another world, and would squeeze both into corners.
  std::string chart() const {
    std::vector<ChartLine> lines;
    const auto on_disk = [](const Way& way) { return way.contest == Contest::direct; };
    const bool disk = std::ranges::any_of(ways_, on_disk);
    for (const Way& way : ways_) {
      if (disk != on_disk(way)) continue;
      lines.push_back({.name = way.name, .dashed = way.engine != Engine::ashlar, .points = {}});
      for (const std::vector<Row>& rows : done_) {
        for (const Row& row : rows) {
          if (row.way != &way || !row.measured()) continue;
          if (row.workload->writes() || !row.workload->random || row.workload->io_bytes != 4096) continue;
          lines.back().points.push_back(
              {median(row, iops), median(row, p50_us),
               lines.size() == 1 ? fmt::format("QD {}", row.workload->queue_depth) : ""});
        }
      }
    }
    return render_chart("4 KiB random reads", fmt::format("{}; {}", facts_.target, machine_name()), lines);
  }

  const BlockOptions& options_;
  std::optional<TargetFile> file_;
  Target target_;
  RunFacts facts_;
  BlockTable table_;
  std::vector<Way> ways_;
  std::vector<const Workload*> chosen_;
  std::vector<std::vector<Row>> done_;
  unsigned step_ = 0;
};

void declare(CLI::App& app, BlockOptions& options) {
  app.add_option(
      "--target", options.target,
      "A file, made and removed where there is none, or a block device; without one, only ceilings");
  app.add_option("--kinds", options.kinds, "Of uring, direct, mmap, null, pass, ram; all by default")
      ->delimiter(',');
  app.add_option("--spec", options.specs, "Also this spec string, in which % stands for the target");
  app.add_option("--peers", options.peers, "Of fio, spdk; or all, or none")->capture_default_str();
  app.add_option("--bdevperf", options.bdevperf, "Where SPDK's bdevperf is, if not in the PATH");
  app.add_option("--seconds", options.plan.seconds, "Of measuring, for each way and workload")
      ->check(CLI::Range(0.01, 3600.0))
      ->capture_default_str();
  app.add_option("--rounds", options.plan.rounds, "Into which that is cut")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--size", options.size_bytes, "How much of the target is used")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(std::uint64_t{1} << 20, std::uint64_t{1} << 50))
      ->default_str("1GiB");
  app.add_option("--json", options.json,
                 "Also write a line of JSON for each row to this file (- for stdout)");
  app.add_option("--chart", options.chart, "Also draw latency against IOPS into this SVG file");
  app.add_flag("--destroy", options.destroy, "Write to a target that exists: its contents are lost");
  app.add_flag("--instructions", options.instructions, "Count instructions at QD 32 (callgrind: slow)");
  app.add_flag("--quick", options.quick, "Only see that everything runs");
}

}  // namespace

int block_main(int argc, char** argv) {
  CLI::App app(
      "Every way to reach a disk, side by side with fio's and SPDK's; docs/performance.md has the method.");
  BlockOptions options;
  declare(app, options);
  CLI11_PARSE(app, argc, argv);
  if (options.quick) {
    options.plan.seconds = std::min(options.plan.seconds, 0.1);
    options.plan.rounds = 1;
    options.size_bytes = std::min(options.size_bytes, 8_MiB);
  }
  options.plan.core = cores().back();
  options.plan.poll_core = cores().front();

  std::optional<TargetFile> file;
  if (!options.target.empty()) {
    auto opened = TargetFile::open(options.target, options.size_bytes, options.destroy);
    if (!opened) {
      fmt::print(stderr, "ashlar-bench: {}: {}\n", options.target, opened.error().to_string());
      return 2;
    }
    file.emplace(*std::move(opened));
  }
  std::FILE* const json = options.json.empty()  ? nullptr
                          : options.json == "-" ? stdout
                                                : std::fopen(options.json.c_str(), "w");
  if (json == nullptr && !options.json.empty()) {
    fmt::print(stderr, "ashlar-bench: cannot write {}\n", options.json);
    return 2;
  }
  Comparison(options, std::move(file), find_peers(options.peers, options.bdevperf)).run(json);
  if (json != nullptr && json != stdout) std::fclose(json);
  return 0;
}

}  // namespace ashlar::bench::block
