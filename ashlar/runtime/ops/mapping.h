#pragma once

/// Files as memory: mapped, populated off the loop, synced by ranges.
///
///   Mapping view = CO_TRY(Mapping::map(file, 0, bytes, {.writable = true}));
///   CO_TRY(co_await view.populate(0, bytes));
///   use(view.bytes());
///   if (!view.ok()) …                        // a page could not be read: it showed zeros instead
///   CO_TRY(co_await view.sync(offset, length));
///   CO_TRY(co_await view.unmap());

#include <cstdint>
#include <utility>

#include "ashlar/base/bytes.h"
#include "ashlar/runtime/ops/file.h"
#include "ashlar/runtime/ops/page_guard.h"

namespace ashlar {

/// Result<>: an operation on mapped memory.
class MappedAwaiter : public OperationAwaiter {
 public:
  MappedAwaiter(OpCode op, const MappedRange& range, std::uint64_t at, std::uint64_t bytes, std::uint32_t how,
                const char* where, std::uint64_t object) noexcept;
  bool await_ready() const noexcept { return result < 0; }  // out of bounds
  Result<> await_resume() const noexcept;

 private:
  const PageGuard* guard_;
};

/// A mapped range of a file. Owner: the shard that mapped it, but any thread may read and write the memory
/// and ask ok(). Lifecycle: independent of the File, which may be closed; unmap() reports the end, and one
/// that is merely destroyed is unmapped in the background. Nothing may be in flight, and nobody in the
/// memory, when it goes.
///
/// In simulation the memory is a copy, taken at map(); what was stored reaches the file with sync().
class Mapping {
 public:
  Mapping() = default;
  Mapping(Mapping&& other) noexcept
      : range_(std::exchange(other.range_, MappedRange{})), object_(std::exchange(other.object_, 0)) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(range_, other.range_);
    std::swap(object_, other.object_);
    return *this;
  }
  ~Mapping();

  /// Maps `bytes` at `offset`, a multiple of the page, all inside the file: else `invalid`. `unsupported`
  /// where it cannot be mapped so (MAP_SYNC without DAX, a character device). `permission` where a writable
  /// shared mapping is asked of a file opened for reading.
  static Result<Mapping> map(const File& file, std::uint64_t offset, std::uint64_t bytes,
                             const MapOptions& options = {});

  explicit operator bool() const noexcept { return range_.data != nullptr; }
  /// Writable only if it was mapped so: a store into another ends the process.
  MutableBytes bytes() const noexcept { return {range_.data, range_.bytes}; }
  /// Whether every page that anybody touched could be read. Ask after use: what a failed page shows are
  /// zeros.
  bool ok() const noexcept { return range_.guard == nullptr || range_.guard->ok(); }
  /// The same as a Result: `io`, at the offset in the mapping of the first page that failed.
  Result<> check() const noexcept;

  /// Whether a range is in memory now, so that reading it does not block; a short system call (mincore).
  /// The kernel says yes to all where the process may neither write the file nor owns it.
  bool resident(std::uint64_t offset, std::uint64_t length) const noexcept;
  /// Brings a range into memory, so that touching it does not block the loop; `for_writing` also makes the
  /// pages writable (allocates, copies). `io` where a page cannot be read.
  MappedAwaiter populate(std::uint64_t offset, std::uint64_t length, bool for_writing = false) const noexcept;
  /// What was stored into a range of a shared mapping survives power loss. Fails where ok() is false.
  MappedAwaiter sync(std::uint64_t offset, std::uint64_t length) const noexcept;
  MappedAwaiter unmap() noexcept;

 private:
  MappedRange range_;
  std::uint64_t object_ = 0;
};

}  // namespace ashlar
