// Counts what the program allocates: that an I/O allocates nothing is measured, not believed.

#include <atomic>
#include <cstdlib>
#include <new>

#include "bench/block/job.h"

namespace ashlar::bench::block {

namespace {

std::atomic<std::uint64_t> count{0};

void* counted(std::size_t bytes, std::size_t alignment) noexcept {
  count.fetch_add(1, std::memory_order_relaxed);
  if (alignment <= __STDCPP_DEFAULT_NEW_ALIGNMENT__) return std::malloc(bytes);
  return std::aligned_alloc(alignment, (bytes + alignment - 1) & ~(alignment - 1));
}

void* counted_or_end(std::size_t bytes, std::size_t alignment) noexcept {
  void* const memory = counted(bytes != 0 ? bytes : 1, alignment);
  if (memory == nullptr) std::abort();
  return memory;
}

}  // namespace

std::uint64_t allocations() noexcept {
  return count.load(std::memory_order_relaxed);
}

}  // namespace ashlar::bench::block

// clang-format off
void* operator new(std::size_t bytes) { return ashlar::bench::block::counted_or_end(bytes, 1); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return ashlar::bench::block::counted_or_end(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
// clang-format on
