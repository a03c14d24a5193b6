#pragma once

/// An open value table of a partition, and reading from it.

#include <atomic>
#include <memory>

#include "ashlar/blob/store.h"
#include "ashlar/kv/lsm/manifest.h"
#include "ashlar/kv/lsm/table/cache.h"
#include "ashlar/kv/lsm/table/value_table.h"
#include "ashlar/kv/lsm/table_file.h"

namespace ashlar::lsm {

/// A value in memory; valid as long as the pin.
struct LoadedValue {
  Bytes bytes;
  kv::Pin pin;

  explicit operator bool() const noexcept { return static_cast<bool>(pin); }
};

/// One read of the blocks that cover the value, checked, and decompressed where it is compressed. `corrupt`
/// with number and offset; errors of the device.
Task<Result<LoadedValue>> read_value(blob::Table& blob, ValueRef ref);

/// Thread safety: owner shard. Lifecycle: as that of TableFile.
class ValueFile final : public OwnedFile {
 public:
  /// Reads the footer. `corrupt` where the file is not the value table that `meta` is about.
  static Task<Result<ValueFile*>> open(blob::Store& blobs, std::uint64_t partition, ValueTableMeta meta,
                                       BlockCache& cache, TableOwner& owner);
  /// A value table without a file, which must not be read: for tests of what chooses among tables.
  static ValueFile* describe(ValueTableMeta meta, TableOwner& owner);

  const ValueTableMeta& meta() const noexcept { return meta_; }
  std::uint64_t number() const noexcept { return meta_.number; }

  /// Of the cache; nothing where it has not got the value.
  LoadedValue find(const ValueRef& ref) const noexcept;
  /// As read_value(); a small value is cached, where it is to be kept. Whoever waits holds a version with
  /// this table, or pins it.
  Task<Result<LoadedValue>> load(ValueRef ref, bool keep);

  /// A value of it cannot be read: it is not collected. Set by the owner.
  bool damaged() const noexcept { return damaged_.load(std::memory_order_relaxed); }
  void set_damaged() noexcept { damaged_.store(true, std::memory_order_relaxed); }

 private:
  ValueFile(ValueTableMeta meta, TableOwner& owner) noexcept : OwnedFile(meta.number, owner), meta_(meta) {}
  ~ValueFile() override = default;

  ValueTableMeta meta_;
  std::unique_ptr<blob::Table> blob_;
  std::unique_ptr<CachedValues> cached_;
  std::atomic<bool> damaged_{false};  // jobs on other shards look
};

}  // namespace ashlar::lsm
