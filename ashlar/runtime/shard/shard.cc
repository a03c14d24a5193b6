#include "ashlar/runtime/shard/shard.h"

#include <algorithm>
#include <cassert>

#include "ashlar/runtime/sync/scope.h"

namespace ashlar {

namespace {

constexpr std::array<std::uint64_t, share_count> share_weight = {1000, 200, 100};

// Virtual time does not pass while a simulated task runs; a resumption then counts as this long.
constexpr std::uint64_t resumption_ns_min = 100;

// The clock is read once per this many resumptions.
constexpr unsigned clock_interval = 32;

// Messages come and go once per this many: those of a slice do not wait for its end.
constexpr unsigned mesh_interval = 8;

// To poll for less than this before sleeping does not pay for the system call that submits first.
constexpr Duration spin_worth_a_call = std::chrono::microseconds(10);

// A slice ends after this many as well: where time stands still, tasks that yield to each other would go on
// for ever.
constexpr std::uint64_t resumptions_per_slice_max = 1024;

// A full ring to another shard empties without telling us: look again soon.
constexpr Duration full_ring_retry = std::chrono::microseconds(20);

void cpu_relax() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

Shard::Shard(ShardId id, std::unique_ptr<Backend> backend, Mesh& mesh, const ShardOptions& options)
    : id_(id),
      options_(options),
      spin_(options.spin),
      memory_(options.memory_cap != nullptr ? *options.memory_cap : MemoryCap::unlimited()),
      buffers_(Regions::process(), memory_),
      backend_(std::move(backend)),
      rings_(std::make_unique<IoRings>(*backend_, options.rings)),
      receive_buffers_(
          memory_.charge_regardless(Purpose::connections, backend_->receive_buffer_bytes_total())),
      mesh_(mesh, id.value) {
  turn_time_ = backend_->now();
  scope_ = std::make_unique<TaskScope>(nullptr);
  mesh.shard(id.value) = this;
}

Shard::~Shard() {
  Shard* previous = enter(this);
  scope_.reset();
  rings_.reset();
  backend_.reset();
  enter(previous == this ? nullptr : previous);
}

bool Shard::should_yield() const noexcept {
  if (mesh_.has_inbound() || (context_.share != Share::foreground && backend_->pending())) return true;
  return backend_->now() >= slice_end_;
}

// The clock is read once per turn and once per slice, and never between another shard's message and what we
// send because of it: reading it takes as long as the message did.
bool Shard::poll_once() noexcept {
  ++stats_.turns;
  const std::size_t messages = mesh_.receive() + receive_posts();
  const bool answered = mesh_.flush();
  turn_time_ = backend_->now();
  const unsigned completions = backend_->poll();
  stats_.messages += messages;
  stats_.completions += completions;
  const bool polled = !pollers_.empty() && run_pollers();
  const unsigned expired = timers_.expire(turn_time_);
  const Slice slice = run_slice();
  const bool sent = mesh_.flush();
  account(slice);
  const bool gave_memory = memory_.wanted() && memory_.reclaim();
  return gave_memory || polled || slice.resumed != 0 || answered || sent || messages != 0 ||
         completions != 0 || expired != 0;
}

// Serves the ready share that has used the least of its due, until its queue is empty, its slice is over or,
// for any but the foreground, something else has arrived.
Shard::Slice Shard::run_slice() noexcept {
  const unsigned share = pick_share();
  if (share == share_count) return {};
  WaiterQueue& ready = shares_[share].ready;
  slice_end_ = turn_time_ + options_.slice;
  running_since_.store(turn_time_.time_since_epoch().count(), std::memory_order_relaxed);

  std::uint64_t resumed = 0;
  while (Waiter* waiter = ready.pop()) {
    context_ = waiter->context;
    waiter->coroutine.resume();
    ++resumed;
    if (resumed % mesh_interval == 0) {
      context_ = {};
      stats_.messages += mesh_.receive();
      mesh_.flush();
    }
    if (resumed % clock_interval == 0) {
      const Instant now = backend_->now();
      running_since_.store(now.time_since_epoch().count(), std::memory_order_relaxed);
      if (now >= slice_end_ || resumed >= resumptions_per_slice_max) break;
    }
    if (share != 0 && (!shares_[0].ready.empty() || backend_->pending() || mesh_.has_inbound())) break;
  }
  context_ = {};
  running_since_.store(0, std::memory_order_relaxed);
  return {share, resumed};
}

// Charges the share with the turn so far: its tasks, and the operations that entered the kernel before them.
void Shard::account(const Slice& slice) noexcept {
  if (slice.resumed == 0) return;
  const auto elapsed = static_cast<std::uint64_t>((backend_->now() - turn_time_).count());
  const std::uint64_t used = std::max(elapsed, slice.resumed * resumption_ns_min);
  shares_[slice.share].virtual_ns += used * share_weight[0] / share_weight[slice.share];
  stats_.busy_ns[slice.share] += elapsed;
  stats_.resumptions += slice.resumed;
}

unsigned Shard::pick_share() noexcept {
  unsigned picked = share_count;
  for (unsigned share = 0; share < share_count; ++share) {
    ShareState& state = shares_[share];
    if (state.ready.empty()) {
      state.was_idle = true;
      continue;
    }
    if (state.was_idle) {
      // No credit for idleness, else a share that slept for an hour would hold the shard for minutes.
      state.virtual_ns = std::max(state.virtual_ns, virtual_now_ns_);
      state.was_idle = false;
    }
    if (picked == share_count || state.virtual_ns < shares_[picked].virtual_ns) picked = share;
  }
  if (picked != share_count) virtual_now_ns_ = shares_[picked].virtual_ns;
  return picked;
}

bool Shard::run_pollers() noexcept {
  bool happened = false;
  while (!pollers_.empty() && pollers_.front().turn_ != stats_.turns) {
    Poller& poller = pollers_.front();  // to the back first: it may unlink itself, or any other
    poller.unlink();
    poller.turn_ = stats_.turns;
    pollers_.push_back(poller);
    happened |= poller.poll();
  }
  return happened;
}

bool Shard::has_ready() const noexcept {
  return std::ranges::any_of(shares_, [](const ShareState& state) { return !state.ready.empty(); });
}

bool Shard::has_work() const noexcept {
  if (has_ready()) return true;
  for (const Poller& poller : pollers_) {
    if (poller.awaits()) return true;
  }
  return mesh_.has_inbound() || posts_.load(std::memory_order_acquire) != nullptr || backend_->pending() ||
         timers_.next() <= backend_->now();
}

void Shard::run(const std::atomic<bool>& done) noexcept {
  Instant idle_since = never;
  while (!done.load(std::memory_order_acquire)) {
    if (poll_once()) {
      idle_since = never;
      // To submit and to wait is one system call then, not two.
      if (spin_ < spin_worth_a_call && !has_ready() && backend_->unsubmitted()) sleep(never, &done);
      continue;
    }
    if (idle_since == never) idle_since = turn_time_;
    if (turn_time_ - idle_since < spin_) {
      cpu_relax();
      continue;
    }
    sleep(never, &done);
    adapt_spin(turn_time_ - idle_since);
    idle_since = never;
  }
}

// After a sleep that came to its end `idle` after there was last something to do.
void Shard::adapt_spin(Duration idle) noexcept {
  if (options_.spin_for_messages <= options_.spin) return;
  const bool soon = mesh_.has_inbound() && idle < 2 * options_.spin_for_messages;
  spin_ = soon ? std::min(2 * spin_, options_.spin_for_messages) : std::max(spin_ / 2, options_.spin);
}

// The sender publishes, fences, reads `sleeping_`; we set `sleeping_`, fence, look again. One of the two sees
// the other. With release and acquire alone both could miss (store then load to different locations).
void Shard::sleep(Instant until, const std::atomic<bool>* done) noexcept {
  sleeping_.store(true, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!has_work() && (done == nullptr || !done->load(std::memory_order_acquire))) {
    ++stats_.sleeps;
    const Instant limit = mesh_.has_outbound() ? backend_->now() + full_ring_retry : until;
    stats_.completions += backend_->wait(std::min({limit, until, timers_.next()}));
    turn_time_ = backend_->now();
  }
  sleeping_.store(false, std::memory_order_relaxed);
  if (on_awake_ != nullptr) on_awake_(on_awake_argument_);
}

// As sleep(), but the wait is the caller's.
Instant Shard::rest() noexcept {
  sleeping_.store(true, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!backend_->rest() || has_work()) return turn_time_;
  ++stats_.sleeps;
  const Instant limit = mesh_.has_outbound() ? backend_->now() + full_ring_retry : never;
  return std::min(limit, timers_.next());
}

void Shard::awake() noexcept {
  sleeping_.store(false, std::memory_order_relaxed);
  if (on_awake_ != nullptr) on_awake_(on_awake_argument_);
}

void Shard::wake_if_sleeping() noexcept {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (sleeping_.load(std::memory_order_relaxed) && sleeping_.exchange(false, std::memory_order_relaxed)) {
    backend_->wake();
  }
}

void Shard::post(Message& message) noexcept {
  Message* newest = posts_.load(std::memory_order_relaxed);
  do {
    message.next = newest;
  } while (
      !posts_.compare_exchange_weak(newest, &message, std::memory_order_release, std::memory_order_relaxed));
  wake_if_sleeping();
}

std::size_t Shard::receive_posts() noexcept {
  if (posts_.load(std::memory_order_relaxed) == nullptr) return 0;
  Message* newest = posts_.exchange(nullptr, std::memory_order_acquire);
  Message* oldest = nullptr;
  while (newest != nullptr) {
    Message* next = newest->next;
    newest->next = oldest;
    oldest = newest;
    newest = next;
  }
  std::size_t received = 0;
  while (oldest != nullptr) {
    Message* next = oldest->next;
    oldest->deliver(*oldest);
    oldest = next;
    ++received;
  }
  return received;
}

}  // namespace ashlar
