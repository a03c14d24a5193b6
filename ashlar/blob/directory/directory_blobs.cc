#include "ashlar/blob/directory/directory_blobs.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <vector>

#include "ashlar/block/claim.h"
#include "ashlar/runtime/shard/shard.h"
#include "ashlar/runtime/sync/when.h"

namespace ashlar::blob {
namespace {

// What a write of the log may find before it in the disk's queue, while the next segment is filled.
constexpr std::uint64_t zeroes_bytes = 512u << 10;  // one write
constexpr std::size_t zeroes_depth = 2;             // at once

// A table grows by as much as it has, between these.
constexpr std::uint64_t extension_bytes_min = 1u << 20, extension_bytes_max = 8u << 20;

Task<Result<>> read_all(const File& file, std::uint64_t offset, MutableBytes into) {
  assert(aligned(offset) && aligned(into.size()));
  const std::size_t got = CO_TRY(co_await file.read(into, offset));
  if (got != into.size()) co_return fail(Errc::corrupt, "read beyond the end", {file.object(), offset + got});
  co_return Result<>();
}

bool lacks_space(const Result<>& result) noexcept {
  return !result && result.error().code == Errc::no_space;
}

// Every `zeroes_depth`-th piece of a file, beginning with piece `lane`: as one chain of writes.
Task<Result<>> fill_lane(const File& file, std::uint64_t bytes, Bytes zeroes, std::uint64_t lane) {
  std::vector<FileWrite> pieces;
  for (std::uint64_t at = lane * zeroes_bytes; at < bytes; at += zeroes_depth * zeroes_bytes)
    pieces.push_back({zeroes.first(std::min(zeroes_bytes, bytes - at)), at});
  co_return co_await file.write_in_order(pieces);
}

}  // namespace

// Writes that extend a file are done one after the other, each by a thread of the kernel that is blocked
// meanwhile; those within it are done side by side, by none.
Task<> DirectoryTableWriter::extend(std::uint64_t end) {
  const MutexLock lock = co_await extending_.lock();
  if (end <= extended_) co_return;
  const std::uint64_t bytes =
      std::max(std::clamp(extended_, extension_bytes_min, extension_bytes_max), end - extended_);
  // Where it cannot be, or there is no space for so much, writes extend it.
  extended_ = co_await file_.allocate(extended_, bytes) ? extended_ + bytes : ~std::uint64_t{0};
}

Task<Result<>> DirectoryTableWriter::write(std::uint64_t offset, Bytes from) {
  assert(aligned(offset) && aligned(from.size()));
  if (offset + from.size() > extended_) co_await extend(offset + from.size());
  Result<> written = co_await file_.write(from, offset);
  if (lacks_space(written)) {
    co_await reserve_.give_up(from.size());
    written = co_await file_.write(from, offset);
  }
  co_return written;
}

Task<Result<>> DirectoryTableWriter::publish(std::uint64_t bytes) {
  CO_TRY(co_await file_.resize(bytes));
  const Result<> synced = co_await file_.sync();
  if (lacks_space(synced)) co_await reserve_.give_up(bytes);  // too late for this table, in time for the next
  CO_TRY(synced);
  CO_TRY(co_await sync_directory(directory_));
  co_return co_await file_.close();
}

Task<Result<>> DirectoryTable::read(std::uint64_t offset, MutableBytes into) {
  co_return co_await read_all(file_, offset, into);
}

Task<Result<>> DirectoryTable::read_parts(std::uint64_t offset, std::span<const MutableBytes> into) {
  assert(aligned(offset) && into.size() <= table_parts_max);
  std::array<iovec, table_parts_max> vectors;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < into.size(); ++i) {
    assert(aligned(into[i].size()));
    vectors[i] = {into[i].data(), into[i].size()};
    bytes += into[i].size();
  }
  const std::size_t got = CO_TRY(co_await file_.read(std::span(vectors).first(into.size()), offset));
  if (got != bytes) co_return fail(Errc::corrupt, "read beyond the end", {file_.object(), offset + got});
  co_return Result<>();
}

Task<Result<>> DirectorySegment::write(std::uint64_t offset, std::span<const Bytes> from) {
  assert(aligned(offset) && from.size() <= segment_parts_max);
  std::array<iovec, segment_parts_max> vectors;
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < from.size(); ++i) {
    assert(aligned(from[i].size()));
    vectors[i] = {const_cast<std::byte*>(from[i].data()), from[i].size()};
    bytes += from[i].size();
  }
  if (offset + bytes > bytes_)
    co_return fail(Errc::invalid, "write beyond segment", {file_.object(), offset});
  co_return co_await file_.write(std::span(vectors).first(from.size()), offset, true, IoRole::log);
}

Task<Result<>> DirectorySegment::read(std::uint64_t offset, MutableBytes into) {
  co_return co_await read_all(file_, offset, into);
}

// Linux lets fallocate wait for direct writes in flight, also those of a process that was killed: they
// outlive it.
Task<Result<>> DirectorySegment::settle() {
  CO_TRY(co_await settle_writes(file_, bytes_));
  co_return co_await file_.sync();
}

Task<Result<>> DirectorySegment::fill() {
  const Result<> allocated = co_await file_.allocate(0, bytes_);
  if (!allocated && allocated.error().code != Errc::unsupported) co_return allocated;
  const IoBuffer buffer =
      CO_TRY(Shard::current().buffers().allocate_regardless(std::min(zeroes_bytes, bytes_)));
  std::memset(buffer.data(), 0, buffer.size());
  std::vector<Task<Result<>>> lanes;
  for (std::uint64_t lane = 0; lane < zeroes_depth; ++lane) {
    lanes.push_back(fill_lane(file_, bytes_, buffer.bytes(), lane));
  }
  for (const Result<>& filled : co_await when_all(std::move(lanes))) CO_TRY(filled);
  co_return co_await file_.sync();
}

}  // namespace ashlar::blob
