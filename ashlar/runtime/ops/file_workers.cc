#include "ashlar/runtime/ops/file_workers.h"

#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "ashlar/runtime/ops/file_operations.h"
#include "ashlar/runtime/ops/start_thread.h"

namespace ashlar {

namespace {

constexpr int ioprio_who_process = 1;  // <linux/ioprio.h> is not C++ everywhere

}  // namespace

FileWorkers::~FileWorkers() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  work_arrived_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void FileWorkers::dispatch() noexcept {
  if (staged_count_ == 0) return;
  unsigned wake = 0;
  unsigned start = 0;
  {
    const std::lock_guard lock(mutex_);
    while (Operation* operation = staged_.pop()) queue_.push(*operation);
    queued_ += staged_count_;
    wake = std::min(staged_count_, idle_);
    const auto more = threads_max_ - static_cast<unsigned>(threads_.size());
    if (queued_ > idle_) start = std::min(queued_ - idle_, more);
  }
  staged_count_ = 0;
  for (unsigned i = 0; i < wake; ++i) work_arrived_.notify_one();
  for (unsigned i = 0; i < start; ++i) add_thread();
  if (threads_.empty()) work_here();
}

// Signals are for the threads of the program, not for these.
void FileWorkers::add_thread() {
  sigset_t all, previous;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &previous);
  if (auto thread = start_thread([this] { work(); })) threads_.push_back(*std::move(thread));
  pthread_sigmask(SIG_SETMASK, &previous, nullptr);
}

/// There is no thread to be had: the shard does it, and is held up meanwhile.
void FileWorkers::work_here() noexcept {
  queued_ = 0;
  while (Operation* operation = queue_.pop()) {
    operation->result = execute_file_operation(*operation);
    finish(*operation);
  }
}

/// From the exchange on it is the shard's. Only the first of a batch is told: the shard takes all there are.
/// When it took the batch before, it had done with what told it: released there, acquired here.
void FileWorkers::finish(Operation& operation) noexcept {
  Operation* newest = finished_.load(std::memory_order_relaxed);
  do {
    operation.next = newest;
  } while (!finished_.compare_exchange_weak(newest, &operation, std::memory_order_acq_rel,
                                            std::memory_order_relaxed));
  if (newest == nullptr) tell_(owner_);
}

void FileWorkers::work() noexcept {
  pthread_setname_np(pthread_self(), "ashlar-file");
  std::uint16_t priority = 0;
  std::unique_lock lock(mutex_);
  for (;;) {
    while (queue_.empty() && !stop_) {
      ++idle_;
      work_arrived_.wait(lock);
      --idle_;
    }
    if (queue_.empty()) return;
    Operation& operation = *queue_.pop();
    --queued_;
    lock.unlock();

    // The thread takes on the operation's priority; where it may not, the hint is lost.
    if (operation.priority != priority) {
      priority = operation.priority;
      ::syscall(SYS_ioprio_set, ioprio_who_process, 0, priority);
    }
    operation.result = execute_file_operation(operation);
    finish(operation);
    lock.lock();
  }
}

OperationList FileWorkers::collect() noexcept {
  OperationList list;
  if (finished_.load(std::memory_order_relaxed) == nullptr) return list;
  Operation* newest = finished_.exchange(nullptr, std::memory_order_acq_rel);
  Operation* oldest = nullptr;
  while (newest != nullptr) {
    Operation* before = newest->next;
    newest->next = oldest;
    oldest = newest;
    newest = before;
  }
  while (oldest != nullptr) {
    Operation* after = oldest->next;
    list.push(*oldest);
    oldest = after;
  }
  return list;
}

}  // namespace ashlar
