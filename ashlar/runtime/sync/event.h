#pragma once

/// A flag that is set once and wakes all who wait for it.

#include <coroutine>

#include "ashlar/base/result.h"
#include "ashlar/runtime/shard/shard.h"
#include "ashlar/runtime/task/cancel.h"
#include "ashlar/runtime/task/waiter.h"

namespace ashlar {

/// Owner: one shard. Waits are cancellable.
class Event {
 public:
  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  bool is_set() const noexcept { return set_; }
  /// Idempotent.
  void set() noexcept {
    set_ = true;
    while (first_ != nullptr) {
      Wait& wait = *first_;
      CancelScope::withdraw(wait);
      first_ = wait.next_wait_;
      wait.make_ready();
    }
  }

  class [[nodiscard]] Wait final : private Waiter, private Cancellable {
   public:
    explicit Wait(Event& event) noexcept : event_(event) {}
    bool await_ready() const noexcept {
      const CancelScope* scope = Shard::current().context().cancel;
      return event_.set_ || (scope != nullptr && scope->cancelled());
    }
    void await_suspend(std::coroutine_handle<> suspended) noexcept {
      arm(suspended);
      next_wait_ = event_.first_;
      event_.first_ = this;
      if (context.cancel != nullptr) context.cancel->add(*this);
    }
    Result<> await_resume() const noexcept {
      if (!event_.set_) return fail(Errc::cancelled, "wait for event");
      return {};
    }

   private:
    friend class Event;
    void on_cancel() noexcept override {
      for (Wait** at = &event_.first_; *at != nullptr; at = &(*at)->next_wait_) {
        if (*at == this) {
          *at = next_wait_;
          break;
        }
      }
      make_ready();
    }
    Event& event_;
    Wait* next_wait_ = nullptr;
  };
  Wait wait() noexcept { return Wait(*this); }

 private:
  bool set_ = false;
  Wait* first_ = nullptr;
};

}  // namespace ashlar
