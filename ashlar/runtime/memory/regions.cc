#include "ashlar/runtime/memory/regions.h"

#include <sys/mman.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <functional>

#include "ashlar/runtime/memory/poison.h"

namespace ashlar {

Regions::~Regions() {
  assert(free_.size() == all_.size() && "a region is still in use");
  for (std::byte* data : all_) {
    ASHLAR_UNPOISON(data, Region::bytes);
    munmap(data, Region::bytes);
  }
}

Regions& Regions::process() {
  static Regions& regions = *new Regions;
  return regions;
}

Result<Region> Regions::take(std::uint32_t count) {
  const std::lock_guard lock(mutex_);
  std::uint32_t first = 0;
  if (!find_run(count, first)) {
    first = static_cast<std::uint32_t>(all_.size());
    TRY(grow(count));
  }
  ASHLAR_UNPOISON(all_[first], count * Region::bytes);
  return Region{all_[first], first};
}

void Regions::give(Region first, std::uint32_t count) {
  const std::lock_guard lock(mutex_);
  // A region that nobody uses costs address space only.
  for (std::uint32_t i = 0; i < count; ++i) {
    if (!kept_[first.id + i]) madvise(first.data + i * Region::bytes, Region::bytes, MADV_DONTNEED);
  }
  ASHLAR_POISON(first.data, count * Region::bytes);
  for (std::uint32_t i = count; i-- > 0;) free_.push_back(first.id + i);
}

void Regions::keep_pages(std::uint32_t id) {
  const std::lock_guard lock(mutex_);
  kept_[id] = true;
}

std::uint32_t Regions::count() const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::uint32_t>(all_.size());
}

Region Regions::at(std::uint32_t id) const {
  const std::lock_guard lock(mutex_);
  return {all_[id], id};
}

/// Takes free regions that follow each other, if there are. For one, the last that came back; runs are rare
/// enough to sort for.
bool Regions::find_run(std::uint32_t count, std::uint32_t& first) {
  if (free_.size() < count) return false;
  std::size_t at = free_.size() - 1;
  if (count > 1) {
    std::ranges::sort(free_, std::greater());  // the lowest at the end, to be taken first
    std::uint32_t run = 1;
    while (run < count && at > 0) {
      const std::uint32_t last = free_[at], next = free_[at - 1];
      const bool goes_on = next == last + 1 && all_[next] == all_[last] + Region::bytes;
      run = goes_on ? run + 1 : 1;
      --at;
    }
    if (run < count) return false;
  }
  const auto begin = free_.begin() + static_cast<std::ptrdiff_t>(at);
  first = *(begin + (count - 1));
  free_.erase(begin, begin + count);
  return true;
}

/// Maps one region more and cuts off what lies outside the aligned ones. Their ids are the next.
Result<> Regions::grow(std::uint32_t count) {
  constexpr std::size_t bytes = Region::bytes;
  const std::size_t wanted = count * bytes;
  void* mapped = mmap(nullptr, wanted + bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) return fail_errno(errno, "memory region");
  auto* begin = static_cast<std::byte*>(mapped);
  const std::size_t before = (bytes - reinterpret_cast<std::uintptr_t>(begin) % bytes) % bytes;
  if (before != 0) munmap(begin, before);
  munmap(begin + before + wanted, bytes - before);
  madvise(begin + before, wanted, MADV_HUGEPAGE);
  for (std::uint32_t i = 0; i < count; ++i) all_.push_back(begin + before + i * bytes);
  kept_.resize(all_.size());
  return {};
}

}  // namespace ashlar
