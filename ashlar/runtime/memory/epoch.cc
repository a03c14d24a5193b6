#include "ashlar/runtime/memory/epoch.h"

#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cassert>
#include <cstdlib>
#include <mutex>

#include "ashlar/base/log.h"

namespace ashlar {

namespace epoch {

namespace {

bool membarrier(int command) noexcept {
  return syscall(SYS_membarrier, command, 0, 0) == 0;
}

bool register_membarrier() noexcept {
#if defined(__has_feature) && __has_feature(thread_sanitizer)
  return false;  // ThreadSanitizer does not know membarrier: readers bring their own fence
#else
  return membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
#endif
}

/// All slots there are. Slots are added, never removed, so that owners walk the list without a lock.
struct Registry {
  std::atomic<ReaderSlot*> first{nullptr};
  std::mutex mutex;  // a thread's first guard and its end
  ReaderSlot* free = nullptr;

  ReaderSlot& take() {
    const std::lock_guard lock(mutex);
    if (free != nullptr) {
      ReaderSlot& slot = *free;
      free = slot.next_free;
      return slot;
    }
    auto* slot = new ReaderSlot;
    slot->next = first.load(std::memory_order_relaxed);
    first.store(slot, std::memory_order_release);
    return *slot;
  }
  void give(ReaderSlot& slot) {
    assert(slot.depth == 0 && "a thread ended inside a guard");
    const std::lock_guard lock(mutex);
    slot.next_free = free;
    free = &slot;
  }
};

Registry& registry() {
  static auto* const instance = new Registry;  // outlives every thread
  return *instance;
}

}  // namespace

const bool detail::owner_fences = register_membarrier();

ReaderSlot& detail::register_reader() noexcept {
  struct Registration {
    ReaderSlot& slot = registry().take();
    ~Registration() {
      reader_slot = nullptr;
      registry().give(slot);
    }
  };
  static thread_local Registration registration;
  reader_slot = &registration.slot;
  return registration.slot;
}

}  // namespace epoch

std::size_t EpochDomain::reclaim() {
  if (!freeing_.empty()) return 0;  // called by a destructor that retires in turn
  std::size_t freed = 0;
  if (!leaving_.empty()) {
    if (!grace_period_over()) return 0;
    freed += free_leaving();
  }
  if (!retired_.empty()) {
    begin_grace_period();
    if (grace_period_over()) freed += free_leaving();
  }
  return freed;
}

void EpochDomain::drain() {
  assert(!epoch::Guard::held() && "would wait for itself");
  while (pending() != 0) {
    if (reclaim() == 0) sched_yield();
  }
}

void EpochDomain::begin_grace_period() {
  assert(leaving_.empty() && blockers_.empty());
  leaving_.swap(retired_);
  if (!epoch::detail::owner_fences) {
    std::atomic_thread_fence(std::memory_order_seq_cst);
  } else if (!epoch::membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED)) {
    // It was allowed at start-up, and readers rely on it: to go on would be to free under their hands.
    log::error("epoch: membarrier is refused now; it was not when the program started");
    std::abort();
  }
  for (auto* slot = epoch::registry().first.load(std::memory_order_acquire); slot != nullptr;
       slot = slot->next) {
    const std::uint64_t sequence = slot->sequence.load(std::memory_order_acquire);
    if (sequence % 2 != 0) blockers_.push_back({slot, sequence});
  }
}

bool EpochDomain::grace_period_over() noexcept {
  std::erase_if(blockers_, [](const Blocker& blocker) {
    return blocker.slot->sequence.load(std::memory_order_acquire) != blocker.sequence;
  });
  return blockers_.empty();
}

std::size_t EpochDomain::free_leaving() noexcept {
  freeing_.swap(leaving_);
  for (const Retired& retired : freeing_) retired.destroy(retired.object);
  const std::size_t freed = freeing_.size();
  freeing_.clear();
  return freed;
}

}  // namespace ashlar
