#pragma once

/// Writes one table: the builder fills buffers, full ones are written many at once, each completion is
/// checked (D15).

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "ashlar/blob/store.h"
#include "ashlar/kv/lsm/manifest.h"
#include "ashlar/kv/lsm/table/table_builder.h"
#include "ashlar/runtime/memory/buffer_pool.h"
#include "ashlar/runtime/sync/scope.h"
#include "ashlar/runtime/sync/semaphore.h"

namespace ashlar::lsm {

/// Owner shard; used by one task. Lifecycle: create(), add() in order, finish() or discard(); one of the two
/// is awaited before it is destroyed.
class TableOutput final : private TableSink {
 public:
  static constexpr std::size_t buffer_bytes = 256u << 10;
  static constexpr std::uint64_t writes_in_flight_max = 4;

  /// `owner`: the partition. `in_flight`: as TableJob has it.
  static Task<Result<std::unique_ptr<TableOutput>>> create(blob::Store& blobs, const TableOptions& options,
                                                           std::uint64_t owner, unsigned level,
                                                           std::uint64_t number, Semaphore* in_flight);

  /// Errors of TableBuilder::add().
  Result<> add(const Entry& entry, bool first_version) { return builder_.add(entry, first_version); }
  /// See TableBuilder.
  void set_ranges(std::vector<ErasedRange> ranges) { builder_.set_ranges(std::move(ranges)); }
  void set_erased_to(Sequence sequence) noexcept { builder_.set_erased_to(sequence); }
  /// Starts writing what is full; waits only where too many writes are in flight. Errors of writes so far.
  Task<Result<>> drain();
  bool has_full() const noexcept { return !full_.empty(); }
  std::uint64_t file_bytes() const noexcept { return builder_.file_bytes(); }

  /// Writes the rest, waits for every write, and publishes: after it the table survives power loss.
  Task<Result<TableMeta>> finish();
  /// Waits for what is in flight, and removes what there is of the table.
  Task<> discard();
  std::uint64_t number() const noexcept { return number_; }

 private:
  struct Buffer {
    std::uint64_t offset;
    std::size_t used;
    IoBuffer memory;
  };

  TableOutput(blob::Store& blobs, const TableOptions& options, std::uint64_t owner, unsigned level,
              std::uint64_t number, Semaphore* in_flight);
  MutableBytes allocate(std::uint64_t offset, std::size_t bytes) override;
  Task<> write(Buffer buffer, SemaphoreUnits units);

  blob::Store& blobs_;
  unsigned level_;
  std::uint64_t number_;
  Semaphore* shared_in_flight_;
  std::unique_ptr<blob::TableWriter> writer_;
  std::optional<Buffer> open_;
  std::deque<Buffer> full_;
  std::vector<IoBuffer> free_;
  TaskScope writes_{nullptr};
  Semaphore in_flight_{writes_in_flight_max};
  Result<> written_;  // the first error of any write
  TableBuilder builder_;
  MemoryCharge charge_;  // of what the builder keeps until the end
};

}  // namespace ashlar::lsm
