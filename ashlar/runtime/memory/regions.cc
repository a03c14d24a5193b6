#include "ashlar/runtime/memory/regions.h"

#include <sys/mman.h>

#include <cassert>
#include <cerrno>

namespace ashlar {

Regions::~Regions() {
  assert(free_.size() == all_.size() && "a region is still in use");
  for (std::byte* data : all_) munmap(data, Region::bytes);
}

Result<Region> Regions::take() {
  const std::lock_guard lock(mutex_);
  if (free_.empty()) TRY(grow());
  const std::uint32_t id = free_.back();
  free_.pop_back();
  return Region{all_[id], id};
}

void Regions::give(Region region) {
  const std::lock_guard lock(mutex_);
  // A region that nobody uses costs address space only.
  madvise(region.data, Region::bytes, MADV_DONTNEED);
  free_.push_back(region.id);
}

std::uint32_t Regions::count() const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::uint32_t>(all_.size());
}

Region Regions::at(std::uint32_t id) const {
  const std::lock_guard lock(mutex_);
  return {all_[id], id};
}

// Maps twice the size and cuts off what lies outside the aligned half.
Result<> Regions::grow() {
  constexpr std::size_t bytes = Region::bytes;
  void* mapped =
      mmap(nullptr, 2 * bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) return fail_errno(errno, "memory region");
  auto* begin = static_cast<std::byte*>(mapped);
  const std::size_t before = (bytes - reinterpret_cast<std::uintptr_t>(begin) % bytes) % bytes;
  if (before != 0) munmap(begin, before);
  munmap(begin + before + bytes, bytes - before);
  madvise(begin + before, bytes, MADV_HUGEPAGE);
  free_.push_back(static_cast<std::uint32_t>(all_.size()));
  all_.push_back(begin + before);
  return {};
}

}  // namespace ashlar
