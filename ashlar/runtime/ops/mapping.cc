#include "ashlar/runtime/ops/mapping.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace ashlar {

namespace {

std::uint64_t page_bytes() noexcept {
  static const auto bytes = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

/// From here on its addresses may name something else.
void end_guard(MappedRange& range) noexcept {
  if (range.guard != nullptr) PageGuard::release(*std::exchange(range.guard, nullptr));
}

}  // namespace

// Whole pages around what was asked for.
MappedAwaiter::MappedAwaiter(OpCode op, const MappedRange& range, std::uint64_t at, std::uint64_t bytes,
                             std::uint32_t how, const char* where, std::uint64_t object) noexcept
    : guard_(range.guard) {
  code = op;
  where_ = where;
  object_ = object;
  offset = at;
  mode = how;
  if (range.data == nullptr || at > range.bytes || bytes > range.bytes - at) {
    result = -EINVAL;
    return;
  }
  const std::uint64_t first = at / page_bytes() * page_bytes();
  const std::uint64_t end = (at + bytes + page_bytes() - 1) / page_bytes() * page_bytes();
  data = range.data + first;
  length = std::min(end, range.bytes) - first;
}

Result<> MappedAwaiter::await_resume() const noexcept {
  TRY(status());
  if (guard_ != nullptr && !guard_->ok()) return fail_errno(EIO, where_, {object_, guard_->first_bad()});
  return {};
}

Result<Mapping> Mapping::map(const File& file, std::uint64_t offset, std::uint64_t bytes,
                             const MapOptions& options) {
  Mapping mapping;
  mapping.object_ = file.object();
  mapping.range_ = TRY(Shard::current().backend().map(file.handle(), offset, bytes, options));
  return mapping;
}

Mapping::~Mapping() {
  if (range_.data == nullptr) return;
  end_guard(range_);
  auto* unmap = new Operation;
  unmap->code = OpCode::unmap;
  unmap->data = range_.data;
  unmap->length = range_.bytes;
  unmap->complete = [](Operation& done) noexcept { delete &done; };
  Shard::current().backend().submit(*unmap);
}

Result<> Mapping::check() const noexcept {
  if (ok()) return {};
  return fail_errno(EIO, "mapped page", {object_, range_.guard->first_bad()});
}

bool Mapping::resident(std::uint64_t offset, std::uint64_t length) const noexcept {
  const std::uint64_t end = std::min(offset + length, range_.bytes);
  std::array<unsigned char, 256> pages;
  for (std::uint64_t at = offset / page_bytes() * page_bytes(); at < end; at += pages.size() * page_bytes()) {
    const std::uint64_t bytes = std::min(end - at, pages.size() * page_bytes());
    if (::mincore(range_.data + at, bytes, pages.data()) != 0) return false;
    const auto count = static_cast<std::ptrdiff_t>((bytes + page_bytes() - 1) / page_bytes());
    if (!std::all_of(pages.begin(), pages.begin() + count,
                     [](unsigned char page) { return (page & 1) != 0; }))
      return false;
  }
  return true;
}

MappedAwaiter Mapping::populate(std::uint64_t offset, std::uint64_t length, bool for_writing) const noexcept {
  return {OpCode::populate, range_, offset, length, for_writing ? 1u : 0u, "populate", object_};
}

MappedAwaiter Mapping::sync(std::uint64_t offset, std::uint64_t length) const noexcept {
  return {OpCode::sync_memory, range_, offset, length, 0, "msync", object_};
}

MappedAwaiter Mapping::unmap() noexcept {
  end_guard(range_);
  const MappedRange range = std::exchange(range_, MappedRange{});
  return {OpCode::unmap, range, 0, range.bytes, 0, "munmap", object_};
}

}  // namespace ashlar
