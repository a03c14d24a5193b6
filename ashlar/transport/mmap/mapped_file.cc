#include "ashlar/transport/mmap/mapped_file.h"

#include <algorithm>
#include <utility>

namespace ashlar {

namespace {

constexpr std::uint64_t page_bytes = 4096;  // a mapping begins at a multiple of it

}  // namespace

Result<> MappedFile::add(const File& file, std::uint64_t begin, std::uint64_t end) {
  if (extents_.size() == extents_max) return fail(Errc::too_large, "map: too many pages were lost");
  auto extent = std::make_unique<Extent>();
  extent->begin = begin;
  extent->end = end;
  extent->mapped_from = begin / page_bytes * page_bytes;
  extent->mapping = TRY(Mapping::map(file, extent->mapped_from, end - extent->mapped_from, options_));
  extent->older = newest_.load(std::memory_order_relaxed);
  newest_.store(extent.get(), std::memory_order_release);
  extents_.push_back(std::move(extent));
  covered_bytes_ = std::max(covered_bytes_, end);
  return {};
}

// Of a private mapping a fresh one would have lost what was stored: it stays failed.
Result<> MappedFile::cover(const File& file, std::uint64_t bytes) {
  for (std::uint64_t at = 0; options_.shared && at < std::min(bytes, covered_bytes_);) {
    const Extent& extent = this->at(at);
    if (!extent.mapping.ok()) TRY(add(file, extent.begin, std::min(extent.end, bytes)));
    at = this->at(at).end;
  }
  if (bytes > covered_bytes_) TRY(add(file, covered_bytes_, bytes));
  return {};
}

Task<> MappedFile::close() {
  newest_.store(nullptr, std::memory_order_relaxed);
  for (const auto& extent : extents_) static_cast<void>(co_await extent->mapping.unmap());
  extents_.clear();
}

}  // namespace ashlar
