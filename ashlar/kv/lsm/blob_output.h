#pragma once

/// Writes the buffers of one table, of keys or of values: many at once, each completion is checked (D15).

#include <deque>
#include <memory>
#include <vector>

#include "ashlar/kv/lsm/job_home.h"
#include "ashlar/runtime/memory/buffer_pool.h"
#include "ashlar/runtime/sync/scope.h"
#include "ashlar/runtime/sync/semaphore.h"

namespace ashlar::lsm {

/// Used by one task, on any shard. Lifecycle: create(), take() and push() in order of the file, finish() or
/// discard(); one of the two is awaited before it is destroyed.
class BlobOutput {
 public:
  static constexpr std::size_t buffer_bytes = 256u << 10;
  static constexpr std::uint64_t writes_in_flight_max = 4;

  struct Buffer {
    std::uint64_t offset = 0;  ///< in the file
    std::size_t used = 0;      ///< whole pages
    IoBuffer memory;
  };

  static Task<Result<std::unique_ptr<BlobOutput>>> create(const JobHome& home, std::uint64_t number);

  /// Memory of at least `bytes`; mostly one that was written already. `no_memory` where the system has none.
  Result<IoBuffer> take(std::size_t bytes);
  void push(Buffer buffer) { full_.push_back(std::move(buffer)); }
  bool has_full() const noexcept { return !full_.empty(); }
  /// Starts writing what is full; waits only where too many writes are in flight. Errors of writes so far.
  Task<Result<>> drain();

  /// Where `so_far` is ok: writes the rest, waits for every write, and publishes: after it the table survives
  /// power loss. Otherwise waits.
  Task<Result<>> finish(Result<> so_far, std::uint64_t file_bytes);
  /// Waits for what is in flight, and removes what there is of the table.
  Task<> discard();
  std::uint64_t number() const noexcept { return number_; }

 private:
  BlobOutput(const JobHome& home, std::uint64_t number) noexcept : home_(home), number_(number) {}
  Task<> write(Buffer buffer, SemaphoreUnits units);

  JobHome home_;
  std::uint64_t number_;
  std::unique_ptr<blob::TableWriter> writer_;
  std::deque<Buffer> full_;
  std::vector<IoBuffer> free_;
  TaskScope writes_{nullptr};
  Semaphore in_flight_{writes_in_flight_max};
  Result<> written_;  // the first error of any write
};

}  // namespace ashlar::lsm
