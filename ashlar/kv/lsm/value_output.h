#pragma once

/// Writes one value table. Format: docs/formats/value-table.md.

#include <memory>
#include <optional>

#include "ashlar/kv/lsm/blob_output.h"
#include "ashlar/kv/lsm/manifest.h"
#include "ashlar/kv/lsm/table/value_table.h"

namespace ashlar::lsm {

/// Used by one task, on any shard. Lifecycle: create(), add(), finish() or discard(); one of the two is
/// awaited before it is destroyed.
class ValueOutput {
 public:
  /// `options`: how values are compressed. `owner`: the partition.
  static Task<Result<std::unique_ptr<ValueOutput>>> create(const JobHome& home, const TableOptions& options,
                                                           std::uint64_t owner, std::uint64_t number);

  /// Copies the value; where it stands. `no_memory`, and `too_large` where the table is full.
  Result<ValueRef> add(Bytes value);
  std::uint64_t data_bytes() const noexcept { return end_; }
  /// See BlobOutput.
  Task<Result<>> drain() { return blob_->drain(); }
  bool has_full() const noexcept { return blob_->has_full(); }

  /// At least one value was added. Writes the rest, waits for every write, and publishes.
  Task<Result<ValueTableMeta>> finish();
  /// Waits for what is in flight, and removes what there is of the table.
  Task<> discard() { return blob_->discard(); }

 private:
  ValueOutput(std::unique_ptr<BlobOutput> blob, const TableOptions& options, std::uint64_t owner)
      : blob_(std::move(blob)), owner_(owner), compressor_(options.compression, options.zstd_level) {}
  Result<> make_room(std::size_t bytes);
  Result<> end();

  std::unique_ptr<BlobOutput> blob_;
  std::uint64_t owner_;
  Compressor compressor_;
  std::optional<BlobOutput::Buffer> open_;  // its offset + used is end_
  std::uint64_t end_ = 0;
  std::uint64_t values_ = 0;
};

}  // namespace ashlar::lsm
