#pragma once

/// Mutual exclusion between tasks of one shard, across their suspensions.
///
///   auto lock = co_await mutex.lock();
///   CO_TRY(co_await file.write(block, at));   // nobody else is in here meanwhile

#include <cassert>
#include <coroutine>
#include <utility>

#include "ashlar/runtime/shard/shard.h"

namespace ashlar {

class Mutex;

/// Holds a mutex until it is destroyed or unlock() is called. Move-only; on the mutex's shard.
class [[nodiscard]] MutexLock {
 public:
  MutexLock() = default;
  MutexLock(MutexLock&& other) noexcept : mutex_(std::exchange(other.mutex_, nullptr)) {}
  MutexLock& operator=(MutexLock&& other) noexcept {
    std::swap(mutex_, other.mutex_);
    return *this;
  }
  ~MutexLock() { unlock(); }

  explicit operator bool() const noexcept { return mutex_ != nullptr; }
  void unlock() noexcept;

 private:
  friend class Mutex;
  explicit MutexLock(Mutex& mutex) noexcept : mutex_(&mutex) {}

  Mutex* mutex_ = nullptr;
};

/// Purpose: FIFO mutual exclusion. Owner: one shard. Not cancellable: a section that is entered is left
/// again. The lock is handed over, so that a task which comes in between cannot overtake. Destroyed unlocked.
class Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;
  ~Mutex() { assert(!locked_ && waiters_.empty()); }

  class [[nodiscard]] Acquire : private Waiter {
   public:
    explicit Acquire(Mutex& mutex) noexcept : mutex_(mutex) {}
    bool await_ready() const noexcept { return !std::exchange(mutex_.locked_, true); }
    void await_suspend(std::coroutine_handle<> suspended) noexcept {
      arm(suspended);
      mutex_.waiters_.push(*this);
    }
    MutexLock await_resume() const noexcept { return MutexLock(mutex_); }

   private:
    Mutex& mutex_;
  };
  Acquire lock() noexcept { return Acquire(*this); }
  /// Empty where the mutex is held.
  MutexLock try_lock() noexcept { return std::exchange(locked_, true) ? MutexLock() : MutexLock(*this); }
  bool locked() const noexcept { return locked_; }

 private:
  friend class MutexLock;
  void unlock() noexcept {
    if (Waiter* next = waiters_.pop()) {
      next->make_ready();
    } else {
      locked_ = false;
    }
  }

  bool locked_ = false;
  WaiterQueue waiters_;
};

inline void MutexLock::unlock() noexcept {
  if (Mutex* mutex = std::exchange(mutex_, nullptr)) mutex->unlock();
}

}  // namespace ashlar
