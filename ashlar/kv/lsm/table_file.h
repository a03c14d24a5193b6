#pragma once

/// An open table of a partition: its blob, its filter and index in memory, and which of its blocks are
/// cached.

#include <memory>
#include <span>
#include <string_view>

#include "ashlar/blob/store.h"
#include "ashlar/kv/lsm/manifest.h"
#include "ashlar/kv/lsm/table/cache.h"
#include "ashlar/kv/lsm/table/table.h"
#include "ashlar/kv/pin.h"
#include "ashlar/runtime/memory/buffer_pool.h"
#include "ashlar/runtime/sync/scope.h"
#include "ashlar/runtime/task/task.h"

namespace ashlar::lsm {

/// Whose tables they are.
class TableOwner {
 public:
  /// Removes the file of a table that nothing uses any more.
  virtual void remove_later(std::uint64_t number) noexcept = 0;
  /// Where reads go on whose reader has left; joined before the owner's blobs are closed.
  virtual TaskScope& table_reads() noexcept = 0;

 protected:
  ~TableOwner() = default;
};

/// What the open files of a partition's tables have in common. Owner shard. Lifecycle: opened; pinned by each
/// version that holds it; deletes itself with the last pin, and then its file, if that is obsolete.
class OwnedFile : public kv::Pinnable {
 public:
  TaskScope& reads() noexcept { return owner_.table_reads(); }

  /// The manifest does not name it any more: the file goes with the last pin.
  void set_obsolete() noexcept { obsolete_ = true; }
  bool obsolete() const noexcept { return obsolete_; }

 protected:
  OwnedFile(std::uint64_t number, TableOwner& owner) noexcept : number_(number), owner_(owner) {}
  virtual ~OwnedFile() = default;

 private:
  void released() noexcept final;

  const std::uint64_t number_;
  TableOwner& owner_;
  bool obsolete_ = false;
};

/// Thread safety: owner shard; table() and cached() also from other threads inside an epoch: a
/// version gives up its pin only after its epoch.
class TableFile final : public OwnedFile {
 public:
  /// Reads footer, filter and index: two reads. `corrupt` with table number and offset.
  /// Also `corrupt` where the file is not the table that `meta` is about: another partition's, or older.
  static Task<Result<TableFile*>> open(blob::Store& blobs, std::uint64_t partition, TableMeta meta,
                                       BlockCache& cache, TableOwner& owner);

  /// A table without a file, which must not be read: for tests of what chooses among tables.
  static TableFile* describe(TableMeta meta, Properties properties, TableOwner& owner);

  const TableMeta& meta() const noexcept { return meta_; }
  /// Owner: the table goes to another run as it is. Readers of older versions do not ask for it.
  void set_place(unsigned level, std::uint64_t run) noexcept {
    meta_.level = level;
    meta_.run = run;
  }
  const Table& table() const noexcept { return table_; }
  /// Of its file, and of the values that it refers to.
  std::uint64_t bytes_with_values() const noexcept {
    return meta_.file_bytes + table_.properties().reference_bytes();
  }
  /// Of its index and filter, as long as it is open.
  std::uint64_t index_bytes() const noexcept { return memory_.size(); }
  CachedBlocks& cached() const noexcept { return *cached_; }
  Bytes smallest_key() const noexcept { return as_bytes(meta_.smallest_key); }
  Bytes largest_key() const noexcept { return as_bytes(meta_.largest_key); }

  /// Reads block `ordinal` from the device, into the cache unless it is not to `keep`. Whoever waits holds a
  /// version with this table, or pins it.
  Task<Result<LoadedBlock>> load(std::uint32_t ordinal, bool keep = true);
  /// The same of outcomes.size() blocks from `first` on, at most blob::table_parts_max, by one read where
  /// they stand side by side and nobody else is reading one of them.
  Task<> load_together(std::uint32_t first, std::span<Result<LoadedBlock>> outcomes, bool keep);
  /// Reads whole pages, past the cache.
  Task<Result<>> read(std::uint64_t offset, MutableBytes into) { return blob_->read(offset, into); }

  /// A job has it as its input. Owner.
  bool busy() const noexcept { return busy_; }
  void set_busy(bool busy) noexcept { busy_ = busy; }

 private:
  TableFile(TableMeta meta, TableOwner& owner) : OwnedFile(meta.number, owner), meta_(std::move(meta)) {}
  ~TableFile() override = default;

  TableMeta meta_;
  std::unique_ptr<blob::Table> blob_;
  IoBuffer memory_;      // filter, index and properties
  MemoryCharge charge_;  // of where its blocks are cached
  Table table_;
  std::unique_ptr<CachedBlocks> cached_;
  bool busy_ = false;
};

}  // namespace ashlar::lsm
