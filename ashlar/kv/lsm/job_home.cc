#include "ashlar/kv/lsm/job_home.h"

#include <algorithm>

#include "ashlar/kv/lsm/options.h"
#include "ashlar/kv/lsm/table_file.h"
#include "ashlar/kv/lsm/table_job.h"

namespace ashlar::lsm {

Task<SemaphoreUnits> JobHome::turn(std::uint64_t bytes) const {
  SemaphoreUnits units;
  if (in_flight_ != nullptr) {
    auto granted = co_await in_flight_->acquire(std::min(bytes, background_bytes_min));
    if (granted) units = std::move(*granted);
  }
  co_return units;
}

Task<Result<>> JobHome::read(TableFile& table, std::uint64_t offset, MutableBytes into) const {
  return run([this, &table, offset, into] { return read_here(table, offset, into); });
}

Task<Result<>> JobHome::read_here(TableFile& table, std::uint64_t offset, MutableBytes into) const {
  const SemaphoreUnits units = co_await turn(into.size());
  co_return co_await table.read(offset, into);
}

Task<Result<>> JobHome::write(blob::TableWriter& writer, std::uint64_t offset, Bytes from) const {
  return run([this, &writer, offset, from] { return write_here(writer, offset, from); });
}

Task<Result<>> JobHome::write_here(blob::TableWriter& writer, std::uint64_t offset, Bytes from) const {
  const SemaphoreUnits units = co_await turn(from.size());
  co_return co_await writer.write(offset, from);
}

Task<Result<LoadedValue>> JobHome::load(ValueSource& values, ValueRef ref) const {
  if (here()) return load_here(values, ref);
  return run([this, &values, ref] { return copy_here(values, ref); });
}

Task<Result<LoadedValue>> JobHome::load_here(ValueSource& values, ValueRef ref) const {
  const SemaphoreUnits units = co_await turn(ref.read_bytes());
  co_return co_await values.load(ref);
}

/// What a value is pinned by stays on its shard; a copy may leave.
Task<Result<LoadedValue>> JobHome::copy_here(ValueSource& values, ValueRef ref) const {
  const LoadedValue loaded = CO_TRY(co_await load_here(values, ref));
  auto* copy = new kv::HeapValue;
  copy->bytes.assign(loaded.bytes.begin(), loaded.bytes.end());
  co_return LoadedValue{copy->bytes, kv::Pin(*copy)};
}

Task<Result<bool>> JobHome::drop(ValueSource& values, ValueRef ref, Error why) const {
  co_return co_await invoke(shard_, [&] { return values.drop(ref, why); });
}

Task<Result<std::unique_ptr<blob::TableWriter>>> JobHome::create_table(std::uint64_t number) const {
  return run([this, number] { return blobs_->create_table(number); });
}

Task<Result<>> JobHome::publish(std::unique_ptr<blob::TableWriter> writer, std::uint64_t bytes) const {
  co_return co_await run([&] { return publish_here(&writer, bytes); });
}

Task<Result<>> JobHome::publish_here(std::unique_ptr<blob::TableWriter>* writer, std::uint64_t bytes) {
  const Result<> published = co_await (*writer)->publish(bytes);
  writer->reset();
  co_return published;
}

Task<> JobHome::remove(std::unique_ptr<blob::TableWriter> writer, std::uint64_t number) const {
  co_await run([&] { return remove_here(&writer, number); });
}

Task<> JobHome::remove_here(std::unique_ptr<blob::TableWriter>* writer, std::uint64_t number) const {
  writer->reset();
  (void)co_await blobs_->remove_table(number);  // where that fails, the next open removes it
}

}  // namespace ashlar::lsm
