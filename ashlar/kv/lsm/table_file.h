#pragma once

/// An open table of a partition: its blob, its filter and index in memory, and which of its blocks are
/// cached.

#include <memory>
#include <string_view>

#include "ashlar/blob/store.h"
#include "ashlar/kv/lsm/manifest.h"
#include "ashlar/kv/lsm/table/cache.h"
#include "ashlar/kv/lsm/table/table.h"
#include "ashlar/kv/pin.h"
#include "ashlar/runtime/memory/buffer_pool.h"
#include "ashlar/runtime/task/task.h"

namespace ashlar::lsm {

/// Who removes the file of a table that nothing uses any more.
class TableRemover {
 public:
  virtual void remove_later(std::uint64_t number) noexcept = 0;

 protected:
  ~TableRemover() = default;
};

/// Thread safety: owner shard; table() and cached() also from other threads inside an epoch. Lifecycle:
/// opened; pinned by each version that holds it; deletes itself with the last pin, which a version gives up
/// only after its epoch.
class TableFile final : public kv::Pinnable {
 public:
  /// Reads footer, filter and index: two reads. `corrupt` with table number and offset.
  /// Also `corrupt` where the file is not the table that `meta` is about: another partition's, or older.
  static Task<Result<TableFile*>> open(blob::Store& blobs, std::uint64_t partition, TableMeta meta,
                                       BlockCache& cache, TableRemover& remover);

  const TableMeta& meta() const noexcept { return meta_; }
  /// Owner: the table goes to another run as it is. Readers of older versions do not ask for it.
  void set_place(unsigned level, std::uint64_t run) noexcept {
    meta_.level = level;
    meta_.run = run;
  }
  const Table& table() const noexcept { return table_; }
  CachedBlocks& cached() const noexcept { return *cached_; }
  Bytes smallest_key() const noexcept { return as_bytes(meta_.smallest_key); }
  Bytes largest_key() const noexcept { return as_bytes(meta_.largest_key); }

  /// Reads block `ordinal` from the device into the cache. Whoever waits holds a version with this table.
  Task<Result<LoadedBlock>> load(std::uint32_t ordinal);
  /// Reads whole pages, past the cache.
  Task<Result<>> read(std::uint64_t offset, MutableBytes into) { return blob_->read(offset, into); }

  /// The manifest does not name it any more: the file goes with the last pin.
  void set_obsolete() noexcept { obsolete_ = true; }
  bool obsolete() const noexcept { return obsolete_; }

 private:
  TableFile(TableMeta meta, TableRemover& remover) : meta_(std::move(meta)), remover_(remover) {}
  ~TableFile() = default;
  void released() noexcept override;

  TableMeta meta_;
  TableRemover& remover_;
  std::unique_ptr<blob::Table> blob_;
  IoBuffer memory_;      // filter, index and properties
  MemoryCharge charge_;  // of where its blocks are cached
  Table table_;
  std::unique_ptr<CachedBlocks> cached_;
  bool obsolete_ = false;
};

}  // namespace ashlar::lsm
