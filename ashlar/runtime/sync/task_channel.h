#pragma once

/// A bounded queue between tasks of one shard: senders wait while it is full, receivers while it is empty.
///
///   TaskChannel<Job> jobs(16);
///   CO_TRY(co_await jobs.send(std::move(job)));                 // producer
///   while (auto job = co_await jobs.receive()) run(*job);       // consumer, until closed and drained

#include <coroutine>
#include <memory>
#include <optional>
#include <utility>

#include "ashlar/runtime/sync/queued_wait.h"

namespace ashlar {

/// Owner: one shard. FIFO in items, senders and receivers. Capacity 0 is a rendezvous. Destroyed when nobody
/// waits. Invariant: receivers wait only where there is no item and no sender; senders only where the buffer
/// is full.
template <class T>
class TaskChannel {
 public:
  explicit TaskChannel(std::size_t capacity)
      : slots_(std::make_unique<std::optional<T>[]>(capacity)), capacity_(capacity) {}
  TaskChannel(const TaskChannel&) = delete;
  TaskChannel& operator=(const TaskChannel&) = delete;

  class [[nodiscard]] Send final : private QueuedWait {
   public:
    Send(TaskChannel& channel, T item) noexcept : channel_(channel), item_(std::move(item)) {}
    bool await_ready() noexcept { return cancelled_before() || channel_.closed_ || channel_.deliver(item_); }
    void await_suspend(std::coroutine_handle<> suspended) noexcept { enqueue(channel_.senders_, suspended); }
    Result<> await_resume() const noexcept {
      if (!item_) return {};
      return fail(cancelled() ? Errc::cancelled : Errc::closed, "channel send");
    }

   private:
    friend class TaskChannel;
    TaskChannel& channel_;
    std::optional<T> item_;  // empty once it was delivered
  };

  class [[nodiscard]] Receive final : private QueuedWait {
   public:
    explicit Receive(TaskChannel& channel) noexcept : channel_(channel) {}
    bool await_ready() noexcept {
      if (cancelled_before()) return true;
      item_ = channel_.take();
      return item_ || channel_.closed_;
    }
    void await_suspend(std::coroutine_handle<> suspended) noexcept {
      enqueue(channel_.receivers_, suspended);
    }
    Result<T> await_resume() noexcept {
      if (item_) return *std::move(item_);
      return fail(cancelled() ? Errc::cancelled : Errc::closed, "channel receive");
    }

   private:
    friend class TaskChannel;
    TaskChannel& channel_;
    std::optional<T> item_;
  };

  /// Waits for room. `closed` or `cancelled`: the item was not sent.
  Send send(T item) noexcept { return {*this, std::move(item)}; }
  /// Waits for an item. `closed` once the channel is closed and drained.
  Receive receive() noexcept { return Receive(*this); }
  /// Without waiting: moves from `item` only where it returns true.
  bool try_send(T& item) {
    if (closed_) return false;
    std::optional<T> offered(std::move(item));
    if (deliver(offered)) return true;
    item = *std::move(offered);
    return false;
  }
  std::optional<T> try_receive() { return take(); }

  /// What was sent can still be received; senders that wait fail. Idempotent.
  void close() noexcept {
    closed_ = true;
    while (!senders_.empty()) senders_.front().wake();
    while (!receivers_.empty()) receivers_.front().wake();
  }
  bool closed() const noexcept { return closed_; }
  std::size_t size() const noexcept { return size_; }
  std::size_t capacity() const noexcept { return capacity_; }

 private:
  /// Hands the item to the first receiver, or to the buffer; false where it must wait.
  bool deliver(std::optional<T>& item) noexcept {
    if (!receivers_.empty()) {
      auto& receiver = static_cast<Receive&>(receivers_.front());
      receiver.item_ = std::exchange(item, std::nullopt);
      receiver.wake();
      return true;
    }
    if (size_ == capacity_) return false;
    slots_[(first_ + size_++) % capacity_] = std::exchange(item, std::nullopt);
    return true;
  }

  /// The oldest item; the first waiting sender takes the room it leaves.
  std::optional<T> take() noexcept {
    std::optional<T> item;
    if (size_ != 0) {
      item = std::exchange(slots_[first_], std::nullopt);
      first_ = (first_ + 1) % capacity_;
      --size_;
    }
    if (!senders_.empty()) {
      auto& sender = static_cast<Send&>(senders_.front());
      if (!item) {
        item = std::exchange(sender.item_, std::nullopt);
      } else {
        deliver(sender.item_);
      }
      sender.wake();
    }
    return item;
  }

  std::unique_ptr<std::optional<T>[]> slots_;
  std::size_t capacity_;
  std::size_t first_ = 0;
  std::size_t size_ = 0;
  bool closed_ = false;
  WaitQueue senders_;
  WaitQueue receivers_;
};

}  // namespace ashlar
