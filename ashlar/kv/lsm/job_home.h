#pragma once

/// The shard that a job's tables belong to. Whatever touches its device runs there, so that the job itself
/// may run on another one: it takes their processor time, and none of their device.

#include <memory>
#include <utility>

#include "ashlar/blob/store.h"
#include "ashlar/kv/lsm/value_file.h"
#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/sync/semaphore.h"

namespace ashlar::lsm {

class TableFile;
class ValueSource;

/// A handle, used on any shard. Store and semaphore outlive it.
class JobHome {
 public:
  /// On the shard that owns the store. `in_flight`: bytes that jobs may have with its device at once; null:
  /// any number.
  explicit JobHome(blob::Store& blobs, Semaphore* in_flight = nullptr) noexcept
      : shard_(Shard::current().id()), blobs_(&blobs), in_flight_(in_flight) {}

  ShardId shard() const noexcept { return shard_; }
  bool here() const noexcept { return shard_ == Shard::current().id(); }
  blob::Store& blobs() const noexcept { return *blobs_; }

  /// Each waits for its turn among the bytes in flight, and for the device. Memory may be of any shard.
  Task<Result<>> read(TableFile& table, std::uint64_t offset, MutableBytes into) const;
  Task<Result<>> write(blob::TableWriter& writer, std::uint64_t offset, Bytes from) const;
  /// The value is the caller's, whichever shard that is on.
  Task<Result<LoadedValue>> load(ValueSource& values, ValueRef ref) const;
  /// ValueSource::drop().
  Task<Result<bool>> drop(ValueSource& values, ValueRef ref, Error why) const;

  Task<Result<std::unique_ptr<blob::TableWriter>>> create_table(std::uint64_t number) const;
  /// The writer ends.
  Task<Result<>> publish(std::unique_ptr<blob::TableWriter> writer, std::uint64_t bytes) const;
  /// Whatever there is of the table. The writer, which may be null, ends.
  Task<> remove(std::unique_ptr<blob::TableWriter> writer, std::uint64_t number) const;

  /// Runs `function`, which returns a Task, there.
  template <class F>
  std::invoke_result_t<F&> run(F function) const {
    if (here()) co_return co_await function();
    co_return co_await invoke(shard_, std::move(function));
  }

 private:
  Task<SemaphoreUnits> turn(std::uint64_t bytes) const;
  Task<Result<>> read_here(TableFile& table, std::uint64_t offset, MutableBytes into) const;
  Task<Result<>> write_here(blob::TableWriter& writer, std::uint64_t offset, Bytes from) const;
  Task<Result<LoadedValue>> load_here(ValueSource& values, ValueRef ref) const;
  Task<Result<LoadedValue>> copy_here(ValueSource& values, ValueRef ref) const;
  static Task<Result<>> publish_here(std::unique_ptr<blob::TableWriter>* writer, std::uint64_t bytes);
  Task<> remove_here(std::unique_ptr<blob::TableWriter>* writer, std::uint64_t number) const;

  ShardId shard_;
  blob::Store* blobs_;
  Semaphore* in_flight_;
};

}  // namespace ashlar::lsm
