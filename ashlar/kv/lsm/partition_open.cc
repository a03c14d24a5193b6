/// Opening a partition and closing it. Recovery, step by step:
///
///  1. The manifest says which tables there are, and from which index on the log is needed.
///  2. Tables that it does not name are what crashes left: removed. The others are opened: footer, filter,
///  index.
///  3. The log is replayed from that index into memtables; entries that tables hold already are passed over.
///  4. The clock goes on above every sequence seen. Everything found is durable: readers may see it.
///  5. Full memtables are flushed in the background, as ever.

#include <algorithm>

#include "ashlar/base/log.h"
#include "ashlar/kv/lsm/batch.h"
#include "ashlar/kv/lsm/partition.h"
#include "ashlar/runtime/sync/when.h"

namespace ashlar::lsm {

namespace {

constexpr std::uint32_t log_number = 0;
constexpr std::size_t tables_opened_at_once = 32;

/// A creation that was interrupted left no table and no log. Where there are any, it is the root record that
/// was lost: to begin anew would remove what was stored.
Task<Result<>> create_in(blob::Store& blobs, std::uint64_t id) {
  const blob::Listing listing = CO_TRY(blobs.list());
  const auto of_log = [](const blob::SegmentInfo& info) { return info.name.log == log_number; };
  if (!listing.tables.empty() || std::ranges::any_of(listing.segments, of_log)) {
    co_return fail(Errc::corrupt, "partition with data, but no root record", {.object = id});
  }
  CO_TRY(co_await ManifestLog::create(blobs, id));
  co_return Result<>{};
}

/// A table that does not open; where it is not there, the manifest's last edit is damaged.
Result<> not_opened(const Error& error) {
  if (error.code != Errc::not_found) return std::unexpected(error);
  return fail(Errc::corrupt, "table that the manifest names", {.object = error.object});
}

/// A table that no version has taken.
void discard(TableFile& table) {
  table.pin();
  table.unpin();
}

}  // namespace

Task<Result<>> LsmPartition::create(std::unique_ptr<blob::Store> blobs, std::uint64_t id) {
  const Result<> result = co_await create_in(*blobs, id);
  const Result<> closed = co_await blobs->close();
  co_return result ? closed : result;
}

Task<Result<std::unique_ptr<LsmPartition>>> LsmPartition::open(std::unique_ptr<blob::Store> blobs,
                                                               const LsmOptions& options, ShardContext& shard,
                                                               std::uint64_t id, const KeyRuleTable& rules) {
  std::unique_ptr<LsmPartition> partition(new LsmPartition(std::move(blobs), options, shard));
  partition->rules_ = rules;
  const Result<> recovered = co_await partition->recover(id);
  if (!recovered) {
    (void)co_await partition->close();
    co_return std::unexpected(recovered.error());
  }
  co_return std::move(partition);
}

Task<Result<>> LsmPartition::recover(std::uint64_t id) {
  manifest_ = CO_TRY(co_await ManifestLog::open(*blobs_));
  const ManifestState& state = manifest_->state();
  if (state.partition != id) co_return fail(Errc::corrupt, "partition number", {.object = state.partition});
  next_number_ = state.next_number;

  CO_TRY(co_await blobs_->remove_tables_except(state.numbers()));

  auto version = std::make_unique<Version>();
  if (state.cleared.value != 0) version->clears.push_back(state.cleared);
  memtable_ = new Memtable(shard_.chunks(), options_.memtable_bytes);
  version->memtables.push_back(memtable_);
  Result<> opened = co_await open_values(*version);
  if (opened) opened = co_await open_tables(*version);
  version->gather_ranges();
  versions_.publish(std::move(version));  // also where opening failed: it owns the tables that were opened
  CO_TRY(opened);

  clock_.observe(std::max(state.flushed, state.last_sequence));
  keep_for(shard_.state().clock);
  const std::uint64_t first_needed = std::max<std::uint64_t>(state.log_index, 1);
  log_ = CO_TRY(co_await wal::Log::open(*blobs_, log_number, options_.log, first_needed, *this));
  log_hold_.emplace(*log_, first_needed);
  restore(clock_.last());
  transactions_.settle(clock_.last());
  CO_TRY(lock_in_doubt());
  publish_floor();
  measure_tables();
  start_background();
  co_return Result<>{};
}

Task<Result<>> LsmPartition::open_tables(Version& version) {
  std::vector<TableMeta> wanted;
  for (const TableMeta* table : manifest_->state().in_order()) wanted.push_back(*table);
  Result<> result;
  for (std::size_t done = 0; done < wanted.size() && result; done += tables_opened_at_once) {
    std::vector<Task<Result<TableFile*>>> opening;
    for (std::size_t i = done; i < std::min(wanted.size(), done + tables_opened_at_once); ++i) {
      opening.push_back(
          TableFile::open(*blobs_, manifest_->state().partition, wanted[i], shard_.cache(), *this));
    }
    for (const auto& table : co_await when_all(std::move(opening))) {
      if (table) {
        if (const Result<> inserted = version.insert(**table); !inserted) {
          discard(**table);
          if (result) result = inserted;
        }
      } else if (result) {
        result = not_opened(table.error());
      }
    }
  }
  co_return result;
}

Task<Result<>> LsmPartition::open_values(Version& version) {
  std::vector<ValueTableMeta> wanted;
  for (const auto& [number, meta] : manifest_->state().values) wanted.push_back(meta);
  Result<> result;
  for (std::size_t done = 0; done < wanted.size() && result; done += tables_opened_at_once) {
    std::vector<Task<Result<ValueFile*>>> opening;
    for (std::size_t i = done; i < std::min(wanted.size(), done + tables_opened_at_once); ++i)
      opening.push_back(
          ValueFile::open(*blobs_, manifest_->state().partition, wanted[i], shard_.cache(), *this));
    for (const auto& file : co_await when_all(std::move(opening))) {
      if (file) {
        version.insert(**file);
      } else if (result) {
        result = not_opened(file.error());
      }
    }
  }
  co_return result;
}

Result<> LsmPartition::on_record(const wal::Record& record) {
  const Sequence sequence{record.header.sequence};
  clock_.observe(sequence);
  Result<> taken;
  switch (record.header.type) {
    case wal::RecordType::write: taken = on_batch(record); break;
    case wal::RecordType::prepare: taken = on_prepare(record); break;
    case wal::RecordType::outcome: taken = on_outcome(record); break;
    default:
      return fail(Errc::unsupported, "log record type", {.object = record.segment, .offset = record.offset});
  }
  if (taken && memtable_->bytes() >= options_.memtable_bytes) rotate(record.index + 1, sequence);
  return taken;
}

Result<> LsmPartition::on_batch(const wal::Record& record) {
  const Sequence sequence{record.header.sequence};
  BatchReader batch(record.payload, sequence, {.object = record.segment, .offset = record.offset});
  const bool flushed = sequence <= manifest_->state().flushed;
  while (TRY(batch.next())) {
    const Entry& entry = batch.entry();
    if (flushed) continue;
    if (entry.kind == Kind::clear) {
      clear(sequence);
    } else if (entry.kind == Kind::erase_range) {
      add_range(entry.key, entry.value, sequence);
    } else {
      insert_recovered(entry);
    }
  }
  return {};
}

void LsmPartition::insert_recovered(const Entry& entry) {
  memtable_->insert(entry, key_hash(entry.key));
  erases_ |= entry.kind == Kind::erase;
}

void LsmPartition::on_durable(const wal::Progress& progress) noexcept {
  const Sequence before = durable_sequence();
  settle(Sequence{progress.sequence});
  if (!transactions_.empty()) {
    transactions_.settle(Sequence{progress.sequence});
    publish_floor();
    transactions_.forget(shard_.state().undecided, in_tables_);
  }
  const auto& clears = versions_.load().clears;
  if ((!clears.empty() && clears.back() > before) || newest_range_ > before)
    work_.notify_all();  // what it covers may be dropped now
  if (log_ != nullptr && !closing_) update_stall();
}

void LsmPartition::on_stopped(const Error& why) noexcept {
  if (!stop_reason())
    log::error("partition {}: {}; no writes until it is opened again", manifest_->state().partition, why);
  stopped_.store(true, std::memory_order_release);
  stop(why);
  work_.notify_all();
  progressed_.notify_all();
}

Task<Result<>> LsmPartition::close() {
  closing_ = true;
  pacer_.release_all();
  hold_from(sequence_max);
  work_.notify_all();
  progressed_.notify_all();
  background_.cancel();
  if (log_ != nullptr) log_->give_up_waiting();  // a flush may wait for a write that waits for space
  co_await background_.join();
  co_await table_reads_.join();
  while (loads_without_reader_ != 0) (void)co_await loads_done_.wait();
  Result<> result;
  if (log_ != nullptr) result = co_await log_->close();
  fail_callbacks({.code = Errc::closed, .where = "write"});
  log_hold_.reset();
  log_.reset();
  if (!versions_.empty()) versions_.reset();
  frozen_.clear();
  memtable_ = nullptr;
  shard_.epochs().drain();
  for (const std::uint64_t number : std::exchange(removals_, {})) {
    (void)co_await blobs_->remove_table(number);  // what stays is removed at the next open
  }
  manifest_.reset();
  const Result<> closed = co_await blobs_->close();
  co_return result ? closed : result;
}

}  // namespace ashlar::lsm
