#include "ashlar/kv/lsm/job_parts.h"
#include "ashlar/kv/lsm/table/range_section.h"

#include <algorithm>
#include <iterator>

#include "ashlar/runtime/task/cancel.h"

namespace ashlar::lsm {

namespace {

using Runs = std::vector<std::vector<TableFile*>>;

constexpr std::uint64_t anchors_of_part = 16;  // about
constexpr std::uint64_t anchors_max = 64;      // of one table

/// A key, and about how many bytes stand before it since the anchor before.
struct Anchor {
  std::vector<std::byte> key;
  std::uint64_t bytes;
};

/// Behind every `step`-th entry of the table's index: a key just above all that this one and those before it
/// lead to. Never among the engine's own records: those that a job makes itself (Outputs::put_ranges())
/// belong into its first part.
void add_anchors(const TableFile& table, std::uint64_t wanted, std::vector<Anchor>& anchors) {
  const std::uint32_t count = table.table().index_count();
  if (count == 0) return;
  const auto step = static_cast<std::uint32_t>((count + wanted - 1) / wanted);
  for (std::uint32_t i = step - 1; i < count; i += step) {
    Anchor& anchor = anchors.emplace_back(table.table().separator(i), table.meta().file_bytes / count * step);
    anchor.key.push_back(std::byte{0});
    if (is_ranges_key(anchor.key)) anchors.pop_back();
  }
}

/// Keys that divide the runs into `parts` of about the same size, ascending; fewer where there are no such.
std::vector<std::vector<std::byte>> dividing_keys(const Runs& runs, std::uint64_t parts) {
  std::vector<std::vector<std::byte>> keys;
  if (parts < 2) return keys;
  std::vector<Anchor> anchors;
  std::uint64_t tables = 0;
  for (const auto& run : runs) tables += run.size();
  const std::uint64_t wanted = std::clamp<std::uint64_t>(anchors_of_part * parts / tables, 1, anchors_max);
  for (const auto& run : runs) {
    for (const TableFile* table : run) add_anchors(*table, wanted, anchors);
  }
  std::ranges::sort(anchors, [](const Anchor& a, const Anchor& b) { return compare(a.key, b.key) < 0; });
  std::uint64_t total = 0, seen = 0;
  for (const Anchor& anchor : anchors) total += anchor.bytes;
  for (Anchor& anchor : anchors) {
    seen += anchor.bytes;
    const bool due = keys.size() + 1 < parts && seen >= total / parts * (keys.size() + 1);
    if (due && (keys.empty() || compare(keys.back(), anchor.key) < 0)) keys.push_back(std::move(anchor.key));
  }
  return keys;
}

/// One job, while its parts are worked on. On the job's shard, but for write().
class Division final : private Cancellable {
 public:
  Division(const Compaction& compaction, const TableJob& job, Helpers& helpers)
      : compaction_(compaction), job_(job), helpers_(helpers) {
    if (!compaction.drop && helpers.any(job.home.shard())) {
      const std::uint64_t parts = (compaction.bytes() + job.table_bytes_max - 1) / job.table_bytes_max;
      bounds_ = dividing_keys(compaction.runs, parts);
    }
    outputs_.resize(bounds_.size() + 1);
    // Parts are about one table each: what one has more than that is no table of its own.
    if (!bounds_.empty()) job_.table_bytes_max += job_.table_bytes_max / 4;
    job_.ended = &ended_;
    if (CancelScope* scope = Shard::current().context().cancel; scope != nullptr) {
      if (scope->cancelled())
        on_cancel();
      else
        scope->add(*this);
    }
  }
  ~Division() { CancelScope::withdraw(*this); }

  Task<Result<DividedOutput>> run();

 private:
  void on_cancel() noexcept override { ended_.store(true, std::memory_order_relaxed); }
  std::size_t left() const noexcept {
    return ended_.load(std::memory_order_relaxed) ? 0 : outputs_.size() - next_;
  }
  KeySpan span(std::size_t part) const noexcept;
  Task<> work_here();
  Task<> work(HelpTurn turn);
  Task<Result<JobOutput>> write(std::size_t part) const;
  void done(std::size_t part, Result<JobOutput> output);

  const Compaction& compaction_;
  TableJob job_;
  Helpers& helpers_;
  std::vector<std::vector<std::byte>> bounds_;  // between parts
  std::vector<Result<JobOutput>> outputs_;      // by part
  std::size_t next_ = 0;                        // part to be handed out
  unsigned helped_ = 0;
  std::atomic<bool> ended_{false};  // by an error, or cancelled
  TaskScope workers_{nullptr};
};

KeySpan Division::span(std::size_t part) const noexcept {
  KeySpan span;
  if (part != 0) span.first = bounds_[part - 1];
  if (part != bounds_.size()) span.end = bounds_[part];
  return span;
}

/// On any shard.
Task<Result<JobOutput>> Division::write(std::size_t part) const {
  TableJob job = job_;
  if (part != 0) job.ranges.clear();
  JobMerge merge(job.home, span(part));
  if (!compaction_.drop) {
    for (const auto& run : compaction_.runs) merge.add(run);
  }
  co_return co_await write_tables(merge, job);
}

void Division::done(std::size_t part, Result<JobOutput> output) {
  if (!output) ended_.store(true, std::memory_order_relaxed);
  outputs_[part] = std::move(output);
}

/// Hands parts to a shard as long as it has time.
Task<> Division::work(HelpTurn turn) {
  do {
    if (left() == 0) co_return;
    const std::size_t part = next_++;
    ++helped_;
    done(part, co_await invoke(turn.shard(), [&] { return write(part); }));
  } while (co_await helpers_.goes_on(turn));
}

Task<> Division::work_here() {
  while (left() != 0) {
    const std::size_t part = next_++;
    while (left() > workers_.live()) {
      auto turn = co_await helpers_.take_idle();
      if (!turn) break;
      workers_.spawn(work(*std::move(turn)));
    }
    done(part, co_await write(part));
  }
}

Task<Result<DividedOutput>> Division::run() {
  if (helpers_.set_aside() != 0) {
    workers_.spawn(work(helpers_.take_set_aside()));
    while (workers_.live() < outputs_.size()) {
      auto turn = helpers_.take_free_set_aside();
      if (!turn) break;
      workers_.spawn(work(*std::move(turn)));
    }
  } else {
    co_await work_here();
  }
  co_await workers_.join();
  if (!ended_.load(std::memory_order_relaxed)) {
    DividedOutput all;
    all.parts = static_cast<unsigned>(outputs_.size());
    all.helped = helped_;
    for (Result<JobOutput>& part : outputs_) {
      std::ranges::move(part->tables, std::back_inserter(all.written.tables));
      std::ranges::move(part->values, std::back_inserter(all.written.values));
    }
    co_return all;
  }
  Error why{.code = Errc::cancelled, .where = "compaction"};
  for (Result<JobOutput>& part : outputs_) {
    if (part) {
      co_await part->discard(job_.home);
    } else if (why.code == Errc::cancelled) {
      why = part.error();
    }
  }
  co_return std::unexpected(why);
}

}  // namespace

Task<Result<DividedOutput>> write_divided(const Compaction& compaction, const TableJob& job,
                                          Helpers& helpers) {
  Division division(compaction, job, helpers);
  co_return co_await division.run();
}

}  // namespace ashlar::lsm
