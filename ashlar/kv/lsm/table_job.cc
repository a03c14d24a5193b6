/// Entries that are kept go, in order:
///
///  1. Where an entry refers to a value that is to be moved, the value is read, many at once; it and what
///     follows wait in a queue.
///  2. A large value goes into the value table, and the entry refers to it from there.
///  3. The entry goes into the key table; a full one is finished before the next key.

#include "ashlar/kv/lsm/table_job.h"
#include "ashlar/kv/lsm/table/range_section.h"

#include <algorithm>
#include <deque>

#include "ashlar/runtime/sync/condition.h"
#include "ashlar/runtime/sync/sleep.h"

namespace ashlar::lsm {

namespace {

constexpr std::uint64_t entries_between_looks = 64;  // at the clock: some 20 µs of work
constexpr std::size_t values_in_flight_max = 64;
constexpr std::size_t waiting_bytes_max = 1u << 20;

/// An entry that waits for its value, or behind one that does.
struct Waiting {
  Waiting(const Entry& from, bool with_value) : key(from.key.begin(), from.key.end()), entry(from) {
    entry.key = key;
    if (with_value) value.assign(from.value.begin(), from.value.end());
    entry.value = value;
  }
  std::size_t bytes() const noexcept { return sizeof *this + key.size() + value.size() + ref.size; }

  std::vector<std::byte> key, value;
  Entry entry;
  ValueRef ref;  // of no table: the value is here
  bool done = true;
  Result<LoadedValue> outcome;
};

/// The tables of one job, one after the other, and its value tables.
class Outputs {
 public:
  Outputs(const TableJob& job, JobOutput& finished) noexcept
      : job_(job), finished_(finished), cuts_ahead_(job.cuts) {}

  /// The next entry that is kept. Views need not outlive the call.
  Task<Result<>> add(const Entry& entry);
  /// Whether the entry takes the short way: nothing waits, and nothing of it is elsewhere or goes elsewhere.
  bool is_plain(const Entry& entry) const noexcept {
    const bool large = job_.separate_bytes != 0 && entry.value.size() >= job_.separate_bytes;
    return waiting_.empty() && !moves(entry) && !(entry.kind == Kind::put && large);
  }
  /// The same for a plain one, without a coroutine for each: notes its key, and whether it is another than
  /// the last; prepare() where not ready(); append(); drain() where has_full().
  bool begin(Bytes key) {
    const bool new_key = !equal(key, last_key_);
    if (!new_key) return false;
    last_key_.assign(key.begin(), key.end());
    for (; !cuts_ahead_.empty() && compare(key, cuts_ahead_.front()) >= 0;
         cuts_ahead_ = cuts_ahead_.subspan(1))
      cut_ = true;
    return true;
  }
  bool ready(bool new_key) const noexcept {
    return current_ && !(new_key && (cut_ || current_->file_bytes() >= job_.table_bytes_max));
  }
  Task<Result<>> prepare(bool new_key);
  Result<> append(const Entry& entry, bool new_key) { return current_->add(entry, new_key); }
  bool has_full() const noexcept { return current_->has_full(); }
  Task<Result<>> drain() { return current_->drain(); }

  /// A table for ranges alone, where there is none so far.
  Task<Result<>> put_ranges();
  Task<Result<>> finish();
  Task<> discard();

 private:
  auto next_number() const {
    return invoke(job_.home.shard(), [this] { return job_.next_number(); });
  }
  bool moves(const Entry& entry) const noexcept;
  Task<> fetch(Waiting* waiting);
  Task<Result<>> put_waiting(std::size_t entries_max, std::size_t bytes_max);
  Task<Result<>> put_separated(Entry entry);
  Task<Result<>> put(const Entry& entry);
  Task<Result<>> finish_table();
  Task<Result<>> finish_values();

  const TableJob& job_;
  JobOutput& finished_;
  std::unique_ptr<TableOutput> current_;
  std::unique_ptr<ValueOutput> values_;
  std::vector<std::byte> last_key_;                     // put
  std::span<const std::vector<std::byte>> cuts_ahead_;  // of it
  bool cut_ = false;                                    // before it
  std::deque<std::unique_ptr<Waiting>> waiting_;
  std::size_t waiting_bytes_ = 0;
  Condition fetched_;
  TaskScope fetches_{nullptr};
};

bool Outputs::moves(const Entry& entry) const noexcept {
  if (entry.kind != Kind::separated || job_.values == nullptr) return false;
  return job_.values->moves(ValueRef::trusted(entry.value));
}

Task<Result<>> Outputs::add(const Entry& entry) {
  const bool moved = moves(entry);
  if (!moved && waiting_.empty()) co_return co_await put_separated(entry);
  Waiting& last = *waiting_.emplace_back(std::make_unique<Waiting>(entry, true));
  if (moved) {
    last.ref = ValueRef::trusted(entry.value);
    last.done = false;
    fetches_.spawn(fetch(&last));
  }
  waiting_bytes_ += last.bytes();
  co_return co_await put_waiting(values_in_flight_max, waiting_bytes_max);
}

Task<> Outputs::fetch(Waiting* waiting) {
  waiting->outcome = co_await job_.home.load(*job_.values, waiting->ref);
  waiting->done = true;
  fetched_.notify_all();
}

/// From the front, until no more wait than that.
Task<Result<>> Outputs::put_waiting(std::size_t entries_max, std::size_t bytes_max) {
  while (!waiting_.empty() && (waiting_.size() > entries_max || waiting_bytes_ > bytes_max)) {
    Waiting& first = *waiting_.front();
    while (!first.done) CO_TRY(co_await fetched_.wait());
    Entry entry = first.entry;
    bool drop = false;
    if (first.ref.size != 0) {
      if (first.outcome) {
        entry.kind = Kind::put;
        entry.value = first.outcome->bytes;
      } else {
        drop = CO_TRY(co_await job_.home.drop(*job_.values, first.ref, first.outcome.error()));
      }
    }
    if (!drop) CO_TRY(co_await put_separated(entry));
    waiting_bytes_ -= first.bytes();
    waiting_.pop_front();
  }
  co_return Result<>{};
}

Task<Result<>> Outputs::put_separated(Entry entry) {
  const bool large = job_.separate_bytes != 0 && entry.value.size() >= job_.separate_bytes;
  if (entry.kind != Kind::put || !large) co_return co_await put(entry);
  if (values_ && values_->data_bytes() >= job_.value_table_bytes) CO_TRY(co_await finish_values());
  if (!values_) {
    const std::uint64_t number = co_await next_number();
    values_ = CO_TRY(co_await ValueOutput::create(job_.home, job_.options, job_.partition, number));
  }
  const ValueRef ref = CO_TRY(values_->add(entry.value));
  if (values_->has_full()) CO_TRY(co_await values_->drain());
  std::byte encoded[value_ref_bytes_max];
  entry.kind = Kind::separated;
  entry.value = {encoded, ref.encode(encoded)};
  co_return co_await put(entry);
}

Task<Result<>> Outputs::put(const Entry& entry) {
  const bool new_key = begin(entry.key);
  if (!ready(new_key)) CO_TRY(co_await prepare(new_key));
  CO_TRY(append(entry, new_key));
  if (has_full()) CO_TRY(co_await drain());
  co_return Result<>{};
}

/// Begins the first table, or the next one.
Task<Result<>> Outputs::prepare(bool new_key) {
  if (!ready(new_key)) CO_TRY(co_await finish_table());
  cut_ = false;
  if (!current_) {
    const std::uint64_t number = co_await next_number();
    current_ =
        CO_TRY(co_await TableOutput::create(job_.home, job_.options, job_.partition, job_.level, number));
    current_->set_erased_to(job_.horizon.ranges_at);
    if (finished_.tables.empty()) current_->set_ranges(job_.ranges);
  }
  co_return Result<>{};
}

Task<Result<>> Outputs::put_ranges() {
  CO_TRY(co_await put_waiting(0, 0));
  if (job_.ranges.empty() || current_ || !finished_.tables.empty()) co_return Result<>{};
  CO_TRY(co_await prepare(true));
  const std::vector<std::byte> key = ranges_key(current_->number());
  const auto newest = std::ranges::max(job_.ranges, {}, &ErasedRange::sequence).sequence;
  co_return current_->add({.key = key, .sequence = newest, .kind = Kind::erase, .value = {}}, true);
}

Task<Result<>> Outputs::finish_table() {
  if (!current_) co_return Result<>{};
  finished_.tables.push_back(CO_TRY(co_await current_->finish()));
  finished_.tables.back().run = job_.run.value_or(finished_.tables.back().number);
  current_.reset();
  co_return Result<>{};
}

Task<Result<>> Outputs::finish_values() {
  if (!values_) co_return Result<>{};
  finished_.values.push_back(CO_TRY(co_await values_->finish()));
  values_.reset();
  co_return Result<>{};
}

Task<Result<>> Outputs::finish() {
  CO_TRY(co_await finish_values());
  co_return co_await finish_table();
}

Task<> Outputs::discard() {
  co_await fetches_.join();
  if (values_) co_await values_->discard();
  if (current_) co_await current_->discard();
  values_.reset();
  current_.reset();
}

/// Writes what the retention keeps.
Task<Result<>> write(std::span<const Entry> kept, Outputs& outputs) {
  for (const Entry& entry : kept) {
    if (!outputs.is_plain(entry)) {
      CO_TRY(co_await outputs.add(entry));
      continue;
    }
    const bool new_key = outputs.begin(entry.key);
    if (!outputs.ready(new_key)) CO_TRY(co_await outputs.prepare(new_key));
    CO_TRY(outputs.append(entry, new_key));
    if (outputs.has_full()) CO_TRY(co_await outputs.drain());
  }
  co_return Result<>{};
}

/// The value that operands may be merged onto; false where the entry goes.
Task<Result<bool>> load_base(Entry& entry, LoadedValue& base, const TableJob& job) {
  const ValueRef ref = ValueRef::trusted(entry.value);
  auto loaded = co_await job.home.load(*job.values, ref);
  if (!loaded) co_return !CO_TRY(co_await job.home.drop(*job.values, ref, loaded.error()));
  base = *std::move(loaded);
  entry.kind = Kind::put;
  entry.value = base.bytes;
  co_return true;
}

Task<Result<>> copy(JobMerge& merge, const TableJob& job, Outputs& outputs) {
  Retention retention(job.horizon, job.rules, job.nothing_older);
  std::uint64_t entries = 0;
  CO_TRY(co_await merge.start());
  // What stands for ranges alone comes first, and goes: beside other entries it would make a table meet those
  // of later ranges.
  while (!merge.done() && is_ranges_key(merge.entry().key)) {
    if (!merge.next()) CO_TRY(co_await merge.fetch());
  }
  while (!merge.done()) {
    if (merge.entry().kind == Kind::separated && job.values != nullptr) {
      // A table that refers to what cannot be is as damaged as one that cannot be read.
      CO_TRY(job.values->check(ValueRef::trusted(merge.entry().value), merge.place()));
    }
    LoadedValue base;
    if (job.values != nullptr && retention.wants_value(merge.entry())) [[unlikely]] {
      Entry entry = merge.entry();
      if (CO_TRY(co_await load_base(entry, base, job))) {
        retention.take(entry);
        CO_TRY(co_await write(retention.kept(), outputs));
      }
    } else {
      retention.take(merge.entry());
      if (!retention.kept().empty()) CO_TRY(co_await write(retention.kept(), outputs));
    }
    if (++entries % entries_between_looks == 0) {
      if (job.progress != nullptr) job.progress->fetch_add(entries_between_looks, std::memory_order_relaxed);
      if (job.ended != nullptr && job.ended->load(std::memory_order_relaxed))
        co_return fail(Errc::cancelled, "compaction");
      if (Shard::current().should_yield()) co_await yield();
    }
    if (!merge.next()) CO_TRY(co_await merge.fetch());
  }
  retention.finish();
  CO_TRY(co_await write(retention.kept(), outputs));
  CO_TRY(co_await outputs.put_ranges());
  co_return co_await outputs.finish();
}

}  // namespace

std::uint64_t JobOutput::bytes() const noexcept {
  std::uint64_t sum = 0;
  for (const TableMeta& table : tables) sum += table.file_bytes;
  for (const ValueTableMeta& table : values) sum += ValueFooter::file_bytes(table.data_bytes);
  return sum;
}

Task<> JobOutput::discard(const JobHome& home) const {
  for (const TableMeta& table : tables) co_await home.remove(nullptr, table.number);
  for (const ValueTableMeta& table : values) co_await home.remove(nullptr, table.number);
}

Task<Result<JobOutput>> write_tables(JobMerge& merge, const TableJob& job) {
  JobOutput finished;
  Outputs outputs(job, finished);
  const Result<> copied = co_await copy(merge, job, outputs);
  co_await merge.close();
  if (!copied) {
    co_await outputs.discard();
    co_await finished.discard(job.home);
    co_return std::unexpected(copied.error());
  }
  co_return std::move(finished);
}

}  // namespace ashlar::lsm
