#pragma once

/// Threads that block in file system calls so that a shard need not.

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "ashlar/runtime/ops/backend.h"
#include "ashlar/runtime/ops/operation_list.h"

namespace ashlar {

/// Owner: a back end or a channel, on whose shard all calls are made. Operations go to the threads in
/// batches, under one lock per loop turn, and come back through a lock-free list; the owner is told of the
/// first of a batch. Threads start as they are needed, up to the limit, and end with the owner, by when
/// nothing may be in flight. Where the system gives not even one, dispatch() does the work itself.
class FileWorkers {
 public:
  /// `finished` is called on any thread, at most once before each collect().
  FileWorkers(void (*finished)(void* owner) noexcept, void* owner, unsigned threads_max) noexcept
      : tell_(finished), owner_(owner), threads_max_(threads_max) {}
  FileWorkers(Backend& owner, unsigned threads_max) noexcept
      : FileWorkers([](void* backend) noexcept { static_cast<Backend*>(backend)->wake(); }, &owner,
                    threads_max) {}
  ~FileWorkers();
  FileWorkers(const FileWorkers&) = delete;
  FileWorkers& operator=(const FileWorkers&) = delete;

  /// Adds to the batch that the next dispatch() hands over.
  void submit(Operation& operation) noexcept {
    staged_.push(operation);
    ++staged_count_;
  }
  void dispatch() noexcept;
  /// Whether something waits for dispatch(), or has come back.
  bool pending() const noexcept {
    return staged_count_ != 0 || finished_.load(std::memory_order_relaxed) != nullptr;
  }
  /// What has finished since the last call, in the order in which it did; results are set.
  OperationList collect() noexcept;

 private:
  void work() noexcept;
  void work_here() noexcept;
  void finish(Operation& operation) noexcept;
  void add_thread();

  void (*const tell_)(void*) noexcept;
  void* const owner_;
  const unsigned threads_max_;
  OperationList staged_;
  unsigned staged_count_ = 0;
  std::vector<std::thread> threads_;

  std::mutex mutex_;  // what follows
  std::condition_variable work_arrived_;
  OperationList queue_;
  unsigned queued_ = 0;
  unsigned idle_ = 0;
  bool stop_ = false;

  alignas(64) std::atomic<Operation*> finished_{nullptr};  // newest first
};

}  // namespace ashlar
