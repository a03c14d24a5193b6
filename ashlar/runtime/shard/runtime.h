#pragma once

/// Shards on real threads: starts them, runs a main task on each, stops them cleanly.
///
///   Runtime runtime({.shards = 2});
///   Result<> result = runtime.run([&](Shard& shard) -> Task<Result<>> { return serve(shard, runtime); });
///
/// A program whose own threads go on beside the shards calls start() and, in the end, request_stop() and
/// join().

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "ashlar/base/result.h"
#include "ashlar/runtime/ops/epoll/epoll_options.h"
#include "ashlar/runtime/ops/uring/uring_options.h"
#include "ashlar/runtime/shard/driven_shard.h"
#include "ashlar/runtime/shard/shard.h"
#include "ashlar/runtime/shard/stall_detector.h"
#include "ashlar/runtime/sync/event.h"
#include "ashlar/runtime/task/task.h"
#include "ashlar/runtime/topology/topology.h"

namespace ashlar {

enum class BackendKind : std::uint8_t {
  automatic,  ///< io_uring, else epoll, with one line that says why
  uring,
  epoll,
};

struct RuntimeOptions {
  unsigned shards = 0;                 ///< 0: one per usable core
  std::uint64_t memory_cap_bytes = 0;  ///< 0: three quarters of what this process may use
  bool pin = true;                     ///< each shard to a core of its own, where there are enough
  bool take_signals = true;            ///< shards may be the threads on which the program's handlers run
  /// This shard has no thread of its own: it is the one that calls start().
  std::optional<unsigned> driven = {};
  BackendKind backend = BackendKind::automatic;
  ShardOptions shard;
  UringOptions uring;
  EpollOptions epoll = {};
};

class OptionSet;
void describe(OptionSet& set, RuntimeOptions& options);

/// Thread safety: request_stop() and post() from any thread; the rest from the thread that owns the Runtime.
class Runtime {
 public:
  using Main = std::function<Task<Result<>>(Shard&)>;

  explicit Runtime(const RuntimeOptions& options);
  ~Runtime();

  unsigned shard_count() const noexcept { return options_.shards; }

  /// Runs `main` on every shard and returns when all have ended: ok, or the first error. Shards go on
  /// answering each other until the last main has ended; then every task of the shards' scopes is cancelled
  /// and joined, and every operation awaited. `main` is called on the shard's thread.
  Result<> run(const Main& main);

  /// run() in two halves. start() returns once every shard is there, or none: then with what failed, be it
  /// only that the system gives no thread (`no_memory`).
  Result<> start(Main main);
  /// Waits for what run() waits for. Where a shard is driven, on its thread: drives it to its end.
  Result<> join();
  /// With RuntimeOptions::driven, from start() until join(): how the thread that called start() runs its
  /// shard.
  DrivenShard* driven() noexcept { return driven_.get(); }
  /// Whether this is that thread; any thread, also after join().
  bool drives_here() const noexcept { return std::this_thread::get_id() == driver_; }

  /// Sets the stop event on every shard. Async-signal-safe; idempotent.
  void request_stop() noexcept;
  /// On a shard: `co_await runtime.stop_event().wait()`.
  Event& stop_event() noexcept;

  /// A shard to post messages to, from a foreign thread; valid between start and end of run(), and after
  /// start() until the last main has ended.
  Shard& shard(ShardId id) noexcept { return *mesh_.shard(id.value); }

 private:
  struct Worker;
  Runtime(const RuntimeOptions& options, const Topology& topology);
  void run_shard(Worker& worker);
  void make_shard(Worker& worker);
  void started(bool there) noexcept;
  void begin_main(Worker& worker);
  void run_to_the_end(Worker& worker);
  void end_shard(Worker& worker);
  bool is_driven(const Worker& worker) const noexcept;
  void main_ended(Worker& worker, Result<> result) noexcept;
  void wake_shards() noexcept;
  void wait_for_shards() noexcept;
  static Task<> run_main(Runtime* runtime, Worker* worker, Task<Result<>> main);
  Result<std::unique_ptr<Backend>> make_backend(unsigned shard) const;

  RuntimeOptions options_;
  Main main_;
  MemoryCap memory_cap_;
  Mesh mesh_;
  StallDetector stalls_;
  std::vector<Cpu> placement_;  // by shard; empty where none is pinned
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<DrivenShard> driven_;
  std::thread::id driver_;  // of no thread where none is driven
  std::atomic<unsigned> shards_started_{0};
  std::atomic<bool> start_failed_{false};
  std::atomic<unsigned> mains_live_{0};
  std::atomic<unsigned> shards_draining_{0};
  std::atomic<bool> mains_ended_{false};
  std::atomic<bool> stop_requested_{false};
  std::atomic<unsigned> stoppers_{0};
};

}  // namespace ashlar
