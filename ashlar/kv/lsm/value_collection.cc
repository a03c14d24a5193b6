#include "ashlar/kv/lsm/value_collection.h"

#include <algorithm>

#include "ashlar/base/log.h"
#include "ashlar/kv/lsm/value_check.h"

namespace ashlar::lsm {

namespace {

constexpr std::uint64_t small_one_in = 8;  // of the size that tables are cut at
constexpr std::size_t small_tables = 4;    // fewer do no harm
constexpr std::uint64_t job_tables = 4;    // of such a size: what one collection rewrites, of keys or values

bool is_due(const LiveValues& one, const Shape& shape) noexcept {
  return !one.file->damaged() &&
         one.garbage_bytes() * 100 >= one.file->meta().data_bytes * shape.garbage_percent;
}

}  // namespace

std::vector<std::uint64_t> due_values(const Version& version, const Shape& shape, bool full) {
  std::vector<std::uint64_t> due;
  std::uint64_t least = 0;
  for (const LiveValues& one : version.values) {
    if (!is_due(one, shape)) continue;
    if (full && !due.empty() && one.live_bytes >= least) continue;
    if (full) due.clear();
    due.push_back(one.file->number());
    least = one.live_bytes;
  }
  return due;
}

std::vector<std::uint64_t> values_to_move(const Version& version, const Shape& shape, unsigned output_level,
                                          bool full) {
  if (full) return {};
  std::vector<std::uint64_t> due, small;
  for (const LiveValues& one : version.values) {
    if (one.file->damaged()) continue;
    const bool is_small = one.file->meta().data_bytes * small_one_in < shape.table_bytes;
    if (is_due(one, shape)) due.push_back(one.file->number());
    if (is_small) small.push_back(one.file->number());
  }
  if (output_level != bottom_level || small.size() < small_tables) return due;
  std::vector<std::uint64_t> both;
  std::ranges::set_union(due, small, std::back_inserter(both));
  return both;
}

std::uint64_t bytes_of(const TableFile& table, const std::vector<std::uint64_t>& values) noexcept {
  std::uint64_t bytes = 0;
  for (const ValueUse& use : table.table().properties().references) {
    if (std::ranges::binary_search(values, use.table)) bytes += use.bytes;
  }
  return bytes;
}

namespace {

/// The tables from the one at `seed` on to either side, as far as the job goes.
std::vector<TableFile*> beside(const Run& run, const std::vector<std::uint64_t>& moved, std::size_t seed,
                               std::uint64_t bytes_max) {
  const auto wanted = [&](std::size_t at) { return moved[at] != 0 && !run.tables[at]->busy(); };
  std::size_t first = seed, end = seed;
  std::uint64_t keys = 0, values = 0;
  const auto take = [&](std::size_t at) {
    keys += run.tables[at]->meta().file_bytes;
    values += moved[at];
    return keys < bytes_max && values < bytes_max;
  };
  bool more = true;
  while (more && end < run.tables.size() && wanted(end)) more = take(end++);
  while (more && first > 0 && wanted(first - 1)) more = take(--first);
  return {run.tables.begin() + static_cast<std::ptrdiff_t>(first),
          run.tables.begin() + static_cast<std::ptrdiff_t>(end)};
}

}  // namespace

std::vector<Compaction> collections(const Version& version, const Shape& shape,
                                    const std::vector<std::uint64_t>& due, bool full) {
  std::vector<Compaction> jobs;
  if (due.empty()) return jobs;
  for (const Run& run : version.runs) {
    std::vector<std::uint64_t> moved;
    for (const TableFile* table : run.tables) moved.push_back(table->busy() ? 0 : bytes_of(*table, due));
    const auto most = std::ranges::max_element(moved);
    if (*most == 0) continue;
    const auto seed = static_cast<std::size_t>(most - moved.begin());
    // On a full disk each step gives space back before the next.
    auto tables =
        full ? std::vector{run.tables[seed]} : beside(run, moved, seed, job_tables * shape.table_bytes);
    Compaction job{.runs = {std::move(tables)},
                   .output_level = run.level,
                   .output_run = run.number,
                   .urgency = Urgency::reclaim};
    job.score = 0;
    for (const TableFile* table : job.runs.front())
      job.score += static_cast<double>(bytes_of(*table, due)) / static_cast<double>(shape.table_bytes);
    job.moved_values = due;
    jobs.push_back(std::move(job));
  }
  std::ranges::sort(jobs, std::ranges::greater{}, &Compaction::score);
  for (Compaction& job : jobs) job.score = 0;  // what is dead in key tables goes first
  return jobs;
}

Result<> VersionValues::check(const ValueRef& ref, ErrorPlace place) const noexcept {
  const ValueFile* file = version_.find_values(ref.table);
  return check_reference(ref, file != nullptr ? &file->meta() : nullptr, place);
}

bool VersionValues::moves(const ValueRef& ref) const noexcept {
  if (!std::ranges::binary_search(moved_, ref.table)) return false;
  const ValueFile* file = version_.find_values(ref.table);
  return file != nullptr && !file->damaged();
}

Task<Result<LoadedValue>> VersionValues::load(ValueRef ref) {
  ValueFile* file = version_.find_values(ref.table);
  if (file == nullptr) co_return fail(Errc::corrupt, "value table that a table refers to", ref.place());
  co_return co_await file->load(ref, false);
}

Result<bool> VersionValues::drop(const ValueRef& ref, const Error& why) {
  if (why.code != Errc::corrupt && why.code != Errc::io) return std::unexpected(why);
  ValueFile* file = version_.find_values(ref.table);
  if (file != nullptr && !file->damaged()) {
    file->set_damaged();
    log::error("value table {}: {}; its values stay where they are until the directory is mended", ref.table,
               why);
  }
  return false;
}

}  // namespace ashlar::lsm
