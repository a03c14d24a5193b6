#include "ashlar/kv/lsm/verify.h"

#include <algorithm>
#include <memory>

#include "ashlar/kv/lsm/batch.h"
#include "ashlar/kv/lsm/manifest_log.h"
#include "ashlar/kv/lsm/transaction_record.h"
#include "ashlar/kv/lsm/value_check.h"
#include "ashlar/kv/root_record.h"
#include "ashlar/log/recovery.h"
#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/sync/when.h"

namespace ashlar::lsm {

namespace {

constexpr std::uint32_t root_number = 0;
constexpr std::uint32_t log_number = 0;

/// Decodes what recovery would replay.
class LogCheck final : public wal::RecordVisitor {
 public:
  Result<> on_record(const wal::Record& record) override {
    ++records_;
    const ErrorPlace place{.object = record.segment, .offset = record.offset};
    if (record.header.type == wal::RecordType::write)
      return read(record.payload, Sequence{record.header.sequence}, place);
    const TransactionHead head = TRY(decode_transaction_head(record.payload, place));
    if (record.header.type == wal::RecordType::prepare) return read(head.rest, head.id.sequence, place);
    TRY(decode_outcome(head, place));
    return {};
  }
  std::uint64_t records() const noexcept { return records_; }

 private:
  static Result<> read(Bytes payload, Sequence sequence, ErrorPlace place) {
    BatchReader batch(payload, sequence, place);
    while (TRY(batch.next())) {
    }
    return {};
  }

  std::uint64_t records_ = 0;
};

/// Whether the file is the table that the manifest means. Where it stands in the tree is the manifest's
/// alone.
bool same_table(const TableMeta& said, const TableMeta& found) {
  TableMeta expected = said;
  expected.file_bytes = found.file_bytes;
  expected.entries = found.entries;
  expected.tombstones = found.tombstones;
  expected.smallest_sequence = found.smallest_sequence;
  expected.largest_sequence = found.largest_sequence;
  if (said.ingested && found.smallest_sequence == found.largest_sequence) {
    expected.smallest_sequence = said.smallest_sequence;  // the file has another one in its place
    expected.largest_sequence = said.largest_sequence;
  }
  expected.smallest_key = found.smallest_key;
  expected.largest_key = found.largest_key;
  return expected == said;
}

/// What the lanes of one partition share.
struct Tables {
  blob::Store& blobs;
  std::uint32_t partition;
  std::vector<std::uint64_t> numbers;
  const ManifestState* state;  // null: nobody knows what the tables must be
  std::size_t next = 0;
  CheckProgress* progress;
  VerifyReport& report;
};

Task<Result<>> check_keys(Tables* tables, std::uint64_t number) {
  std::optional<ReferenceCheck> references;
  if (tables->state != nullptr) references.emplace(*tables->state);
  const TableMeta found = CO_TRY(co_await check_table(tables->blobs, tables->partition, number,
                                                      tables->progress, references ? &*references : nullptr));
  if (tables->state != nullptr && !same_table(tables->state->tables.at(number), found))
    co_return fail(Errc::corrupt, "table is not what the manifest says", {.object = number});
  VerifyReport& report = tables->report;
  ++report.tables;
  report.table_bytes += found.file_bytes;
  report.entries += found.entries;
  co_return Result<>{};
}

Task<Result<>> check_values(Tables* tables, std::uint64_t number) {
  const ValueTableMeta found =
      CO_TRY(co_await check_value_table(tables->blobs, tables->partition, number, tables->progress));
  if (tables->state != nullptr && tables->state->values.at(number) != found)
    co_return fail(Errc::corrupt, "value table is not what the manifest says", {.object = number});
  ++tables->report.value_tables;
  tables->report.value_table_bytes += ValueFooter::file_bytes(found.data_bytes);
  co_return Result<>{};
}

Task<> check_lane(Tables* tables) {
  while (tables->next < tables->numbers.size()) {
    const std::uint64_t number = tables->numbers[tables->next++];
    bool of_values = false;
    if (tables->state != nullptr) {
      of_values = tables->state->values.contains(number);
    } else {
      of_values = co_await is_value_table(tables->blobs, number);
    }
    const Result<> found =
        of_values ? co_await check_values(tables, number) : co_await check_keys(tables, number);
    if (found) continue;
    Error error = found.error();
    // A name that is gone is damage of the data set, not a mistake of who asks.
    if (error.code == Errc::not_found) error = {Errc::corrupt, 0, "table is missing", number, 0};
    tables->report.damages.push_back({Damage::Part::table, tables->partition, error});
  }
}

Task<> check_tables(Tables tables, unsigned lanes) {
  std::vector<Task<>> running;
  for (unsigned lane = 0; lane < std::max(lanes, 1u); ++lane) running.push_back(check_lane(&tables));
  (void)co_await when_all(std::move(running));
}

Task<Result<VerifyReport>> verify_on_shard(blob::Home* home, std::uint32_t partition, VerifyOptions options) {
  auto blobs = co_await home->open_partition(partition);
  if (!blobs) {
    if (blobs.error().code == Errc::busy) co_return std::unexpected(blobs.error());
    VerifyReport report;
    report.partitions = 1;
    report.damages.push_back({Damage::Part::store, partition, blobs.error()});
    co_return report;
  }
  VerifyReport report = co_await verify_partition(**blobs, partition, options);
  CO_TRY(co_await (*blobs)->close());
  co_return report;
}

Task<Result<VerifyReport>> verify_at(blob::Home* home, std::uint32_t partition, VerifyOptions options) {
  co_return co_await invoke(ShardId{partition % options.shards},
                            [&] { return verify_on_shard(home, partition, options); });
}

Task<Result<VerifyReport>> verify_opened(blob::Home& home, blob::Store& root, VerifyOptions options) {
  const auto stored = co_await root.read_root(root_number);
  if (stored && !*stored) co_return fail(Errc::not_found, "root record: no data set");
  const auto record = stored ? kv::RootRecord::decode(**stored) : std::unexpected(stored.error());
  if (!record) {
    VerifyReport report;
    report.damages.push_back({Damage::Part::root, 0, record.error()});
    co_return report;
  }
  VerifyReport whole;
  std::vector<Task<Result<VerifyReport>>> parts;
  for (std::uint32_t id = 0; id < record->partitioner.partitions(); ++id)
    parts.push_back(verify_at(&home, id, options));
  for (auto& part : co_await when_all(std::move(parts))) whole.add(CO_TRY(std::move(part)));
  co_return whole;
}

}  // namespace

void VerifyReport::add(VerifyReport other) {
  partitions += other.partitions;
  tables += other.tables;
  table_bytes += other.table_bytes;
  entries += other.entries;
  value_tables += other.value_tables;
  value_table_bytes += other.value_table_bytes;
  log_records += other.log_records;
  unreferenced_tables += other.unreferenced_tables;
  quarantined_blobs += other.quarantined_blobs;
  damages.insert(damages.end(), other.damages.begin(), other.damages.end());
}

Task<VerifyReport> verify_partition(blob::Store& blobs, std::uint32_t partition, VerifyOptions options) {
  VerifyReport report;
  report.partitions = 1;
  const auto damaged = [&](Damage::Part part, const Error& error) {
    report.damages.push_back({part, partition, error});
  };
  auto state = co_await ManifestLog::read(blobs);
  if (state && state->partition != partition)
    state = fail(Errc::corrupt, "manifest of another partition", {.object = state->partition});
  if (!state) damaged(Damage::Part::manifest, state.error());

  if (state) {  // only the manifest knows where the log begins
    LogCheck log;
    const std::uint64_t first = std::max<std::uint64_t>(state->log_index, 1);
    if (const auto read = co_await wal::recover(blobs, log_number, first, log); !read)
      damaged(Damage::Part::log, read.error());
    report.log_records = log.records();
  }
  Tables tables{.blobs = blobs,
                .partition = partition,
                .numbers = {},
                .state = state ? &*state : nullptr,
                .progress = options.progress,
                .report = report};
  if (state) tables.numbers = state->numbers();
  if (const auto listing = blobs.list(); !listing) {
    damaged(Damage::Part::store, listing.error());
  } else {
    for (const blob::TableInfo& table : listing->tables) {
      if (blob::quarantined(table.number)) {
        ++report.quarantined_blobs;
      } else if (!state) {
        tables.numbers.push_back(table.number);
      } else if (!std::ranges::binary_search(tables.numbers, table.number)) {
        ++report.unreferenced_tables;
      }
    }
  }
  co_await check_tables(std::move(tables), options.tables_at_once);
  std::ranges::sort(report.damages, {}, [](const Damage& damage) { return damage.error.object; });
  co_return report;
}

Task<Result<VerifyReport>> verify_data_set(blob::Home& home, VerifyOptions options) {
  const auto root = CO_TRY(co_await home.open_root());
  auto report = co_await verify_opened(home, *root, options);
  const Result<> closed = co_await root->close();
  if (report && !closed) co_return std::unexpected(closed.error());
  co_return report;
}

}  // namespace ashlar::lsm
