/// A measurement, step by step:
///
///  1. The data set is loaded, in a process of its own, where it is not at hand.
///  2. A process is started, bound to the plan's cores; it opens the engine, runs the plan, closes the
///  engine.
///  3. It says what came of it; meanwhile the parent notes how much space the data takes.

#include "bench/kv/contest.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "ashlar/base/units.h"
#include "bench/kv/child.h"
#include "bench/kv/data.h"
#include "bench/kv/meter.h"
#include "bench/kv/raw_reads.h"
#include "bench/kv/threads.h"
#include "bench/machine.h"

namespace ashlar::bench {

namespace {

constexpr std::uint64_t keys_least = 500;
constexpr std::size_t key_bytes = 12;
constexpr std::uint64_t map_slack_bytes = 1u << 30;

void bind_to_last_cores(unsigned count) {
  cpu_set_t set;
  CPU_ZERO(&set);
  const auto& usable = cores();
  for (std::size_t i = 0; i < std::min<std::size_t>(count, usable.size()); ++i)
    CPU_SET(usable[usable.size() - 1 - i], &set);
  ::sched_setaffinity(0, sizeof set, &set);
}

/// Loads all keys in no order, in batches, and leaves all in tables.
Plan loading(const Plan& plan) {
  Plan load;
  load.keys = plan.keys;
  load.value_bytes = plan.value_bytes;
  load.mix = {.updates = 100};
  load.choice = Choice::shuffled;
  load.batch =
      static_cast<unsigned>(std::clamp<std::size_t>((64u << 10) / (plan.value_bytes + key_bytes), 1, 100));
  load.operations = plan.keys + load.batch;  // the last batch begins again from the front
  return load;
}

/// One side of a case.
class Side {
 public:
  Side(const KvCase& wanted, const BenchOptions& options, bool ours, const EngineKind* kind)
      : wanted_(wanted), options_(options), ours_(ours), kind_(kind), plan_(wanted.plan) {
    if (!ours && wanted.peer_plan != nullptr) plan_ = wanted.peer_plan(plan_);
  }

  Result<Sample> measure() {
    const DataSet data = TRY(prepare_data());
    const bool count_system_calls = std::exchange(first_, false);
    std::uint64_t peak = 0;
    const auto look = [&] { peak = std::max(peak, allocated_bytes(data->path())); };
    Sample sample = TRY(in_child([&] { return run(data->path(), count_system_calls); },
                                 wanted_.amplification ? look : std::function<void()>()));
    if (wanted_.amplification) add_space(sample, allocated_bytes(data->path()), peak);
    return sample;
  }

 private:
  Result<DataSet> prepare_data() {
    if (wanted_.source == Source::empty || raw())
      return std::make_shared<const ScratchDirectory>(options_.data);
    const unsigned shelf = ours_ ? 0 : 1;
    const auto load = [&](const std::string& directory) -> Result<> {
      TRY(in_child([&] { return load_into(directory); }));
      return {};
    };
    return data_set(shelf, options_.data, data_name(), load);
  }

  bool raw() const noexcept { return !ours_ && wanted_.peer != PeerKind::engine; }
  bool by_threads() const noexcept { return !ours_ || wanted_.ours_by_threads; }

  /// What the files depend on.
  std::string data_name() const {
    const auto of_engine =
        ours_
            ? fmt::format("block {} ordered {}", wanted_.ours.engine.table.block_bytes, wanted_.ours.ordered)
            : fmt::format("{} {} direct {}", kind_->engine, kind_->setup, wanted_.direct);
    return fmt::format("{} keys {} bytes {} partitions {}", of_engine, plan_.keys, plan_.value_bytes,
                       wanted_.ours.serving(plan_.shards));
  }

  EngineOptions engine_options(const std::string& directory) const {
    return {.directory = directory,
            .cache_bytes = ours_ ? wanted_.ours.engine.cache_bytes : wanted_.peer_cache_bytes,
            .map_bytes = 4 * plan_.keys * (key_bytes + plan_.value_bytes) + map_slack_bytes,
            .direct = wanted_.direct,
            .sessions = plan_.workers};
  }
  AshlarSetup setup() const {
    AshlarSetup ours = wanted_.ours;
    ours.engine.partitions = ours.serving(plan_.shards);
    return ours;
  }

  Result<Sample> load_into(const std::string& directory) const {
    bind_to_last_cores(static_cast<unsigned>(cores().size()));
    const Plan load = loading(plan_);
    Meter meter(false);
    if (ours_) {
      Plan ours = load;
      ours.shards = plan_.shards;
      TRY(run_by_tasks(directory, setup(), ours, meter));
      TRY(with_store(directory, setup(), plan_.shards, plan_.keys,
                     [](lsm::LsmStore& store) { return settle_store(store, true); }));
      return Sample{};
    }
    const auto engine = TRY(kind_->open(*kind_, engine_options(directory)));
    TRY(run_by_threads(*engine, load, meter));
    TRY(engine->settle());
    return Sample{};
  }

  Result<Sample> run(const std::string& directory, bool count_system_calls) const {
    bind_to_last_cores(plan_.cores);
    Meter meter(count_system_calls);
    const Outcome outcome = TRY(run_plan(directory, meter));
    // The latest keys of other workers may not be there yet; all others are.
    if (outcome.missing != 0 && plan_.choice != Choice::latest)
      return fail(Errc::corrupt, "a key that was put");
    Sample sample{.value = figure_of(outcome)};
    const bool counted = ours_ || (kind_ != nullptr && kind_->counts_allocations);
    sample.columns = meter.columns(outcome.operations, counted);
    if (plan_.timed) add_latencies(sample, outcome);
    if (plan_.timed && outcome.engine_wait_ns != 0)
      sample.columns.emplace_back("engine_wait_us", static_cast<double>(outcome.engine_wait_ns) * 1e-3);
    if (plan_.timed && outcome.log_wait_ns != 0)
      sample.columns.emplace_back("log_wait_us", static_cast<double>(outcome.log_wait_ns) * 1e-3);
    if (wanted_.amplification) {
      const double user =
          static_cast<double>(outcome.operations) * static_cast<double>(key_bytes + plan_.value_bytes);
      sample.columns.emplace_back("write_amplification", meter.written_bytes() / user);
    }
    return sample;
  }

  Result<Outcome> run_plan(const std::string& directory, Meter& meter) const {
    if (raw()) return run_raw_reads(directory, plan_, wanted_.peer == PeerKind::raw_polled_reads, meter);
    if (!by_threads()) return run_by_tasks(directory, setup(), plan_, meter);
    const auto engine = TRY(kind_->open(*kind_, engine_options(directory)));
    return run_by_threads(*engine, plan_, meter);
  }

  double figure_of(const Outcome& outcome) const {
    switch (wanted_.figure) {
      case Figure::rate: return outcome.rate();
      case Figure::ns_each:
        return outcome.ns_each != 0 ? outcome.ns_each
                                    : outcome.seconds * 1e9 / static_cast<double>(outcome.operations);
      case Figure::p50_us: return static_cast<double>(outcome.latency_ns.percentile(50)) * 1e-3;
    }
    return 0;
  }

  static void add_latencies(Sample& sample, const Outcome& outcome) {
    const Histogram::Summary summary = outcome.latency_ns.summary();
    const auto add = [&](const char* name, std::uint64_t ns) {
      sample.columns.emplace_back(name, static_cast<double>(ns) * 1e-3);
    };
    add("p50_us", summary.p50);
    add("p99_us", summary.p99);
    add("p999_us", summary.p999);
    add("longest_us", summary.max);
    double at = 0;
    for (const Interval& each : outcome.intervals) {
      sample.series.push_back({.seconds = at += interval_seconds,
                               .rate = static_cast<double>(each.operations) / interval_seconds,
                               .longest_ms = static_cast<double>(each.longest_ns) * 1e-6});
    }
  }

  void add_space(Sample& sample, std::uint64_t at_end, std::uint64_t peak) const {
    const double user = static_cast<double>(plan_.keys) * static_cast<double>(key_bytes + plan_.value_bytes);
    sample.columns.emplace_back("space_amplification", static_cast<double>(at_end) / user);
    sample.columns.emplace_back("space_amplification_peak",
                                static_cast<double>(std::max(at_end, peak)) / user);
  }

  KvCase wanted_;
  BenchOptions options_;
  bool ours_;
  const EngineKind* kind_;
  Plan plan_;
  bool first_ = true;
};

std::string shape_of(const Plan& plan) {
  const Mix& mix = plan.mix;
  constexpr const char* choices[] = {"uniform", "sequential", "each once, in no order",
                                     "Zipfian 0.99, scattered", "latest"};
  std::string text = fmt::format("reads {} updates {} inserts {} scans {} read-modify-writes {} %, {}",
                                 mix.reads, mix.updates, mix.inserts, mix.scans, mix.read_modify_writes,
                                 choices[static_cast<unsigned>(plan.choice)]);
  if (plan.batch > 1) text += fmt::format(", {} together", plan.batch);
  if (plan.scan_entries != 0)
    text += fmt::format(", {}{} entries{}", plan.scan_to_random ? "1 to " : "", plan.scan_entries,
                        plan.backward ? " backward" : "");
  return text;
}

std::string durability_of(const Plan& plan) {
  if (plan.durable) return "each write when it returns";
  if (plan.sync_seconds != 0) return fmt::format("within {} ms, both", plan.sync_seconds * 1e3);
  return "ours within 100 ms, the peer when it syncs by itself";
}

std::vector<std::pair<std::string, std::string>> configuration_of(const KvCase& wanted, const Plan& plan,
                                                                  const EngineKind* peer) {
  const auto& ours = wanted.ours.engine;
  const auto bytes = [](std::uint64_t count) {
    return count != 0 ? format_bytes(count) : std::string("default");
  };
  return {
      {"keys", fmt::format("{}, key-%08d", plan.keys)},
      {"value bytes", fmt::format("{}, random", plan.value_bytes)},
      {"operations", shape_of(plan)},
      {"callers",
       fmt::format("{} and the peer's {} on {} cores", plan.workers,
                   wanted.peer_plan != nullptr ? wanted.peer_plan(plan).workers : plan.workers, plan.cores)},
      {"length", plan.operations != 0 ? fmt::format("{} operations", plan.operations)
                                      : fmt::format("{} s", plan.seconds)},
      {"durable", durability_of(plan)},
      {"data", wanted.source == Source::empty ? "none before" : "in tables, compacted"},
      {"cache", wanted.direct ? "none, O_DIRECT"
                              : fmt::format("ours {}, peer {}", bytes(ours.cache_bytes),
                                            bytes(wanted.peer_cache_bytes))},
      {"ashlar",
       fmt::format("{} shards{}{}, {}, {} blocks{}", plan.shards,
                   ours.background_shards != 0 ? fmt::format(" ({} set aside)", ours.background_shards) : "",
                   ours.goal == lsm::Goal::write_heavy ? ", write-heavy" : "",
                   wanted.ours_by_threads ? "plain threads" : "tasks", format_bytes(ours.table.block_bytes),
                   wanted.ours.spin ? fmt::format(", spins {} us", wanted.ours.spin->count() / 1000) : "")},
      {"peer",
       peer != nullptr ? peer->engine + ": " + peer->summary : std::string("io_uring reads of 4 KiB")},
  };
}

Plan scaled_plan(const KvCase& wanted, const BenchOptions& options) {
  Plan plan = wanted.plan;
  plan.keys = plan.keys <= 1000 ? plan.keys : std::max(keys_least, scaled(options, plan.keys));
  if (plan.operations != 0)
    plan.operations = std::max<std::uint64_t>(plan.workers, scaled(options, plan.operations));
  if (plan.operations == 0) plan.seconds = wanted.sustained ? options.sustained_seconds : options.seconds;
  plan.rest_seconds = std::min(plan.rest_seconds, options.seconds);
  return plan;
}

Result<Contest> prepare(KvCase wanted, const BenchOptions& options) {
  wanted.plan = scaled_plan(wanted, options);
  if (wanted.source == Source::empty) forget_data_sets();
  const EngineKind* const peer =
      wanted.peer == PeerKind::engine ? find_engine(wanted.peer_engine, wanted.peer_setup) : nullptr;
  const EngineKind* const own = wanted.ours_by_threads ? find_engine("Ashlar", "default") : nullptr;
  if (wanted.ours_by_threads && own == nullptr) return fail(Errc::unsupported, "Ashlar's blocking interface");
  Contest contest;
  const auto measure = [](std::shared_ptr<Side> side) { return [side] { return side->measure(); }; };
  contest.ashlar = measure(std::make_shared<Side>(wanted, options, true, own));
  if (peer != nullptr || wanted.peer != PeerKind::engine)
    contest.peer = measure(std::make_shared<Side>(wanted, options, false, peer));
  contest.peer_version = peer != nullptr ? peer->version : "";
  contest.configuration = configuration_of(wanted, wanted.plan, peer);
  return contest;
}

}  // namespace

Case make_case(KvCase wanted) {
  Case made{.name = wanted.name,
            .summary = wanted.summary,
            .unit = wanted.figure == Figure::rate      ? "op/s"
                    : wanted.figure == Figure::ns_each ? "ns"
                                                       : "us",
            .more_is_better = wanted.figure == Figure::rate,
            .peer_name = wanted.peer == PeerKind::engine ? wanted.peer_engine : "io_uring",
            .target = wanted.target,
            .beyond_peer = wanted.beyond_peer,
            .prepare = {}};
  made.prepare = [wanted = std::move(wanted)](const BenchOptions& options) {
    return prepare(wanted, options);
  };
  return made;
}

}  // namespace ashlar::bench
