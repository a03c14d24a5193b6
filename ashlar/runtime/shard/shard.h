#pragma once

/// A shard: one thread's event loop with its back end, timers, ready tasks and memory (D1). All state of a
/// shard hangs off one thread_local pointer, so that a simulated world runs many shards in one thread.

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include "ashlar/runtime/memory/buffer_pool.h"
#include "ashlar/runtime/memory/memory_cap.h"
#include "ashlar/runtime/mesh/mesh.h"
#include "ashlar/runtime/ops/backend.h"
#include "ashlar/runtime/shard/io_rings.h"
#include "ashlar/runtime/shard/poller.h"
#include "ashlar/runtime/shard/shard_id.h"
#include "ashlar/runtime/sync/timer.h"
#include "ashlar/runtime/task/frame_pool.h"
#include "ashlar/runtime/task/waiter.h"

namespace ashlar {

class TaskScope;

struct ShardOptions {
  Duration spin =
      std::chrono::microseconds(120);  ///< polls this long before it sleeps: as long as a durable write
  /// And up to this long where other shards' messages keep coming soon after it fell asleep: to be woken
  /// costs as much as dozens of them. Not above `spin`: no such thing.
  Duration spin_for_messages = {};
  Duration slice = std::chrono::microseconds(200);  ///< longest run of one share before I/O is looked at
  Duration stall = std::chrono::milliseconds(50);   ///< a task that holds the shard longer is reported
  IoRingsOptions rings = {};
  MemoryCap* memory_cap = nullptr;  ///< what its budget borrows from; null: no limit
};

/// Counters of one shard since it started.
struct ShardStats {
  std::uint64_t turns = 0;
  std::uint64_t resumptions = 0;
  std::uint64_t completions = 0;
  std::uint64_t messages = 0;
  std::uint64_t sleeps = 0;
  std::array<std::uint64_t, share_count> busy_ns{};
};

/// Thread safety: everything on the owner's thread, except wake_if_sleeping() and post().
/// Lifecycle: constructed and destroyed on its thread; destroyed when its root scope is empty.
class Shard {
 public:
  Shard(ShardId id, std::unique_ptr<Backend> backend, Mesh& mesh, const ShardOptions& options);
  ~Shard();
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  static Shard& current() noexcept { return *current_; }
  static Shard* current_or_null() noexcept { return current_; }
  /// Makes a shard current for this thread (simulation and foreign loops switch; a shard's own thread does it
  /// once).
  static Shard* enter(Shard* shard) noexcept {
    Shard* previous = current_;
    current_ = shard;
    return previous;
  }

  ShardId id() const noexcept { return id_; }
  Backend& backend() noexcept { return *backend_; }
  /// Starts an operation for the running task: a read or write on the ring of its role.
  void submit(Operation& operation) noexcept { rings_->submit(operation, context_.share); }
  /// For a task that has submitted what it does not wait for yet, and goes on computing: the device begins.
  void hand_over() noexcept { rings_->hand_over(context_.share); }
  IoRings& rings() noexcept { return *rings_; }
  FramePool& frames() noexcept { return frames_; }
  /// This shard's part of the memory cap: whoever keeps memory charges it here, by purpose (D18).
  MemoryBudget& memory() noexcept { return memory_; }
  /// Memory for whatever is read or written.
  BufferPool& buffers() noexcept { return buffers_; }
  MeshPort& mesh() noexcept { return mesh_; }
  TimerHeap& timers() noexcept { return timers_; }
  const ShardOptions& options() const noexcept { return options_; }
  const ShardStats& stats() const noexcept { return stats_; }
  /// Tasks that belong to the shard itself; joined at shutdown.
  TaskScope& scope() noexcept { return *scope_; }

  /// Time at the start of this loop turn: cheap, and the same for all tasks that run in one turn. Messages
  /// are delivered just before it is taken.
  Instant turn_time() const noexcept { return turn_time_; }
  /// Time now.
  Instant now() const noexcept { return backend_->now(); }
  std::uint64_t random() noexcept { return backend_->random(); }

  /// Context of the running task.
  const TaskContext& context() const noexcept { return context_; }
  void set_context(const TaskContext& context) noexcept { context_ = context; }
  void make_ready(Waiter& waiter) noexcept {
    shares_[static_cast<unsigned>(waiter.context.share)].ready.push(waiter);
  }
  /// Whether a long computation ought to let others run now: its slice is over, or it is not in the
  /// foreground and something else has arrived. `if (shard.should_yield()) co_await yield();`
  bool should_yield() const noexcept;

  /// Looks at it in every turn, from the next one on.
  void add(Poller& poller) noexcept {
    poller.turn_ = stats_.turns;
    pollers_.push_back(poller);
  }

  /// One turn: messages, completions, pollers, timers, then one slice of ready tasks; where memory is wanted,
  /// caches give some back. Returns whether anything happened.
  bool poll_once() noexcept;
  /// Turns until `done` is true; spins, then sleeps, where there is nothing to do.
  void run(const std::atomic<bool>& done) noexcept;
  /// Blocks until something may have happened or `until` has come. Only after a turn that did nothing.
  /// Not where `done` is set: whoever sets it calls wake_if_sleeping() afterwards.
  void sleep(Instant until = never, const std::atomic<bool>* done = nullptr) noexcept;
  /// The same for a thread that waits elsewhere, for the back end's descriptor() and at most until the time
  /// that is returned: one that has passed where there is something to do. awake() must follow.
  Instant rest() noexcept;
  void awake() noexcept;
  /// Whether a turn would find something to do now.
  bool has_work() const noexcept;

  /// Called by a sender after it has published to this shard, from any thread (D19).
  void wake_if_sleeping() noexcept;
  /// Delivers a message from a thread that is no shard. Lock-free, any thread; FIFO per thread.
  void post(Message& message) noexcept;

  /// Whether it sleeps, or is about to. Any thread.
  bool sleeping() const noexcept { return sleeping_.load(std::memory_order_relaxed); }
  /// Sets what is called after each sleep, null for nothing: the stall detector sleeps with us.
  void on_awake(void (*call)(void*) noexcept, void* argument) noexcept {
    on_awake_ = call;
    on_awake_argument_ = argument;
  }
  /// When the running task was resumed, in nanoseconds of the monotonic clock; 0 between tasks. Read by the
  /// stall detector from its own thread.
  const std::atomic<std::int64_t>& running_since() const noexcept { return running_since_; }

 private:
  struct ShareState {
    WaiterQueue ready;
    std::uint64_t virtual_ns = 0;  // time used, scaled by weight: the lowest is served next
    bool was_idle = true;
  };

  struct Slice {
    unsigned share = 0;
    std::uint64_t resumed = 0;
  };

  Slice run_slice() noexcept;
  void account(const Slice& slice) noexcept;
  unsigned pick_share() noexcept;
  std::size_t receive_posts() noexcept;
  bool run_pollers() noexcept;
  bool has_ready() const noexcept;
  void adapt_spin(Duration idle) noexcept;

  static inline constinit thread_local Shard* current_ = nullptr;

  ShardId id_;
  ShardOptions options_;
  Duration spin_;  // between options_.spin and options_.spin_for_messages
  MemoryBudget memory_;
  BufferPool buffers_;
  FramePool frames_{memory_};
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<IoRings> rings_;
  MemoryCharge receive_buffers_;
  MeshPort mesh_;
  TimerHeap timers_;
  IntrusiveList<Poller> pollers_;
  TaskContext context_;
  std::array<ShareState, share_count> shares_;
  std::uint64_t virtual_now_ns_ = 0;
  Instant turn_time_{};
  Instant slice_end_{};
  ShardStats stats_;
  std::atomic<std::int64_t> running_since_{0};
  std::unique_ptr<TaskScope> scope_;
  void (*on_awake_)(void*) noexcept = nullptr;
  void* on_awake_argument_ = nullptr;

  alignas(64) std::atomic<bool> sleeping_{false};
  alignas(64) std::atomic<Message*> posts_{nullptr};  // newest first
};

inline void Waiter::arm(std::coroutine_handle<> suspended) noexcept {
  coroutine = suspended;
  context = Shard::current().context();
}
inline void Waiter::make_ready() noexcept {
  Shard::current().make_ready(*this);
}

}  // namespace ashlar
