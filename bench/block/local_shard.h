#pragma once

/// A shard that the calling thread drives itself, by poll_once(): for measuring loops, and for programs that
/// bring an event loop of their own (fio).

#include <memory>
#include <optional>
#include <utility>

#include "ashlar/base/result.h"
#include "ashlar/runtime/ops/backend.h"
#include "ashlar/runtime/shard/shard.h"
#include "ashlar/runtime/sync/scope.h"
#include "ashlar/runtime/task/task.h"

namespace ashlar::bench::block {

/// Alone in its mesh. Owner: the thread that starts it, for which it is the current shard. Lifecycle: when it
/// is destroyed, its tasks are cancelled and joined, and every operation has ended.
class LocalShard {
 public:
  /// Over io_uring, or over epoll and threads where there is none.
  static Result<std::unique_ptr<LocalShard>> start();
  ~LocalShard();
  LocalShard(const LocalShard&) = delete;
  LocalShard& operator=(const LocalShard&) = delete;

  Shard& operator*() noexcept { return shard_; }
  Shard* operator->() noexcept { return &shard_; }

  /// A turn where there is something to do; else one system call that submits, waits and completes.
  void turn_or_sleep() noexcept {
    if (shard_.has_work()) {
      shard_.poll_once();
    } else {
      shard_.sleep();  // without a turn before it, because no other shard waits for our messages
    }
  }
  /// Runs a task to its end; sleeps where there is nothing to do.
  template <class T>
  T run(Task<T> task) {
    std::optional<T> value;
    const auto store = [](Task<T> inner, std::optional<T>* into) -> Task<> { into->emplace(co_await inner); };
    run(store(std::move(task), &value));
    return *std::move(value);
  }
  void run(Task<> task);

 private:
  explicit LocalShard(std::unique_ptr<Backend> backend);

  Mesh mesh_;
  Shard shard_;
};

}  // namespace ashlar::bench::block
