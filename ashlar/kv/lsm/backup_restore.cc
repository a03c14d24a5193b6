// A generation is restored, step by step:
//
//   1. the root store; there must be no root record. Root 1 says which generation is being restored: it is
//      written, unless it is there, and then it must be this one
//   2. each partition: tables that are there and whole stay, the others are copied; each checksum is compared
//   3. its log is begun anew and takes the generation's records; then its manifest is written
//   4. the root record, under a new id: from here on the data set exists. Root 1 becomes empty.
//
// A crash before 4 leaves what the next restore of the same generation goes on with, and what does not open.

#include <algorithm>

#include "ashlar/base/fields.h"
#include "ashlar/kv/lsm/backup.h"
#include "ashlar/kv/lsm/backup_format.h"

namespace ashlar::lsm {

namespace {

constexpr std::uint32_t root_number = 0, restore_number = 1;

/// Hands records over to the partition as they come.
class RecordSink final : public StreamVisitor {
 public:
  RecordSink(PartitionCopy& to, ErrorPlace place) noexcept : to_(to), place_(place) {}
  Task<Result<>> on_bytes(Bytes bytes) override {
    parser_.add(bytes);
    wal::RecordHeader header;
    Bytes payload;
    while (CO_TRY(parser_.next(header, payload, place_))) {
      CO_TRY(to_.append(header, payload));
      CO_TRY(co_await to_.make_room());
    }
    co_return Result<>{};
  }
  bool done() const noexcept { return parser_.done(); }

 private:
  PartitionCopy& to_;
  ErrorPlace place_;
  RecordParser parser_;
};

Task<Result<>> copy_records(blob::Store& from, BackupBlob blob, PartitionCopy& to) {
  RecordSink sink(to, {.object = blob.number});
  if (CO_TRY(co_await read_stream(from, blob.number, blob.end.bytes, sink)) != blob.end.crc || !sink.done())
    co_return fail(Errc::corrupt, "blob checksum", {.object = blob.number});
  co_return Result<>{};
}

constexpr std::uint64_t bytes_between_marks = std::uint64_t{256} << 20;

std::vector<std::byte> encode(const RestoreMark& mark) {
  FieldWriter out;
  for (const std::uint64_t value : {mark.repository, mark.generation, mark.partition, mark.table})
    out.number(value);
  return out.take();
}

Result<RestoreMark> decode(Bytes bytes) {
  FieldReader in(bytes, "mark of a restore", {.object = restore_number});
  RestoreMark mark;
  for (std::uint64_t* value : {&mark.repository, &mark.generation, &mark.partition, &mark.table})
    *value = TRY(in.number());
  return mark;
}

/// How far a restore of this generation got there; it begins where the place is free.
Task<Result<RestoreMark>> claim_place(blob::Store& root, RestoreMark mark) {
  if (CO_TRY(co_await root.read_root(root_number)))
    co_return fail(Errc::exists, "restore: a data set is there");
  const auto begun = CO_TRY(co_await root.read_root(restore_number));
  if (!begun || begun->empty()) {
    CO_TRY(co_await root.write_root(restore_number, encode(mark)));
    co_return mark;
  }
  const RestoreMark there = CO_TRY(decode(*begun));
  if (there.repository != mark.repository || there.generation != mark.generation)
    co_return fail(Errc::exists, "restore: another one was begun there");
  co_return there;
}

}  // namespace

Task<Result<>> BackupRepository::restore_tables(const BackupCatalogue::Partition& from, blob::Store& into,
                                                blob::Store& root, RestoreMark& mark) {
  // What is beyond the mark may be whole and yet be lost with the power.
  const blob::Listing listing = CO_TRY(into.list());
  for (const blob::TableInfo& there : listing.tables) {
    if (there.number >= mark.table) CO_TRY(co_await into.remove_table(there.number));
  }
  std::uint64_t unmarked_bytes = 0;
  for (auto next = from.tables.lower_bound(mark.table); next != from.tables.end(); ++next) {
    const auto& [number, blob] = *next;
    const StreamEnd copied =
        CO_TRY(co_await copy_table(*blobs_, Shard::current().id(), blob.number, into, number));
    if (copied != blob.end) {
      (void)co_await into.remove_table(number);
      co_return fail(Errc::corrupt, "backup: table checksum", {.object = blob.number});
    }
    mark.table = number + 1;
    unmarked_bytes += copied.bytes;
    if (unmarked_bytes < bytes_between_marks) continue;
    CO_TRY(co_await root.write_root(restore_number, encode(mark)));
    unmarked_bytes = 0;
  }
  co_return Result<>{};
}

Task<Result<>> BackupRepository::restore_partition(const BackupCatalogue::Partition& from, blob::Home& into,
                                                   const LsmOptions& options, blob::Store& root,
                                                   RestoreMark& mark) {
  const auto id = static_cast<std::uint32_t>(mark.partition);
  CO_TRY(co_await into.prepare_partition(id));
  const auto store = CO_TRY(co_await into.open_partition(id));
  Result<> done = co_await restore_tables(from, *store, root, mark);
  if (done) {
    if (auto copy = co_await PartitionCopy::begin(*store, options)) {
      done = co_await copy_records(*blobs_, from.records, **copy);
      done = co_await (*copy)->finish(done, from.state);
    } else {
      done = std::unexpected(copy.error());
    }
  }
  const Result<> closed = co_await store->close();
  co_return done ? closed : done;
}

Task<Result<>> BackupRepository::restore_into(blob::Store& root, const BackupCatalogue& catalogue,
                                              std::uint64_t generation, blob::Home& into,
                                              const LsmOptions& options) {
  RestoreMark mark = CO_TRY(co_await claim_place(root, {.repository = id_, .generation = generation}));
  while (mark.partition < catalogue.partitions.size()) {
    CO_TRY(co_await restore_partition(catalogue.partitions[mark.partition], into, options, root, mark));
    ++mark.partition;
    mark.table = 0;
    CO_TRY(co_await root.write_root(restore_number, encode(mark)));
  }
  kv::RootRecord record = catalogue.root;
  record.directory_id = Shard::current().backend().random();
  CO_TRY(co_await root.write_root(root_number, record.encode()));
  co_return co_await root.write_root(restore_number, {});
}

Task<Result<>> BackupRepository::restore_all(BackupGeneration generation, blob::Home& into,
                                             const LsmOptions& options) {
  const BackupCatalogue catalogue = CO_TRY(co_await catalogue_of(generation));
  const auto root = CO_TRY(co_await into.open_root());
  const Result<> done = co_await restore_into(*root, catalogue, generation.number, into, options);
  const Result<> closed = co_await root->close();
  co_return done ? closed : done;
}

Task<Result<>> BackupRepository::restore(std::uint64_t number, blob::Home& into, const LsmOptions& options) {
  const auto generation = std::ranges::find(generations_, number, &BackupGeneration::number);
  Result<> done = fail(Errc::not_found, "generation of the backup", {.object = number});
  if (generation != generations_.end()) done = co_await restore_all(*generation, into, options);
  co_await into.close();
  co_return done;
}

}  // namespace ashlar::lsm
