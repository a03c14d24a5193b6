#pragma once

/// Reports tasks that hold their shard too long, with the stack they are on.
///
///   StallDetector detector;                  // one thread for all shards of the process
///   const StallDetector::Watch watch(detector, shard);   // on the shard's thread, while it runs

#include <pthread.h>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "ashlar/runtime/ops/clock.h"
#include "ashlar/runtime/shard/shard.h"

namespace ashlar {

struct StallReport {
  ShardId shard;
  Duration held{};                 ///< so far
  std::vector<std::string> stack;  ///< innermost first; empty where the thread did not answer
};

/// How it works:
///  1. A shard notes when it began to run its tasks (Shard::running_since).
///  2. A thread of the detector looks at that some times per limit. Once the limit is passed it sends the
///  shard's thread
///     a signal, whose handler takes the stack as addresses, with no allocation and no lock.
///  3. The detector's thread finds the names, and reports: once, however long the task goes on.
///  4. While all shards sleep the thread does too; the first to wake up wakes it.
///
/// Thread safety: any thread. Lifecycle: outlives its watches. It uses the signal SIGRTMIN + 3.
class StallDetector {
 public:
  /// Called on the detector's thread for each stall; by default a warning is logged.
  using Report = std::function<void(const StallReport&)>;

  explicit StallDetector(Report report = log_report);
  ~StallDetector();
  StallDetector(const StallDetector&) = delete;
  StallDetector& operator=(const StallDetector&) = delete;

  /// Watches one shard, with the limit of its options. Constructed and destroyed on the shard's thread.
  class Watch {
   public:
    Watch(StallDetector& detector, Shard& shard);
    ~Watch();
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

   private:
    friend class StallDetector;
    StallDetector& detector_;
    Shard& shard_;
    pthread_t thread_;
    std::int64_t reported_ = 0;  // the running_since of the stall that was reported last
  };

  /// Times the thread has looked; stands still while all shards sleep.
  std::uint64_t looks() const noexcept { return looks_.load(std::memory_order_relaxed); }

  static void log_report(const StallReport& report);
  /// SIGRTMIN + 3.
  static int signal_number() noexcept;

 private:
  void run();
  bool all_asleep() const;
  void look(Watch& watch);
  Duration interval() const;
  void shard_awoke() noexcept;

  const Report report_;
  std::mutex mutex_;  // what follows, and every look: a watched shard does not go away meanwhile
  std::condition_variable changed_;
  std::vector<Watch*> watches_;
  bool stop_ = false;
  std::atomic<bool> parked_{false};
  std::atomic<std::uint64_t> looks_{0};
  std::thread thread_;
};

}  // namespace ashlar
