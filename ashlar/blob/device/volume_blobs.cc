#include "ashlar/blob/device/volume_blobs.h"

#include <algorithm>

namespace ashlar::blob {

namespace {

/// Tables grow by so many units more than they need: a step is mostly one extent.
constexpr std::uint64_t table_step_units = 15;

bool within(std::uint64_t offset, std::uint64_t size, std::uint64_t bytes) noexcept {
  return offset <= bytes && size <= bytes - offset;
}

}  // namespace

Task<Result<>> VolumeTableWriter::write(std::uint64_t offset, Bytes from) {
  const std::uint64_t units = units_for(offset + from.size());
  if (units_of(body_->extents) < units) {
    const MutexLock lock = co_await growing_.lock();
    if (units_of(body_->extents) < units) CO_TRY(co_await volume_.extend(*body_, units, table_step_units));
  }
  const Bytes parts[] = {from};
  co_return co_await blob::write(volume_.place(*body_, number_), offset, parts);
}

Task<Result<>> VolumeTableWriter::publish(std::uint64_t bytes) {
  co_return co_await volume_.publish_table(number_, body_, bytes);
}

Task<Result<>> VolumeTable::read(std::uint64_t offset, MutableBytes into) {
  co_return co_await read_parts(offset, {&into, 1});
}

Task<Result<>> VolumeTable::read_parts(std::uint64_t offset, std::span<const MutableBytes> into) {
  std::uint64_t size = 0;
  for (const MutableBytes part : into) size += part.size();
  if (!within(offset, size, align_up(bytes_)))
    co_return fail(Errc::corrupt, "read of table", {.object = number_, .offset = offset});
  co_return co_await blob::read(volume_.place(*body_, number_), offset, into);
}

Task<Result<>> VolumeSegment::write(std::uint64_t offset, std::span<const Bytes> from) {
  std::uint64_t size = 0;
  for (const Bytes part : from) size += part.size();
  if (!within(offset, size, bytes_))
    co_return fail(Errc::invalid, "write of segment", {.object = name_.number, .offset = offset});
  co_return co_await blob::write(volume_.place(*body_, name_.number), offset, from,
                                 {.durable = true, .role = IoRole::log});
}

Task<Result<>> VolumeSegment::read(std::uint64_t offset, MutableBytes into) {
  if (!within(offset, into.size(), bytes_))
    co_return fail(Errc::invalid, "read of segment", {.object = name_.number, .offset = offset});
  co_return co_await blob::read(volume_.place(*body_, name_.number), offset, {&into, 1});
}

Task<Result<>> VolumeSegment::settle() {
  co_return co_await channel_.flush();
}

}  // namespace ashlar::blob
