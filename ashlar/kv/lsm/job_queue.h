#pragma once

/// The background jobs of all partitions of a shard: so many at once, the most urgent first.
///
///   JobSlot slot = CO_TRY(co_await queue.acquire({.urgency = job.urgency, .score = job.score}));
///   … choose again: what was due may have changed while this waited

#include <cstdint>
#include <utility>

#include "ashlar/kv/lsm/compaction.h"
#include "ashlar/runtime/sync/queued_wait.h"

namespace ashlar::lsm {

class JobQueue;

/// How much a job matters.
struct JobRank {
  Urgency urgency = Urgency::size;
  double score = 0;
  auto operator<=>(const JobRank&) const = default;
};

/// The right to run one job; given back when destroyed. Move-only; on the queue's shard.
class [[nodiscard]] JobSlot {
 public:
  JobSlot() = default;
  JobSlot(JobSlot&& other) noexcept : queue_(std::exchange(other.queue_, nullptr)), urgent_(other.urgent_) {}
  JobSlot& operator=(JobSlot&& other) noexcept {
    std::swap(queue_, other.queue_);
    std::swap(urgent_, other.urgent_);
    return *this;
  }
  ~JobSlot();

 private:
  friend class JobQueue;
  JobSlot(JobQueue& queue, bool urgent) noexcept : queue_(&queue), urgent_(urgent) {}

  JobQueue* queue_ = nullptr;
  bool urgent_ = false;
};

/// Owner: one shard. Destroyed when nobody waits. Invariant: one slot is kept for jobs of level 0 and drops,
/// which others must never hold up: a rewrite of the bottom may take minutes.
class JobQueue {
 public:
  /// `slots`: at least 2.
  explicit JobQueue(unsigned slots) noexcept : slots_(slots) {}
  JobQueue(const JobQueue&) = delete;
  JobQueue& operator=(const JobQueue&) = delete;

  class [[nodiscard]] Acquire final : private QueuedWait {
   public:
    Acquire(JobQueue& queue, JobRank rank) noexcept : queue_(queue), rank_(rank) {}
    bool await_ready() noexcept { return cancelled_before() || queue_.take(rank_); }
    void await_suspend(std::coroutine_handle<> suspended) noexcept { enqueue(queue_.waiters_, suspended); }
    Result<JobSlot> await_resume() const noexcept {
      if (cancelled()) return fail(Errc::cancelled, "job");
      return JobSlot(queue_, is_urgent(rank_));
    }

   private:
    friend class JobQueue;
    void on_left_queue() noexcept override { queue_.grant(); }

    JobQueue& queue_;
    JobRank rank_;
  };

  /// Waits for a slot; `cancelled` where the scope ends first.
  Acquire acquire(JobRank rank) noexcept { return {*this, rank}; }
  unsigned running() const noexcept { return ordinary_ + urgent_; }

 private:
  friend class JobSlot;

  static constexpr bool is_urgent(const JobRank& rank) noexcept { return rank.urgency >= Urgency::level0; }
  bool has_room(const JobRank& rank) const noexcept {
    return running() < slots_ && (is_urgent(rank) || ordinary_ + 1 < slots_);
  }
  bool take(const JobRank& rank) noexcept {
    if (!has_room(rank)) return false;
    ++(is_urgent(rank) ? urgent_ : ordinary_);
    return true;
  }
  void release(bool urgent) noexcept {
    --(urgent ? urgent_ : ordinary_);
    grant();
  }
  /// As there are waiters only where there was no room, whoever ranks first is the first to find some.
  void grant() noexcept {
    while (true) {
      Acquire* first = nullptr;
      for (QueuedWait& wait : waiters_) {
        auto& acquire = static_cast<Acquire&>(wait);
        if (has_room(acquire.rank_) && (first == nullptr || acquire.rank_ > first->rank_)) first = &acquire;
      }
      if (first == nullptr) return;
      (void)take(first->rank_);
      first->wake();
    }
  }

  unsigned slots_;
  unsigned ordinary_ = 0, urgent_ = 0;
  WaitQueue waiters_;
};

inline JobSlot::~JobSlot() {
  if (queue_ != nullptr) queue_->release(urgent_);
}

}  // namespace ashlar::lsm
