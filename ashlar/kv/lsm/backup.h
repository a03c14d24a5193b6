#pragma once

/// A backup repository: many generations of one or several data sets, which share the tables they have in
/// common. Format and crash points: docs/formats/backup.md.
///
///   auto repository = CO_TRY(co_await BackupRepository::open(std::move(blobs)));
///   CO_TRY(co_await repository->add(store));              // copies only what no generation has yet
///   CO_TRY(co_await repository->prune(7));
///   CO_TRY(co_await repository->restore(3, home, options));
///   CO_TRY(co_await repository->close());

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "ashlar/kv/lsm/blob_stream.h"
#include "ashlar/kv/lsm/checkpoint.h"

namespace ashlar::lsm {

/// A blob of the repository, and what it must contain.
struct BackupBlob {
  std::uint64_t number = 0;
  StreamEnd end;
};

/// One line of the repository's record.
struct BackupGeneration {
  std::uint64_t number = 0;        ///< 1, 2 …; never given twice
  std::uint64_t created_ms = 0;    ///< wall clock, since 1970
  std::uint64_t directory_id = 0;  ///< of the data set
  Sequence at;                     ///< what was written up to here is in it
  std::uint64_t tables = 0, table_bytes = 0;
  std::uint64_t added_bytes = 0;  ///< what it took beyond the generations before it
  BackupBlob catalogue;
};

/// What a generation consists of.
struct BackupCatalogue {
  struct Partition {
    ManifestState state;
    BackupBlob records;                          ///< of the log, that its tables do not hold
    std::map<std::uint64_t, BackupBlob> tables;  ///< by their number in the data set
  };
  kv::RootRecord root;
  std::vector<Partition> partitions;  ///< by number

  std::vector<std::byte> encode() const;
  static Result<BackupCatalogue> decode(Bytes bytes, ErrorPlace place);
};

/// How far a restore is: all partitions below, and of this one all tables below, are durable.
struct RestoreMark {
  std::uint64_t repository = 0;
  std::uint64_t generation = 0;
  std::uint64_t partition = 0;
  std::uint64_t table = 0;
};

/// Owner: the shard that opened its store, which it takes over. Lifecycle: close() before it is destroyed.
/// One operation at a time. Invariant: what a generation refers to is durable before the generation exists.
class BackupRepository {
 public:
  /// Makes it where the store is empty; `invalid` where the store holds something else.
  static Task<Result<std::unique_ptr<BackupRepository>>> open(std::unique_ptr<blob::Store> blobs);
  ~BackupRepository();

  /// Ascending.
  const std::vector<BackupGeneration>& generations() const noexcept { return generations_; }
  /// A new generation: what the store holds at one moment. Once ok, it survives power loss.
  Task<Result<BackupGeneration>> add(LsmStore& store);
  /// Removes all but the newest `keep` generations, and the blobs that only they had; how many. At least one
  /// stays.
  Task<Result<std::uint64_t>> prune(std::uint64_t keep);
  /// Reads every blob of every generation. The damaged ones, with the error that says why.
  Task<Result<std::vector<Error>>> verify();
  /// Makes the data set of a generation at `into`, where there is none yet (`exists`), and closes that. Goes
  /// on where a restore of the same generation was interrupted. Until it is complete, the data set does not
  /// open.
  Task<Result<>> restore(std::uint64_t generation, blob::Home& into, const LsmOptions& options);
  Task<Result<>> close();

 private:
  explicit BackupRepository(std::unique_ptr<blob::Store> blobs) noexcept : blobs_(std::move(blobs)) {}

  Task<Result<>> load();
  Task<Result<>> write_record();
  Task<Result<>> remove_unused();
  Task<Result<BackupCatalogue>> catalogue_of(BackupGeneration generation);
  Task<Result<BackupGeneration>> add_cut(const StoreCut& cut);
  Task<Result<>> add_partition(const StoreCut& cut, std::uint32_t id, BackupCatalogue& catalogue,
                               const BackupCatalogue* before, BackupGeneration& generation);
  Task<Result<BackupBlob>> write_records(const StoreCut& cut, std::uint32_t partition);
  Task<Result<>> restore_all(BackupGeneration generation, blob::Home& into, const LsmOptions& options);
  Task<Result<>> restore_into(blob::Store& root, const BackupCatalogue& catalogue, std::uint64_t generation,
                              blob::Home& into, const LsmOptions& options);
  Task<Result<>> restore_partition(const BackupCatalogue::Partition& from, blob::Home& into,
                                   const LsmOptions& options, blob::Store& root, RestoreMark& mark);
  Task<Result<>> restore_tables(const BackupCatalogue::Partition& from, blob::Store& into, blob::Store& root,
                                RestoreMark& mark);

  std::unique_ptr<blob::Store> blobs_;
  std::uint64_t id_ = 0;           // random, given when it was made
  std::uint64_t next_number_ = 1;  // of blobs
  std::uint64_t next_generation_ = 1;
  std::vector<BackupGeneration> generations_;
};

}  // namespace ashlar::lsm
