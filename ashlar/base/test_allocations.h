#pragma once

/// Counts what a test program takes from the heap, so that a test can say that something takes nothing.
/// Replaces the global operator new: included by one source of the program. ThreadSanitizer has operators of
/// its own, and nothing is counted under it.

#include <cstddef>
#include <cstdlib>

namespace ashlar::testing {

/// Calls of operator new by this thread.
inline thread_local std::size_t allocations = 0;

inline void* counted_allocation(std::size_t bytes) {
  ++allocations;
  if (void* memory = std::malloc(bytes == 0 ? 1 : bytes)) return memory;
  std::abort();
}

}  // namespace ashlar::testing

#if !__has_feature(thread_sanitizer)
void* operator new(std::size_t bytes) {
  return ashlar::testing::counted_allocation(bytes);
}
void* operator new[](std::size_t bytes) {
  return ashlar::testing::counted_allocation(bytes);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}
#endif
