#pragma once

/// Cooperative cancellation. A scope that is cancelled wakes every cancellable wait under it, which then
/// returns Errc::cancelled. Disk operations are not cancellable (the kernel owns their buffer); sockets,
/// timers, semaphores, conditions and channels are.

#include <cassert>

namespace ashlar {

class CancelScope;

/// A wait that can be cut short. Lives in the awaiter; registered with a scope while it waits.
class Cancellable {
 public:
  Cancellable() = default;
  Cancellable(const Cancellable&) = delete;
  Cancellable& operator=(const Cancellable&) = delete;

 protected:
  ~Cancellable() { assert(scope_ == nullptr && "destroyed while it waits"); }

 private:
  friend class CancelScope;
  /// Called once, on the owner shard, after it was unlinked. Must not resume a coroutine directly.
  virtual void on_cancel() noexcept = 0;

  CancelScope* scope_ = nullptr;
  Cancellable* previous_ = nullptr;
  Cancellable* next_ = nullptr;
};

/// The set of waits that end together. Owner: one shard. Scopes nest: cancelling one cancels those under it.
/// Must outlive every wait registered with it.
class CancelScope final : private Cancellable {
 public:
  /// A child of `parent`, which may be null.
  explicit CancelScope(CancelScope* parent = nullptr) noexcept {
    if (parent != nullptr) {
      cancelled_ = parent->cancelled_;
      if (!cancelled_) parent->add(*this);
    }
  }
  ~CancelScope() {
    assert(first_ == nullptr && "a wait outlived its scope");
    withdraw(*this);
  }

  bool cancelled() const noexcept { return cancelled_; }

  /// Wakes every wait in this scope and those under it. Later waits do not suspend. Idempotent.
  void cancel() noexcept {
    cancelled_ = true;
    while (first_ != nullptr) {
      Cancellable& wait = *first_;
      withdraw(wait);
      wait.on_cancel();
    }
  }

  void add(Cancellable& wait) noexcept {
    assert(wait.scope_ == nullptr);
    wait.scope_ = this;
    wait.previous_ = nullptr;
    wait.next_ = first_;
    if (first_ != nullptr) first_->previous_ = &wait;
    first_ = &wait;
  }
  /// Unlinks a wait that ended by itself; does nothing for one that is not registered.
  static void withdraw(Cancellable& wait) noexcept {
    if (wait.scope_ == nullptr) return;
    *(wait.previous_ != nullptr ? &wait.previous_->next_ : &wait.scope_->first_) = wait.next_;
    if (wait.next_ != nullptr) wait.next_->previous_ = wait.previous_;
    wait.scope_ = nullptr;
  }

 private:
  void on_cancel() noexcept override { cancel(); }

  Cancellable* first_ = nullptr;
  bool cancelled_ = false;
};

}  // namespace ashlar
