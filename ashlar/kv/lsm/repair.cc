// Repair of a partition, step by step:
//
//   1. the manifest is read, the log followed, every table checked; where all is whole, that is all
//   2. tables that are damaged go into quarantine: a clone under another number, then the number is free
//   3. tables that refer to values in damaged value tables are written anew: with the values, in new value
//      tables, or without the entries where those cannot be read
//   4. where the manifest is lost: tables of a flush that may be unfinished are left out, if the log has all
//   of it
//   5. of a damaged log, and of any log where the manifest is lost, the records newer than the tables become
//      tables
//   6. where the manifest is lost: tables of which nothing says that one is newer than the other are merged
//      (arrange.h); each goes as deep as what it overlaps lets it
//   7. the new manifest: the commit point
//   8. the log's segments, whose records are in tables now, go into quarantine
//   9. commit records of transactions across partitions, which others may ask for, begin the new log
//
// A crash before 7 leaves tables that nothing names, and what was damaged; after it, segments that the next
// repair takes away.

#include "ashlar/kv/lsm/repair.h"

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "ashlar/kv/lsm/arrange.h"
#include "ashlar/kv/lsm/batch.h"
#include "ashlar/kv/lsm/blob_stream.h"
#include "ashlar/kv/lsm/checkpoint.h"
#include "ashlar/kv/lsm/manifest_log.h"
#include "ashlar/kv/lsm/repair_values.h"
#include "ashlar/kv/lsm/shard_context.h"
#include "ashlar/kv/lsm/table_job.h"
#include "ashlar/kv/lsm/transaction_record.h"
#include "ashlar/kv/lsm/unfinished_flush.h"
#include "ashlar/kv/root_record.h"
#include "ashlar/log/recovery.h"
#include "ashlar/log/salvage.h"

namespace ashlar::lsm {

namespace {

constexpr std::uint32_t root_number = 0;
constexpr std::uint32_t log_number = 0;
constexpr std::uint64_t segment_bit = std::uint64_t{1} << 62;  // of a number in quarantine

/// Puts the records that no table holds into a memtable. Of transactions across partitions those whose commit
/// record is there, too; the others may be committed or not, and keys of theirs written since.
class Replay final : public wal::RecordVisitor {
 public:
  /// A commit record, for participants that ask for the outcome.
  struct Commit {
    wal::RecordHeader header;
    std::vector<std::byte> payload;
  };

  Replay(ChunkPool& chunks, std::size_t bytes, Sequence flushed)
      : chunks_(chunks), bytes_(bytes), flushed_(flushed) {
    begin();
  }
  Result<> on_record(const wal::Record& record) override {
    last = std::max(last, Sequence{record.header.sequence});
    const Result<> taken = take(record);
    if (!taken) ++undecoded;  // what of it was decoded stays: this is salvage
    return {};
  }
  Memtable& memtable() noexcept { return static_cast<Memtable&>(*pin_.held()); }
  bool full() noexcept { return memtable().bytes() >= bytes_; }
  bool empty() noexcept { return memtable().empty() && memtable().ranges().empty(); }
  void begin() { pin_ = kv::Pin(*new Memtable(chunks_, bytes_)); }
  std::uint64_t in_doubt() const noexcept { return undecoded + prepared_.size(); }
  const std::vector<Commit>& commits() const noexcept { return commits_; }

  std::uint64_t records = 0, undecoded = 0;
  Sequence cleared, last;

 private:
  using Key = std::pair<Sequence, kv::LockOwner>;

  Result<> take(const wal::Record& record) {
    const ErrorPlace place{.object = record.segment, .offset = record.offset};
    const Sequence sequence{record.header.sequence};
    if (record.header.type == wal::RecordType::write)
      return sequence <= flushed_ ? Result<>() : take_batch(record.payload, sequence, place);
    const TransactionHead head = TRY(decode_transaction_head(record.payload, place));
    const Key key{head.id.sequence, head.id.number};
    if (record.header.type == wal::RecordType::prepare) {
      prepared_.insert_or_assign(key, std::vector(head.rest.begin(), head.rest.end()));
      return {};
    }
    const kv::Outcome outcome = TRY(decode_outcome(head, place));
    const auto batch = prepared_.extract(key);
    if (outcome == kv::Outcome::aborted) return {};
    commits_.push_back({record.header, {record.payload.begin(), record.payload.end()}});
    if (batch.empty() || sequence <= flushed_) return {};
    return take_batch(batch.mapped(), head.id.sequence, place);
  }
  Result<> take_batch(Bytes payload, Sequence sequence, ErrorPlace place) {
    ++records;
    BatchReader batch(payload, sequence, place);
    while (TRY(batch.next())) {
      const Entry& entry = batch.entry();
      if (entry.kind == Kind::clear) {
        cleared = std::max(cleared, sequence);
      } else if (entry.kind == Kind::erase_range) {
        memtable().add_range({.first = std::string(as_text(entry.key)),
                              .end = std::string(as_text(entry.value)),
                              .sequence = sequence});
      } else {
        memtable().insert(entry, key_hash(entry.key));
      }
    }
    return {};
  }

  ChunkPool& chunks_;
  std::size_t bytes_;
  Sequence flushed_;
  kv::Pin pin_;
  std::map<Key, std::vector<std::byte>> prepared_;  // batches without an outcome so far
  std::vector<Commit> commits_;
};

/// Accepts what recovery would replay.
class Ignore final : public wal::RecordVisitor {
 public:
  Result<> on_record(const wal::Record&) override { return {}; }
};

class Repair {
 public:
  Repair(blob::Store& blobs, std::uint32_t partition, const LsmOptions& options, RepairOptions how)
      : blobs_(blobs), options_(options), how_(how), shard_(options, options.cache_bytes) {
    report_.partition = partition;
  }
  ~Repair() { shard_.epochs().drain(); }
  Task<Result<PartitionRepair>> run();

 private:
  Task<Result<>> examine();
  Task<Result<>> check_tables();
  Task<Result<>> check_keys(std::uint64_t number);
  bool is_known(std::uint64_t number) const noexcept;
  void note_missing(const blob::Listing& listing);
  Task<Result<>> leave_out_unfinished_flush();
  Task<Result<>> rewrite_tables();
  Task<Result<>> set_values_aside();
  Task<Result<>> quarantine_tables();
  Task<Result<>> salvage_log();
  Task<Result<>> write_memtable(Replay& replay);
  Task<Result<>> remove_log();
  Task<Result<>> keep_commits();
  TableJob job(unsigned level);
  Sequence flushed() const noexcept;

  blob::Store& blobs_;
  const LsmOptions& options_;
  RepairOptions how_;
  ShardContext shard_;
  KeyRuleTable rules_;  // none: merge operands stay as they are
  PartitionRepair report_;
  std::optional<ManifestState> manifest_;
  bool log_damaged_ = false;
  std::vector<TableMeta> whole_;  // tables that can be read
  RepairValues values_{blobs_};
  std::vector<blob::SegmentName> segments_;
  std::vector<Replay::Commit> commits_;
  ManifestState next_;
};

TableJob Repair::job(unsigned level) {
  return {.home = JobHome(blobs_),
          .options = options_.table,
          .partition = report_.partition,
          .level = level,
          .run = std::nullopt,
          .table_bytes_max = options_.table_bytes,
          .horizon = {.oldest = {}, .oldest_now_ms = 0, .cleared = {}},  // every version stays
          .rules = rules_,
          .ranges = {},
          .nothing_older = [](Bytes) { return false; },
          .next_number = [this] { return next_.next_number++; },
          .separate_bytes = options_.separate_bytes,
          .value_table_bytes = options_.table_bytes};
}

Sequence Repair::flushed() const noexcept {
  Sequence newest = manifest_ ? manifest_->flushed : Sequence{};
  if (manifest_) return newest;
  for (const TableMeta& table : whole_) newest = std::max(newest, table.largest_sequence);
  return newest;
}

bool Repair::is_known(std::uint64_t number) const noexcept {
  return !manifest_ || manifest_->tables.contains(number) || manifest_->values.contains(number);
}

Task<Result<>> Repair::check_keys(std::uint64_t number) {
  const auto known = manifest_ ? manifest_->tables.find(number) : decltype(manifest_->tables.end())();
  UseCheck uses;
  auto found = co_await check_table(blobs_, report_.partition, number, nullptr, &uses);
  if (found) {
    ValueEnds used = std::move(uses).uses();
    for (const auto& [table, end] :
         used) {  // also of tables that are missing: their numbers are not given again
      if (!blob::quarantined(table)) next_.next_number = std::max(next_.next_number, table + 1);
    }
    values_.refers(number, std::move(used));
    whole_.push_back(manifest_ ? known->second : *std::move(found));
    co_return Result<>{};
  }
  if (found.error().code != Errc::corrupt && found.error().code != Errc::io)
    co_return std::unexpected(found.error());
  LostTable lost{.number = number, .why = found.error(), .smallest_key = {}, .largest_key = {}};
  if (manifest_) {
    lost.entries = known->second.entries;
    lost.smallest_key = known->second.smallest_key;
    lost.largest_key = known->second.largest_key;
  }
  report_.lost.push_back(std::move(lost));
  co_return Result<>{};
}

Task<Result<>> Repair::check_tables() {
  const blob::Listing listing = CO_TRY(blobs_.list());
  for (const blob::SegmentInfo& segment : listing.segments) {
    if (segment.name.log == log_number) segments_.push_back(segment.name);
  }
  for (const blob::TableInfo& info : listing.tables) {
    if (blob::quarantined(info.number)) continue;
    next_.next_number = std::max(next_.next_number, info.number + 1);
    if (!is_known(info.number)) continue;  // what a crash left
    const bool of_values =
        manifest_ ? manifest_->values.contains(info.number) : co_await is_value_table(blobs_, info.number);
    if (!of_values) {
      CO_TRY(co_await check_keys(info.number));
    } else if (const auto why = CO_TRY(co_await values_.check(report_.partition, info.number))) {
      report_.lost.push_back({.number = info.number, .why = *why, .smallest_key = {}, .largest_key = {}});
    }
  }
  if (manifest_) note_missing(listing);
  co_return Result<>{};
}

/// Those that are not there at all.
void Repair::note_missing(const blob::Listing& listing) {
  for (const std::uint64_t number : manifest_->numbers()) {
    if (std::ranges::binary_search(listing.tables, number, {}, &blob::TableInfo::number)) continue;
    LostTable lost{.number = number,
                   .why = Error{Errc::corrupt, 0, "table is missing", number, 0},
                   .smallest_key = {},
                   .largest_key = {}};
    if (const auto table = manifest_->tables.find(number); table != manifest_->tables.end()) {
      lost.entries = table->second.entries;
      lost.smallest_key = table->second.smallest_key;
      lost.largest_key = table->second.largest_key;
    }
    report_.lost.push_back(std::move(lost));
  }
}

Task<Result<>> Repair::examine() {
  auto read = co_await ManifestLog::read(blobs_);
  if (read && read->partition == report_.partition && !how_.force) {
    manifest_ = *std::move(read);
    next_ = *manifest_;
  } else if (!read && read.error().code != Errc::corrupt && read.error().code != Errc::io) {
    co_return std::unexpected(read.error());
  }
  next_.partition = report_.partition;
  CO_TRY(co_await check_tables());
  if (manifest_) {
    Ignore ignore;
    const std::uint64_t first = std::max<std::uint64_t>(manifest_->log_index, 1);
    const auto recovered = co_await wal::recover(blobs_, log_number, first, ignore);
    log_damaged_ = !recovered;
    report_.healthy = recovered && report_.lost.empty() && values_.all_there();
  }
  co_return Result<>{};
}

Task<Result<>> Repair::quarantine_tables() {
  const blob::Listing listing = CO_TRY(blobs_.list());
  const auto there = [&](std::uint64_t number) {
    return std::ranges::any_of(listing.tables, [&](const auto& info) { return info.number == number; });
  };
  for (const LostTable& lost : report_.lost) {
    if (!there(lost.number)) continue;
    const std::uint64_t aside = lost.number | blob::quarantine_bit;
    if (!there(aside)) CO_TRY(co_await blobs_.clone_table(lost.number, aside));
  }
  co_return Result<>{};
}

Task<Result<>> Repair::leave_out_unfinished_flush() {
  const auto numbers =
      CO_TRY(co_await tables_that_the_log_has(blobs_, report_.partition, log_number, whole_));
  for (const std::uint64_t number : numbers) values_.forget(number);
  std::erase_if(whole_,
                [&](const TableMeta& table) { return std::ranges::binary_search(numbers, table.number); });
  co_return Result<>{};
}

/// In their places.
Task<Result<>> Repair::rewrite_tables() {
  std::vector<TableMeta> rewritten;
  for (TableMeta& table : whole_) {
    if (!values_.concern(table.number)) {
      rewritten.push_back(std::move(table));
      continue;
    }
    Arrangement arrangement{.job = job(table.level), .shard = shard_, .merged = 0};
    arrangement.job.run = table.run;
    arrangement.job.table_bytes_max = ~std::uint64_t{0};
    arrangement.job.values = &values_;
    JobOutput written = CO_TRY(co_await merge_tables({table}, arrangement));
    for (TableMeta& one : written.tables) rewritten.push_back(std::move(one));
    values_.add(written.values);
  }
  whole_ = std::move(rewritten);
  report_.values_lost = values_.lost();
  co_return Result<>{};
}

/// Where tables are lost, what only they referred to.
Task<Result<>> Repair::set_values_aside() {
  if (report_.lost.empty()) co_return Result<>{};
  const blob::Listing listing = CO_TRY(blobs_.list());
  for (const std::uint64_t number : values_.unreferenced()) {
    const std::uint64_t aside = number | blob::quarantine_bit;
    if (!std::ranges::binary_search(listing.tables, aside, {}, &blob::TableInfo::number))
      CO_TRY(co_await blobs_.clone_table(number, aside));
  }
  co_return Result<>{};
}

Task<Result<>> Repair::write_memtable(Replay& replay) {
  if (replay.empty()) co_return Result<>{};
  TableJob write = job(0);
  JobMerge merge(write.home);
  merge.add(replay.memtable());
  write.ranges = replay.memtable().ranges();
  JobOutput written = CO_TRY(co_await write_tables(merge, write));
  for (TableMeta& table : written.tables) whole_.push_back(std::move(table));
  values_.add(written.values);
  replay.begin();
  co_return Result<>{};
}

Task<Result<>> Repair::salvage_log() {
  Replay replay(shard_.chunks(), options_.memtable_bytes, flushed());
  const auto salvage = CO_TRY(co_await wal::Salvage::open(blobs_, log_number));
  while (CO_TRY(co_await salvage->next(replay))) {
    if (replay.full()) CO_TRY(co_await write_memtable(replay));
  }
  CO_TRY(co_await write_memtable(replay));
  report_.log_salvaged = true;
  report_.records_salvaged = replay.records;
  report_.records_in_doubt = replay.in_doubt();
  commits_ = replay.commits();
  next_.cleared = std::max(next_.cleared, replay.cleared);
  next_.flushed = std::max(next_.flushed, replay.last);  // all of it is in tables
  co_return Result<>{};
}

/// Segments cannot be cloned: a damaged one's bytes, as far as they can be read, become a table in
/// quarantine.
Task<Result<>> Repair::remove_log() {
  for (const blob::SegmentName& name : segments_) {
    const std::uint64_t aside = name.number | segment_bit | blob::quarantine_bit;
    const auto segment = co_await blobs_.open_segment(name);
    const blob::Listing listing = CO_TRY(blobs_.list());
    const bool kept =
        std::ranges::any_of(listing.tables, [&](const auto& info) { return info.number == aside; });
    if (segment && !kept) {
      const auto stream = CO_TRY(co_await StreamWriter::create(blobs_, aside));
      const IoBuffer buffer = CO_TRY(Shard::current().buffers().allocate_regardless(stream_buffer_bytes));
      for (std::uint64_t at = 0; at < (*segment)->bytes(); at += stream_buffer_bytes) {
        const MutableBytes piece =
            buffer.bytes().first(std::min(stream_buffer_bytes, (*segment)->bytes() - at));
        if (!co_await (*segment)->read(at, piece)) std::ranges::fill(piece, std::byte{0});
        CO_TRY(co_await stream->append(piece));
      }
      CO_TRY(co_await stream->finish());
    }
    CO_TRY(co_await blobs_.remove_segment(name));
  }
  co_return Result<>{};
}

/// Another participant may be in doubt, and asks this one at the next open.
Task<Result<>> Repair::keep_commits() {
  if (commits_.empty()) co_return Result<>{};
  const auto log = CO_TRY(co_await PartitionCopy::begin(blobs_, options_));
  Result<> kept;
  for (const Replay::Commit& commit : commits_) {
    if (kept) kept = co_await log->make_room();
    if (kept) kept = log->append(commit.header, commit.payload);
  }
  co_return co_await log->finish(kept, next_);
}

Task<Result<PartitionRepair>> Repair::run() {
  CO_TRY(co_await examine());
  if (!manifest_) CO_TRY(co_await leave_out_unfinished_flush());
  report_.tables = whole_.size();
  if (report_.healthy) co_return std::move(report_);
  CO_TRY(co_await quarantine_tables());
  CO_TRY(co_await rewrite_tables());
  const bool salvage = !manifest_ || log_damaged_;
  if (salvage) CO_TRY(co_await salvage_log());
  if (!manifest_) {
    report_.manifest_rebuilt = true;
    Arrangement arrangement{.job = job(0), .shard = shard_, .merged = 0};
    JobOutput arranged = CO_TRY(co_await arrange(std::move(whole_), arrangement));
    whole_ = std::move(arranged.tables);
    values_.add(arranged.values);
    report_.tables_merged = arrangement.merged;
  }
  CO_TRY(co_await set_values_aside());
  next_.values = values_.named();
  next_.tables.clear();
  for (TableMeta& table : whole_) {
    next_.flushed = std::max(next_.flushed, table.largest_sequence);
    next_.tables[table.number] = std::move(table);
  }
  next_.last_sequence = std::max(next_.last_sequence, next_.flushed);
  if (salvage) next_.log_index = 0;
  report_.tables = next_.tables.size();
  CO_TRY(co_await ManifestLog::replace(blobs_, next_));
  if (salvage) {
    CO_TRY(co_await remove_log());
    CO_TRY(co_await keep_commits());
  }
  co_return std::move(report_);
}

/// What the partitions of one data set share.
struct WholeRepair {
  blob::Home& home;
  blob::Store& root;
  kv::RootRecord record;
  const LsmOptions& options;
  RepairOptions how;
  bool renamed = false;
};

Task<Result<PartitionRepair>> repair_if_damaged(WholeRepair& whole, blob::Store& blobs, std::uint32_t id) {
  const VerifyReport found = co_await verify_partition(blobs, id, {});
  if (found.damages.empty() && !whole.how.force)
    co_return PartitionRepair{.partition = id, .healthy = true, .tables = found.tables, .lost = {}};
  // Numbers of tables may be given again: it is not the data set that backups know any more.
  if (!std::exchange(whole.renamed, true)) {
    whole.record.directory_id = Shard::current().backend().random();
    CO_TRY(co_await whole.root.write_root(root_number, whole.record.encode()));
  }
  co_return co_await repair_partition(blobs, id, whole.options, whole.how);
}

Task<Result<std::vector<PartitionRepair>>> repair_opened(blob::Home& home, blob::Store& root,
                                                         const LsmOptions& options, RepairOptions how) {
  const auto stored = CO_TRY(co_await root.read_root(root_number));
  if (!stored) co_return fail(Errc::not_found, "root record: no data set");
  WholeRepair whole{home, root, CO_TRY(kv::RootRecord::decode(*stored)), options, how};
  std::vector<PartitionRepair> reports;
  for (std::uint32_t id = 0; id < whole.record.partitioner.partitions(); ++id) {
    const auto blobs = CO_TRY(co_await home.open_partition(id));
    auto repaired = co_await repair_if_damaged(whole, *blobs, id);
    const Result<> closed = co_await blobs->close();
    reports.push_back(CO_TRY(std::move(repaired)));
    CO_TRY(closed);
  }
  co_return reports;
}

}  // namespace

Task<Result<PartitionRepair>> repair_partition(blob::Store& blobs, std::uint32_t partition,
                                               const LsmOptions& options, RepairOptions how) {
  const auto repair = std::make_unique<Repair>(blobs, partition, options, how);
  co_return co_await repair->run();
}

Task<Result<std::vector<PartitionRepair>>> repair_data_set(blob::Home& home, const LsmOptions& options,
                                                           RepairOptions how) {
  const auto root = CO_TRY(co_await home.open_root());
  auto repaired = co_await repair_opened(home, *root, options, how);
  const Result<> closed = co_await root->close();
  if (repaired && !closed) co_return std::unexpected(closed.error());
  co_return repaired;
}

}  // namespace ashlar::lsm
