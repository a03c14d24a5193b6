#pragma once

/// Writes one table: the builder fills buffers, full ones are written many at once.

#include <memory>
#include <optional>

#include "ashlar/kv/lsm/blob_output.h"
#include "ashlar/kv/lsm/manifest.h"
#include "ashlar/kv/lsm/table/table_builder.h"

namespace ashlar::lsm {

/// Used by one task, on any shard. Lifecycle: create(), add() in order, finish() or discard(); one of the two
/// is awaited before it is destroyed.
class TableOutput final : private TableSink {
 public:
  /// `owner`: the partition.
  static Task<Result<std::unique_ptr<TableOutput>>> create(const JobHome& home, const TableOptions& options,
                                                           std::uint64_t owner, unsigned level,
                                                           std::uint64_t number);

  /// Errors of TableBuilder::add().
  Result<> add(const Entry& entry, bool first_version) { return builder_.add(entry, first_version); }
  /// See TableBuilder.
  void set_ranges(std::vector<ErasedRange> ranges) { builder_.set_ranges(std::move(ranges)); }
  void set_erased_to(Sequence sequence) noexcept { builder_.set_erased_to(sequence); }
  /// See BlobOutput.
  Task<Result<>> drain() { return blob_->drain(); }
  bool has_full() const noexcept { return blob_->has_full(); }
  std::uint64_t file_bytes() const noexcept { return builder_.file_bytes(); }

  /// Writes the rest, waits for every write, and publishes: after it the table survives power loss.
  Task<Result<TableMeta>> finish();
  /// Waits for what is in flight, and removes what there is of the table.
  Task<> discard();
  std::uint64_t number() const noexcept { return blob_->number(); }

 private:
  TableOutput(std::unique_ptr<BlobOutput> blob, const TableOptions& options, std::uint64_t owner,
              unsigned level);
  MutableBytes allocate(std::uint64_t offset, std::size_t bytes) override;

  std::unique_ptr<BlobOutput> blob_;
  unsigned level_;
  std::optional<BlobOutput::Buffer> open_;
  TableBuilder builder_;
  MemoryCharge charge_;  // of what the builder keeps until the end
};

}  // namespace ashlar::lsm
