#include "ashlar/embed/wait_room.h"

#include <bit>

#include "ashlar/runtime/ops/machine_clock.h"

namespace ashlar::embed {

namespace {

constexpr unsigned looks_per_time = 32;  // the clock is read once in so many

void cpu_relax() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

/// Only while nobody else waits: who spins takes the core from the others, and perhaps from the shard.
bool WaitRoom::spin(const std::atomic<bool>& done) const noexcept {
  const Instant until = machine_now() + spin_;
  do {
    for (unsigned look = 0; look < looks_per_time; ++look) {
      if (done.load(std::memory_order_acquire)) return true;
      cpu_relax();
    }
  } while (waiting_.load(std::memory_order_relaxed) == 1 && machine_now() < until);
  return false;
}

// The shard stores `done`, counts the wake, reads `sleepers`; we count ourselves as a sleeper, then look at
// `done`. All of it sequentially consistent: one of the two sees the other.
void WaitRoom::wait(const std::atomic<bool>& done, unsigned which) noexcept {
  const bool alone = waiting_.fetch_add(1, std::memory_order_relaxed) == 0;
  if (!alone || !spin(done)) {
    Slot& slot = slots_[which];
    slot.sleepers.fetch_add(1, std::memory_order_seq_cst);
    for (;;) {
      const std::uint32_t wakes = slot.wakes.load(std::memory_order_seq_cst);
      if (done.load(std::memory_order_acquire)) break;
      slot.wakes.wait(wakes, std::memory_order_acquire);
    }
    slot.sleepers.fetch_sub(1, std::memory_order_relaxed);
  }
  waiting_.fetch_sub(1, std::memory_order_relaxed);
}

void WaitRoom::wake(std::uint32_t slots) noexcept {
  batch_.store(batch_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  for (; slots != 0; slots &= slots - 1) {
    Slot& slot = slots_[static_cast<unsigned>(std::countr_zero(slots))];
    slot.wakes.fetch_add(1, std::memory_order_seq_cst);
    if (slot.sleepers.load(std::memory_order_seq_cst) != 0) slot.wakes.notify_all();
  }
}

}  // namespace ashlar::embed
