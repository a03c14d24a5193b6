// A generation is added, step by step:
//
//   1. blobs that no generation refers to, of a run that was interrupted, are removed
//   2. a cut of every partition, at one sequence
//   3. the records of each log that its tables do not hold, as a blob
//   4. of each table that the data set's last generation does not have, a copy; its checksum
//   5. the catalogue, as a blob
//   6. the repository's record, with the generation: from here on it exists

#include "ashlar/kv/lsm/backup.h"

#include <algorithm>
#include <cassert>
#include <set>
#include <utility>

#include "ashlar/kv/lsm/backup_format.h"
#include "ashlar/runtime/mesh/invoke.h"

namespace ashlar::lsm {

namespace {

constexpr std::uint32_t root_number = 0;

/// Keeps copies of the records of one piece.
class Collector final : public wal::RecordVisitor {
 public:
  Result<> on_record(const wal::Record& record) override {
    const std::vector<std::byte> header = encode_record_header(record.header, record.payload.size());
    bytes.insert(bytes.end(), header.begin(), header.end());
    bytes.insert(bytes.end(), record.payload.begin(), record.payload.end());
    return {};
  }
  std::vector<std::byte> bytes;
};

void references(const BackupGeneration& generation, const BackupCatalogue& catalogue,
                std::map<std::uint64_t, StreamEnd>& to) {
  to[generation.catalogue.number] = generation.catalogue.end;
  for (const auto& partition : catalogue.partitions) {
    if (partition.records.number != 0) to[partition.records.number] = partition.records.end;
    for (const auto& [number, blob] : partition.tables) to[blob.number] = blob.end;
  }
}

}  // namespace

BackupRepository::~BackupRepository() {
  assert(blobs_ == nullptr && "close() it first");
}

Task<Result<std::unique_ptr<BackupRepository>>> BackupRepository::open(std::unique_ptr<blob::Store> blobs) {
  std::unique_ptr<BackupRepository> repository(new BackupRepository(std::move(blobs)));
  const Result<> loaded = co_await repository->load();
  if (!loaded) {
    (void)co_await repository->close();
    co_return std::unexpected(loaded.error());
  }
  co_return repository;
}

Task<Result<>> BackupRepository::load() {
  const auto stored = CO_TRY(co_await blobs_->read_root(root_number));
  if (!stored) {
    const blob::Listing listing = CO_TRY(blobs_->list());
    if (!listing.tables.empty() || !listing.segments.empty())
      co_return fail(Errc::invalid, "this is no backup repository");
    id_ = Shard::current().backend().random();
    co_return co_await write_record();
  }
  RepositoryRecord record = CO_TRY(RepositoryRecord::decode(*stored));
  id_ = record.id;
  next_number_ = record.next_number;
  next_generation_ = record.next_generation;
  generations_ = std::move(record.generations);
  co_return Result<>{};
}

Task<Result<>> BackupRepository::close() {
  if (blobs_ == nullptr) co_return Result<>{};
  const Result<> closed = co_await blobs_->close();
  blobs_.reset();
  co_return closed;
}

Task<Result<>> BackupRepository::write_record() {
  const RepositoryRecord record{id_, next_number_, next_generation_, generations_};
  co_return co_await blobs_->write_root(root_number, record.encode());
}

Task<Result<BackupCatalogue>> BackupRepository::catalogue_of(BackupGeneration generation) {
  const auto bytes =
      CO_TRY(co_await read_stream(*blobs_, generation.catalogue.number, generation.catalogue.end));
  co_return BackupCatalogue::decode(bytes, {.object = generation.catalogue.number});
}

/// A catalogue that cannot be read is an error: what it refers to must not be taken for unused.
Task<Result<>> BackupRepository::remove_unused() {
  std::map<std::uint64_t, StreamEnd> used;
  for (const BackupGeneration& generation : std::vector(generations_))
    references(generation, CO_TRY(co_await catalogue_of(generation)), used);
  std::vector<std::uint64_t> keep;
  for (const auto& [number, end] : used) keep.push_back(number);
  co_return co_await blobs_->remove_tables_except(std::move(keep));
}

Task<Result<BackupBlob>> BackupRepository::write_records(const StoreCut& cut, std::uint32_t id) {
  const ShardId home = cut.home_of(id);
  BackupBlob blob{.number = next_number_++, .end = {}};
  const auto stream = CO_TRY(co_await StreamWriter::create(*blobs_, blob.number));
  for (bool more = true; more;) {
    Collector piece;
    more = CO_TRY(co_await invoke(home, [&] { return cut.cut(id).read_records(piece); }));
    CO_TRY(co_await stream->append(piece.bytes));
  }
  blob.end = CO_TRY(co_await stream->finish());
  co_return blob;
}

Task<Result<>> BackupRepository::add_partition(const StoreCut& cut, std::uint32_t id,
                                               BackupCatalogue& catalogue, const BackupCatalogue* before,
                                               BackupGeneration& generation) {
  BackupCatalogue::Partition& partition = catalogue.partitions.emplace_back();
  const BackupCatalogue::Partition* const known =
      before != nullptr && id < before->partitions.size() ? &before->partitions[id] : nullptr;
  partition.state = cut.cut(id).state();
  partition.records = CO_TRY(co_await write_records(cut, id));
  generation.added_bytes += partition.records.end.bytes;
  for (const std::uint64_t number : partition.state.numbers()) {
    ++generation.tables;
    generation.table_bytes += partition.state.file_bytes(number);
    const auto had = known != nullptr ? known->tables.find(number) : decltype(known->tables.end())();
    if (known != nullptr && had != known->tables.end()) {
      partition.tables[number] = had->second;
      continue;
    }
    BackupBlob blob{.number = next_number_++, .end = {}};
    blob.end =
        CO_TRY(co_await copy_table(cut.cut(id).blobs(), cut.home_of(id), number, *blobs_, blob.number));
    generation.added_bytes += blob.end.bytes;
    partition.tables[number] = blob;
  }
  co_return Result<>{};
}

Task<Result<BackupGeneration>> BackupRepository::add_cut(const StoreCut& cut) {
  BackupGeneration generation{.number = next_generation_,
                              .created_ms = Shard::current().backend().wall_ms(),
                              .directory_id = cut.store().root().directory_id,
                              .at = cut.at(),
                              .catalogue = {}};
  BackupCatalogue catalogue{.root = cut.store().root(), .partitions = {}};
  // Numbers of tables are given once in the life of a data set: the same number is the same table.
  std::unique_ptr<BackupCatalogue> before;
  for (auto former = generations_.rbegin(); former != generations_.rend() && before == nullptr; ++former) {
    if (former->directory_id == generation.directory_id)
      before = std::make_unique<BackupCatalogue>(CO_TRY(co_await catalogue_of(*former)));
  }
  for (std::uint32_t id = 0; id < cut.partitions(); ++id)
    CO_TRY(co_await add_partition(cut, id, catalogue, before.get(), generation));

  generation.catalogue.number = next_number_++;
  const auto stream = CO_TRY(co_await StreamWriter::create(*blobs_, generation.catalogue.number));
  CO_TRY(co_await stream->append(catalogue.encode()));
  generation.catalogue.end = CO_TRY(co_await stream->finish());

  generations_.push_back(generation);
  ++next_generation_;
  if (const Result<> written = co_await write_record(); !written) {
    generations_.pop_back();
    co_return std::unexpected(written.error());
  }
  co_return generation;
}

Task<Result<BackupGeneration>> BackupRepository::add(LsmStore& store) {
  CO_TRY(co_await remove_unused());
  const auto cut = CO_TRY(co_await StoreCut::take(store));
  const auto added = co_await add_cut(*cut);
  co_await cut->release();
  co_return added;
}

Task<Result<std::uint64_t>> BackupRepository::prune(std::uint64_t keep) {
  keep = std::max<std::uint64_t>(keep, 1);
  if (generations_.size() <= keep) co_return std::uint64_t{0};
  const std::uint64_t removed = generations_.size() - keep;
  const std::vector<BackupGeneration> before = generations_;
  generations_.erase(generations_.begin(), generations_.begin() + static_cast<std::ptrdiff_t>(removed));
  if (const Result<> written = co_await write_record(); !written) {
    generations_ = before;
    co_return std::unexpected(written.error());
  }
  CO_TRY(co_await remove_unused());
  co_return removed;
}

Task<Result<std::vector<Error>>> BackupRepository::verify() {
  std::map<std::uint64_t, StreamEnd> used;
  std::vector<Error> damages;
  for (const BackupGeneration& generation : std::vector(generations_)) {
    if (const auto catalogue = co_await catalogue_of(generation)) {
      references(generation, *catalogue, used);
    } else {
      damages.push_back(catalogue.error());
    }
  }
  for (const auto& [number, end] : used) {
    if (const auto whole = co_await check_stream(*blobs_, number, end); !whole)
      damages.push_back(whole.error());
  }
  co_return damages;
}

}  // namespace ashlar::lsm
