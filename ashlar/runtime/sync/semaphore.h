#pragma once

/// Counted units that tasks of one shard take and give back: a bound on requests in flight, on bytes
/// buffered.
///
///   Semaphore budget(1_MiB);
///   SemaphoreUnits units = CO_TRY(co_await budget.acquire(message.size()));

#include <cassert>
#include <coroutine>
#include <cstdint>
#include <utility>

#include "ashlar/runtime/sync/queued_wait.h"

namespace ashlar {

class Semaphore;

/// Units taken from a semaphore; given back when destroyed. Move-only; on the semaphore's shard.
class [[nodiscard]] SemaphoreUnits {
 public:
  SemaphoreUnits() = default;
  SemaphoreUnits(SemaphoreUnits&& other) noexcept
      : semaphore_(std::exchange(other.semaphore_, nullptr)), count_(std::exchange(other.count_, 0)) {}
  SemaphoreUnits& operator=(SemaphoreUnits&& other) noexcept {
    std::swap(semaphore_, other.semaphore_);
    std::swap(count_, other.count_);
    return *this;
  }
  ~SemaphoreUnits() { release(); }

  std::uint64_t count() const noexcept { return count_; }
  explicit operator bool() const noexcept { return semaphore_ != nullptr; }
  /// Gives all of them back now.
  void release() noexcept;

 private:
  friend class Semaphore;
  SemaphoreUnits(Semaphore& semaphore, std::uint64_t count) noexcept
      : semaphore_(&semaphore), count_(count) {}

  Semaphore* semaphore_ = nullptr;
  std::uint64_t count_ = 0;
};

/// Owner: one shard. FIFO: a large request at the front is not starved by small ones behind it. Destroyed
/// when nobody waits.
class Semaphore {
 public:
  explicit Semaphore(std::uint64_t units) noexcept : available_(units) {}
  Semaphore(const Semaphore&) = delete;
  Semaphore& operator=(const Semaphore&) = delete;

  class [[nodiscard]] Acquire final : private QueuedWait {
   public:
    Acquire(Semaphore& semaphore, std::uint64_t count) noexcept : semaphore_(semaphore), count_(count) {}
    bool await_ready() noexcept { return cancelled_before() || semaphore_.take(count_); }
    void await_suspend(std::coroutine_handle<> suspended) noexcept {
      enqueue(semaphore_.waiters_, suspended);
    }
    Result<SemaphoreUnits> await_resume() const noexcept {
      if (cancelled()) return fail(Errc::cancelled, "semaphore");
      return SemaphoreUnits(semaphore_, count_);
    }

   private:
    friend class Semaphore;
    void on_left_queue() noexcept override { semaphore_.grant(); }

    Semaphore& semaphore_;
    std::uint64_t count_;
  };

  /// Waits for `count` units; `cancelled` where the scope ends first. More than there will ever be waits for
  /// ever.
  Acquire acquire(std::uint64_t count = 1) noexcept { return {*this, count}; }
  /// Without waiting: empty where there are too few, or others wait already.
  SemaphoreUnits try_acquire(std::uint64_t count = 1) noexcept {
    return take(count) ? SemaphoreUnits(*this, count) : SemaphoreUnits();
  }
  /// Adds units: given back, or new ones.
  void release(std::uint64_t count) noexcept {
    available_ += count;
    grant();
  }
  std::uint64_t available() const noexcept { return available_; }

 private:
  bool take(std::uint64_t count) noexcept {
    if (!waiters_.empty() || available_ < count) return false;
    available_ -= count;
    return true;
  }
  void grant() noexcept {
    while (!waiters_.empty()) {
      auto& first = static_cast<Acquire&>(waiters_.front());
      if (available_ < first.count_) return;
      available_ -= first.count_;
      first.wake();
    }
  }

  std::uint64_t available_;
  WaitQueue waiters_;
};

inline void SemaphoreUnits::release() noexcept {
  if (Semaphore* semaphore = std::exchange(semaphore_, nullptr)) semaphore->release(std::exchange(count_, 0));
}

}  // namespace ashlar
