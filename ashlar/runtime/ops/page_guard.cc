#include "ashlar/runtime/ops/page_guard.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <mutex>
#include <new>

namespace ashlar {

namespace {

struct Chunk {
  std::array<PageGuard, 64> guards;
  std::atomic<Chunk*> next{nullptr};
};

constinit Chunk first_chunk;
constinit std::mutex watching;  // guards are given out by one thread at a time; the handler takes no lock
std::uintptr_t page_bytes;      // from here on: written before the handler is installed
struct sigaction previous;

/// Ends the process the way it would have ended, or asks whoever was asked before us.
void pass_on(int number, siginfo_t* info, void* context) noexcept {
  if ((previous.sa_flags & SA_SIGINFO) != 0) {
    previous.sa_sigaction(number, info, context);
  } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
    previous.sa_handler(number);
  } else {
    struct sigaction fatal{};
    fatal.sa_handler = SIG_DFL;
    ::sigaction(SIGBUS, &fatal, nullptr);
    ::raise(SIGBUS);  // blocked until we return
  }
}

}  // namespace

/// What the handler may see of PageGuard.
struct PageGuardTable {
  static void on_bus_error(int number, siginfo_t* info, void* context) noexcept {
    const int interrupted = errno;
    const bool from_kernel = info->si_code > 0;
    const bool recovered = from_kernel && recover(reinterpret_cast<std::uintptr_t>(info->si_addr));
    errno = interrupted;
    if (!recovered) pass_on(number, info, context);
  }

  static bool recover(std::uintptr_t address) noexcept {
    for (Chunk* chunk = &first_chunk; chunk != nullptr; chunk = chunk->next.load(std::memory_order_acquire)) {
      for (PageGuard& guard : chunk->guards) {
        if (guard.take(address)) return true;
      }
    }
    return false;
  }
};

// Marked first: whoever reads the zeros, on any thread, then sees that they are not the file's.
bool PageGuard::take(std::uintptr_t address) noexcept {
  const std::uintptr_t begin = begin_.load(std::memory_order_acquire);
  if (begin == 0 || address < begin || address >= end_.load(std::memory_order_acquire)) return false;
  // Given to another range between the two loads: begin and end are of one guard each.
  if (begin_.load(std::memory_order_relaxed) != begin) return false;
  const std::uintptr_t page = address & ~(page_bytes - 1);
  std::uint64_t lowest = first_bad_.load(std::memory_order_relaxed);
  while (page - begin < lowest &&
         !first_bad_.compare_exchange_weak(lowest, page - begin, std::memory_order_release,
                                           std::memory_order_relaxed)) {
  }
  // The bare system call: what sanitizers put around mmap() is not for signal handlers.
  return ::syscall(SYS_mmap, page, page_bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == static_cast<long>(page);
}

PageGuard* PageGuard::watch(const std::byte* data, std::uint64_t bytes) noexcept {
  const std::lock_guard lock(watching);
  if (page_bytes == 0) {
    page_bytes = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    struct sigaction ours{};
    ours.sa_sigaction = &PageGuardTable::on_bus_error;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
    ::sigaction(SIGBUS, nullptr, &previous);
    ::sigaction(SIGBUS, &ours, nullptr);
  }
  const auto begin = reinterpret_cast<std::uintptr_t>(data);
  for (Chunk* chunk = &first_chunk;; chunk = chunk->next.load(std::memory_order_relaxed)) {
    for (PageGuard& guard : chunk->guards) {
      if (guard.begin_.load(std::memory_order_relaxed) != 0) continue;
      guard.first_bad_.store(none, std::memory_order_relaxed);
      guard.end_.store((begin + bytes + page_bytes - 1) & ~(page_bytes - 1), std::memory_order_release);
      guard.begin_.store(begin, std::memory_order_release);
      return &guard;
    }
    if (chunk->next.load(std::memory_order_relaxed) != nullptr) continue;
    auto* added = new (std::nothrow) Chunk;
    if (added == nullptr) return nullptr;
    chunk->next.store(added, std::memory_order_release);
  }
}

void PageGuard::release(PageGuard& guard) noexcept {
  const std::lock_guard lock(watching);
  guard.begin_.store(0, std::memory_order_release);
}

}  // namespace ashlar
