#include "ashlar/kv/lsm/compaction.h"

#include <algorithm>
#include <tuple>

#include "ashlar/kv/lsm/range_reclaim.h"
#include "ashlar/kv/lsm/reclaim.h"
#include "ashlar/kv/lsm/value_collection.h"

namespace ashlar::lsm {

namespace {

/// Where level 0 cannot go down, it is merged where it is from so many times its share on, and from such a
/// share of what it may have at most.
constexpr double crowded = 3, crowded_share = 0.75;

bool overlap(Bytes a_smallest, Bytes a_largest, Bytes b_smallest, Bytes b_largest) noexcept {
  return compare(a_largest, b_smallest) >= 0 && compare(a_smallest, b_largest) <= 0;
}

/// Tables of a run that share keys with [smallest, largest].
std::span<TableFile* const> overlapping(const Run& run, Bytes smallest, Bytes largest) noexcept {
  const auto first = std::ranges::partition_point(
      run.tables, [&](const TableFile* table) { return compare(table->largest_key(), smallest) < 0; });
  const auto last = std::partition_point(first, run.tables.end(), [&](const TableFile* table) {
    return compare(table->smallest_key(), largest) <= 0;
  });
  return {first, last};
}

std::vector<TableFile*> to_vector(std::span<TableFile* const> tables) {
  return {tables.begin(), tables.end()};
}

bool busy(std::span<TableFile* const> tables) noexcept {
  return std::ranges::any_of(tables, [](const TableFile* table) { return table->busy(); });
}

/// Whether a run that is older than where the table goes overlaps it.
bool overlaps_older(const Version& version, const Compaction& job, const TableFile& table) {
  return std::ranges::any_of(version.runs, [&](const Run& run) {
    return job.above(run) && !overlapping(run, table.smallest_key(), table.largest_key()).empty();
  });
}

/// Whether the job's tables may go to their run as they are: there they become one run, disjoint.
bool may_move(const Version& version, const Compaction& job, const Horizon& horizon) {
  std::vector<TableFile*> tables = job.inputs();
  std::ranges::sort(tables, {}, [](const TableFile* table) { return as_text(table->smallest_key()); });
  for (std::size_t i = 0; i < tables.size(); ++i) {
    const TableFile& table = *tables[i];
    if (!job.new_run && table.meta().level == job.output_level && table.meta().run == job.output_run)
      return false;
    if (i != 0 && compare(tables[i - 1]->largest_key(), table.smallest_key()) >= 0) return false;
    if (worth_rewriting(table, horizon, overlaps_older(version, job, table))) return false;
  }
  return true;
}

/// Proposes jobs in order of urgency, until one is permitted.
class Picker {
 public:
  Picker(const Version& version, const Shape& shape, const Horizon& horizon,
         std::span<const Compaction* const> running, const SliceKeys& keys)
      : version_(version), shape_(shape), horizon_(horizon), running_(running), sizes_(version, shape) {
    for (const Slice& slice : slices_between(keys)) slices_.push_back({slice, level0_of(slice, version)});
  }

  std::optional<Compaction> pick(bool full) {
    if (auto job = drop()) return job;
    if (auto job = sink()) return job;
    if (auto job = full ? out_of_level0() : from_level0()) {
      job->urgency = Urgency::level0;
      return job;
    }
    // What needs room comes after what makes some.
    if (full) {
      if (auto job = reclaim()) return job;
      if (auto job = collect(true)) return job;
    }
    if (auto job = shape_.tiered ? tiers() : levels()) return job;
    if (auto job = reclaim()) return job;
    return full ? std::nullopt : collect(false);
  }

 private:
  std::optional<Compaction> drop();
  std::optional<Compaction> sink();
  std::optional<Compaction> out_of_level0();
  std::optional<Compaction> from_level0();
  std::optional<Compaction> tiers();
  std::optional<Compaction> levels();
  std::optional<Compaction> reclaim();
  std::optional<Compaction> collect(bool full);
  std::optional<Compaction> next_tier(unsigned level);
  std::optional<Compaction> to_bottom(const Slice& slice, unsigned from);
  std::optional<Compaction> cheapest(unsigned level, double score);
  std::vector<std::vector<TableFile*>> gather(Slice slice, unsigned from, unsigned to) const;
  Compaction down(std::vector<std::vector<TableFile*>> runs, unsigned below) const;
  std::optional<Compaction> into_older(std::vector<std::vector<TableFile*>> runs, std::size_t behind) const;

  std::optional<Compaction> checked(std::optional<Compaction> job, bool may_be_moved = true) const {
    if (!job || !permitted(version_, *job, running_)) return std::nullopt;
    job->move = may_be_moved && may_move(version_, *job, horizon_);
    return job;
  }

  struct SliceState {
    Slice keys;
    SliceLevel0 level0;
  };
  /// What of a job that goes to the bottom comes from where, each table once.
  struct JobSize {
    std::uint64_t level0 = 0, upper = 0, bottom = 0;  // bytes, with values; upper: between the two
  };
  static JobSize size_of_job(const Compaction& job) noexcept {
    JobSize size;
    for (const auto& run : job.runs) {
      for (const TableFile* table : run) {
        const unsigned level = table->meta().level;
        (level == 0              ? size.level0
         : level == bottom_level ? size.bottom
                                 : size.upper) += table->bytes_with_values();
      }
    }
    return size;
  }
  /// Of what may stand above this much of the bottom, such a share does.
  double share_above(const JobSize& size, std::uint64_t above) const noexcept {
    auto most = static_cast<double>(sizes_.upper_max());
    if (slices_.size() > 1)
      most *= static_cast<double>(size.bottom) / static_cast<double>(sizes_.bytes(bottom_level));
    return static_cast<double>(above) / std::max(most, 1.0);
  }
  bool goes_to_bottom(const Compaction& job) const noexcept {
    const JobSize size = size_of_job(job);
    return share_above(size, size.level0 + size.upper) >= 1 &&
           size.upper + size.bottom <= level0_job_factor * size.level0;
  }

  const Version& version_;
  const Shape& shape_;
  const Horizon& horizon_;
  std::span<const Compaction* const> running_;
  LevelSizes sizes_;
  std::vector<SliceState> slices_;  // at least one
};

std::optional<Compaction> Picker::drop() {
  if (horizon_.cleared.value == 0 && horizon_.ranges == nullptr) return std::nullopt;
  Compaction job{.runs = {}, .drop = true, .urgency = Urgency::drop};
  for (const Run& run : version_.runs) {
    for (TableFile* table : run.tables) {
      const bool dropped = table->meta().largest_sequence < horizon_.cleared || is_covered(*table, horizon_);
      if (dropped && !table->busy()) job.runs.push_back({table});
    }
  }
  return job.runs.empty() ? std::nullopt : std::optional(std::move(job));
}

/// What was written before the bottom was always the last level: its deepest level becomes that, as it is.
std::optional<Compaction> Picker::sink() {
  if (version_.runs.empty()) return std::nullopt;
  const Run& deepest = version_.runs.back();
  if (deepest.level == 0 || deepest.level == bottom_level || deepest.number != 0) return std::nullopt;
  Compaction job{.runs = {deepest.tables}, .output_level = bottom_level, .move = true};
  return permitted(version_, job, running_) ? std::optional(std::move(job)) : std::nullopt;
}

/// On a full disk: all of level 0, into what it hides something of.
std::optional<Compaction> Picker::out_of_level0() {
  std::vector<std::vector<TableFile*>> runs;
  for (const Run& run : version_.level(0)) {
    if (busy(run.tables)) return next_tier(0);
    runs.push_back(run.tables);
  }
  if (runs.empty()) return std::nullopt;
  const std::size_t behind = runs.size();
  auto job = into_older(std::move(runs), behind);
  job->score = static_cast<double>(behind) / shape_.level0_runs;
  return checked(std::move(job));
}

/// The deepest slice goes down. Where the bottom is too large for that, all of level 0 becomes a run of the
/// next level.
std::optional<Compaction> Picker::from_level0() {
  std::vector<const SliceState*> slices;
  std::vector<std::size_t> depths;
  for (const SliceState& slice : slices_) {
    slices.push_back(&slice);
    depths.push_back(slice.level0.idle_depth);
  }
  std::ranges::sort(slices, std::ranges::greater{}, [](const SliceState* slice) {
    return std::tuple(slice->level0.idle_depth, slice->level0.bytes, slice);
  });
  const double depth = depth_of(depths), enough = shape_.level0_runs;
  const double most = crowded_share * shape_.level0_runs_max;
  // Jobs side by side take each other's time, and each holds space: another one where they lag behind.
  const auto jobs = static_cast<double>(
      std::ranges::count(running_, Urgency::level0, [](const Compaction* job) { return job->urgency; }));
  if (depth < std::min(enough * (1 + jobs / 2), most)) return std::nullopt;
  bool some_wait = false, some_stay = false;
  for (const SliceState* slice : slices) {
    if (slice->level0.idle_depth < shape_.level0_runs) break;
    auto job = shape_.tiered ? to_bottom(slice->keys, 0) : down(gather(slice->keys, 0, 0), 0);
    if (shape_.tiered && !goes_to_bottom(*job)) {
      some_stay = true;
    } else if ((job = checked(std::move(job)))) {
      job->score = depth / enough;
      return job;
    } else {
      some_wait = true;
    }
  }
  // Slices that have to wait are not merged twice, but where they have to for long.
  if (some_wait && !some_stay && slices_.size() > 1 && depth < std::min(crowded * enough, most))
    return std::nullopt;
  return next_tier(0);
}

/// The newest runs of a level that no job has yet, if there are enough: into a new run of the next level.
/// While older ones of the level are on their way down, those would be overtaken: into one run where they
/// are.
std::optional<Compaction> Picker::next_tier(unsigned level) {
  Compaction job;
  const auto runs = version_.level(level);
  for (const Run& run : runs) {
    if (busy(run.tables)) break;
    job.runs.push_back(run.tables);
  }
  const std::uint32_t enough = level == 0 ? shape_.level0_runs : shape_.tier_runs;
  if (job.runs.size() < std::max(enough, 2u)) {
    if (job.runs.size() != runs.size() || job.runs.size() < enough) return std::nullopt;
  }
  job.score = static_cast<double>(job.runs.size()) / enough;
  if (job.runs.size() == runs.size() && shape_.tiered) {
    job.output_level = level + 1;
    job.new_run = level + 1 != bottom_level;
    if (level + 1 == bottom_level) return checked(to_bottom({}, level));
    if (auto down = checked(job)) return down;
  }
  if (job.runs.size() < 2) return std::nullopt;
  job.output_level = level;
  job.output_run = runs.front().number;
  return checked(std::move(job), false);
}

/// The slice of every run from a level on down, and what that meets at the bottom.
std::optional<Compaction> Picker::to_bottom(const Slice& slice, unsigned from) {
  Compaction job{.runs = gather(slice, from, bottom_level - 1), .output_level = bottom_level};
  if (job.runs.empty()) return std::nullopt;
  for (const Run& run : version_.level(bottom_level)) {
    const auto below = overlapping(run, job.smallest_key(), job.largest_key());
    if (run.number == 0 && !below.empty()) job.runs.push_back(to_vector(below));
    if (run.number != 0) job.runs.push_back(run.tables);
  }
  return job;
}

/// The slice of every run of these levels, and whatever of older ones would be overtaken.
std::vector<std::vector<TableFile*>> Picker::gather(Slice slice, unsigned from, unsigned to) const {
  std::vector<std::vector<TableFile*>> runs;
  for (const Run& run : version_.runs) {
    if (run.level < from || run.level > to) continue;
    const auto tables = slice.of(run);
    if (tables.empty()) continue;
    slice.cover(tables);
    runs.push_back(to_vector(tables));
  }
  return runs;
}

std::optional<Compaction> Picker::tiers() {
  std::vector<Compaction> due;
  for (const SliceState& slice : slices_) {
    auto job = to_bottom(slice.keys, 1);
    if (!job) continue;
    const JobSize size = size_of_job(*job);
    job->score = share_above(size, size.upper);
    if (job->score > 1) due.push_back(*std::move(job));
  }
  std::ranges::sort(due, std::ranges::greater{}, &Compaction::score);
  for (Compaction& job : due) {
    if (auto picked = checked(std::move(job))) return picked;
  }
  for (unsigned level = 1; level < bottom_level; ++level) {
    if (version_.level(level).size() < shape_.tier_runs) continue;
    if (auto job = next_tier(level)) return job;
  }
  return std::nullopt;
}

std::optional<Compaction> Picker::levels() {
  std::vector<std::pair<double, unsigned>> due;
  for (unsigned level = 1; level < bottom_level; ++level) {
    double score = sizes_.score(level);
    if (version_.level(level).size() > 1) score += 1;  // of another goal's time: becomes one run
    if (score > 1) due.push_back({score, level});
  }
  std::ranges::sort(due, std::ranges::greater{});
  for (const auto& [score, level] : due) {
    if (auto job = cheapest(level, score)) return job;
  }
  return std::nullopt;
}

/// Of a level that is too large, the table that costs least to merge: the fewest bytes below for each of its
/// own. Of several runs the oldest gives it.
std::optional<Compaction> Picker::cheapest(unsigned level, double score) {
  struct Candidate {
    double cost;
    std::uint64_t number;
    TableFile* table;
    auto operator<=>(const Candidate&) const = default;
  };
  std::vector<Candidate> candidates;
  for (TableFile* table : version_.level(level).back().tables) {
    if (table->busy()) continue;
    const auto own = static_cast<double>(table->meta().file_bytes);
    const auto all = static_cast<double>(down({{table}}, level).bytes());
    candidates.push_back({(all - own) / own, table->meta().number, table});
  }
  std::ranges::sort(candidates);
  for (const Candidate& candidate : candidates) {
    auto job = checked(down({{candidate.table}}, level));
    if (!job) continue;
    job->score = score;
    return job;
  }
  return std::nullopt;
}

/// Leveled: into the next level that is in use, with what the tables meet there; where they meet nothing on
/// any, to the bottom.
Compaction Picker::down(std::vector<std::vector<TableFile*>> runs, unsigned above) const {
  Compaction job{.runs = std::move(runs)};
  const Bytes smallest = job.smallest_key(), largest = job.largest_key();
  const auto first_met = std::ranges::find_if(version_.runs, [&](const Run& run) {
    return run.level > above && !overlapping(run, smallest, largest).empty();
  });
  job.output_level = bottom_level;
  if (first_met == version_.runs.end()) return job;
  job.output_level = std::min(first_met->level, std::max(above + 1, sizes_.base()));
  if (job.output_level != first_met->level) return job;
  job.output_run = first_met->number;
  job.runs.push_back(to_vector(overlapping(*first_met, smallest, largest)));
  return job;
}

/// With what they hide in the next older run that has any of their keys; `behind`: the first run to look at.
std::optional<Compaction> Picker::into_older(std::vector<std::vector<TableFile*>> runs,
                                             std::size_t behind) const {
  Compaction job{.runs = std::move(runs)};
  const Bytes smallest = job.smallest_key(), largest = job.largest_key();
  for (const Run& run : std::span(version_.runs).subspan(behind)) {
    const auto met = overlapping(run, smallest, largest);
    if (met.empty()) continue;
    job.output_level = run.level;
    job.output_run = run.number;
    job.runs.push_back(to_vector(met));
    return job;
  }
  job.output_level = bottom_level;
  return job;
}

std::optional<Compaction> Picker::reclaim() {
  struct Candidate {
    double share;
    std::uint64_t number;
    std::size_t run;
    TableFile* table;
    auto operator<=>(const Candidate&) const = default;
  };
  std::vector<Candidate> due;
  for (std::size_t i = 0; i < version_.runs.size(); ++i) {
    for (TableFile* table : version_.runs[i].tables) {
      const std::uint64_t dead = reclaimable_entries(version_, *table, horizon_, horizon_.oldest_now_ms);
      if (table->busy() || dead == 0 || dead * shape_.reclaim_one_in < table->meta().entries) continue;
      const double share = static_cast<double>(dead) / static_cast<double>(table->meta().entries);
      due.push_back({share, table->meta().number, i, table});
    }
  }
  std::ranges::sort(due, std::ranges::greater{});
  for (const Candidate& candidate : due) {
    const Run& run = version_.runs[candidate.run];
    Compaction alone{.runs = {{candidate.table}}, .output_level = run.level, .output_run = run.number};
    auto job = overlaps_older(version_, alone, *candidate.table)
                   ? into_older({{candidate.table}}, candidate.run + 1)
                   : std::optional(std::move(alone));
    job = checked(std::move(job), false);
    if (!job) continue;
    job->urgency = Urgency::reclaim;
    job->score = candidate.share;
    return job;
  }
  return std::nullopt;
}

std::optional<Compaction> Picker::collect(bool full) {
  for (Compaction& job : collections(version_, shape_, due_values(version_, shape_, full), full)) {
    if (auto collection = checked(std::move(job), false)) return collection;
  }
  return std::nullopt;
}

}  // namespace

std::vector<TableFile*> Compaction::inputs() const {
  std::vector<TableFile*> result;
  for (const auto& run : runs) result.insert(result.end(), run.begin(), run.end());
  return result;
}

std::uint64_t Compaction::bytes() const noexcept {
  std::uint64_t sum = 0;
  for (const auto& run : runs) sum += bytes_of(run);
  return sum;
}

Bytes Compaction::smallest_key() const noexcept {
  Bytes smallest = runs.front().front()->smallest_key();
  for (const auto& run : runs) {
    if (compare(run.front()->smallest_key(), smallest) < 0) smallest = run.front()->smallest_key();
  }
  return smallest;
}

Bytes Compaction::largest_key() const noexcept {
  Bytes largest = runs.front().back()->largest_key();
  for (const auto& run : runs) {
    if (compare(run.back()->largest_key(), largest) > 0) largest = run.back()->largest_key();
  }
  return largest;
}

bool permitted(const Version& version, const Compaction& job, std::span<const Compaction* const> running) {
  const std::vector<TableFile*> inputs = job.inputs();
  if (busy(inputs)) return false;
  if (job.drop) return true;
  const auto is_input = [&](const TableFile* table) {
    return std::ranges::find(inputs, table) != inputs.end();
  };
  // From the newest input on down to where the output goes, whatever stays where it is must not be overtaken.
  Bytes smallest, largest;
  bool any = false;
  for (const Run& run : version.runs) {
    if (job.above(run)) break;
    const bool here = !job.new_run && run.level == job.output_level && run.number == job.output_run;
    for (const TableFile* table : run.tables) {
      if (is_input(table)) continue;
      if (here && overlap(job.smallest_key(), job.largest_key(), table->smallest_key(), table->largest_key()))
        return false;
      if (any && overlap(smallest, largest, table->smallest_key(), table->largest_key())) return false;
    }
    for (const TableFile* table : run.tables) {
      if (!is_input(table)) continue;
      if (!any || compare(table->smallest_key(), smallest) < 0) smallest = table->smallest_key();
      if (!any || compare(table->largest_key(), largest) > 0) largest = table->largest_key();
      any = true;
    }
  }
  return std::ranges::none_of(running, [&](const Compaction* other) {
    return !other->drop && other->output_level == job.output_level && !job.new_run && !other->new_run &&
           other->output_run == job.output_run &&
           overlap(job.smallest_key(), job.largest_key(), other->smallest_key(), other->largest_key());
  });
}

std::optional<Compaction> pick_compaction(const Version& version, const Shape& shape, const Horizon& horizon,
                                          bool full, std::span<const Compaction* const> running,
                                          const SliceKeys& slices) {
  auto job = Picker(version, shape, horizon, running, slices).pick(full);
  if (job && job->moved_values.empty() && !job->drop && !job->move)
    job->moved_values = values_to_move(version, shape, job->output_level, full);
  return job;
}

}  // namespace ashlar::lsm
