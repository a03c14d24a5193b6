#pragma once

/// A thread of the program in the role of a shard: its own event loop drives it.
///
///   epoll_ctl(mine, EPOLL_CTL_ADD, shard.descriptor().value(), …);
///   for (;;) {
///     const Duration wait = shard.poll();                        // what the shard has to do is done here
///     epoll_wait(mine, events, count, milliseconds_of(wait));    // other sockets, and the descriptor
///   }

#include <atomic>
#include <thread>

#include "ashlar/runtime/shard/shard.h"

namespace ashlar {

/// Owner: the thread that called Runtime::start() with RuntimeOptions::driven; all calls are its. While one
/// of them runs, the thread is the shard; at other times it is any thread. A shard that is not driven answers
/// nobody, so that others wait for it: poll() often, and before each wait.
class DrivenShard {
 public:
  explicit DrivenShard(Shard& shard) noexcept : shard_(shard), thread_(std::this_thread::get_id()) {}
  DrivenShard(const DrivenShard&) = delete;
  DrivenShard& operator=(const DrivenShard&) = delete;

  /// Turns until there is nothing left to do, or for a millisecond or so. Returns how long the thread may
  /// wait for the descriptor at most: zero, where more is to be done now; Duration::max(), where nothing else
  /// is.
  Duration poll() noexcept;
  /// For loops that have nothing else to wait for: the same, and where nothing was to be done sleeps until
  /// something is, at most so long, and does that. Whether anything was done.
  bool run_once(Duration timeout) noexcept;
  /// Until `done`; who sets it calls wake() afterwards.
  void run_until(const std::atomic<bool>& done) noexcept;

  /// Readable, level-triggered, when poll() has something to do since it last returned. Not to be read from
  /// or closed. The same one each time; it lives as long as the runtime. `unsupported` where the back end has
  /// none.
  Result<int> descriptor();

  /// Any thread: ends a wait.
  void wake() noexcept { shard_.wake_if_sleeping(); }
  /// Whether this is the thread that drives it.
  bool here() const noexcept { return std::this_thread::get_id() == thread_; }

  /// While it lives, the thread is the shard.
  class Inside {
   public:
    explicit Inside(DrivenShard& driven) noexcept : before_(Shard::enter(&driven.shard_)) {}
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;
    ~Inside() { Shard::enter(before_); }

   private:
    Shard* before_;
  };

 private:
  bool turn() noexcept;

  Shard& shard_;
  const std::thread::id thread_;
};

}  // namespace ashlar
