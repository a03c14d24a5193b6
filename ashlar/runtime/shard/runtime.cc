#include "ashlar/runtime/shard/runtime.h"

#include <pthread.h>
#include <algorithm>
#include <csignal>
#include <optional>
#include <thread>
#include <utility>

#include "ashlar/base/log.h"
#include "ashlar/runtime/ops/epoll/epoll_backend.h"
#include "ashlar/runtime/ops/start_thread.h"
#include "ashlar/runtime/ops/uring/uring_backend.h"
#include "ashlar/runtime/sync/scope.h"

namespace ashlar {

/// One shard's thread and what other threads need to reach it.
struct Runtime::Worker {
  struct StopMessage : Message {
    Worker* worker = nullptr;
  };
  ShardId id;
  std::thread thread;
  std::unique_ptr<Shard> shard;
  std::optional<StallDetector::Watch> watch;
  Result<> result;
  Event stop;
  StopMessage stop_message;
};

namespace {

RuntimeOptions resolved(RuntimeOptions options, const Topology& topology) {
  if (options.shards == 0) options.shards = topology.shards_suggested();
  // Where shards share cores with others, a long spin takes the core from whoever we wait for (D19).
  // One that was chosen, and is not the default, stands.
  if (options.shards >= topology.cpus().size() && options.shard.spin == ShardOptions().spin) {
    options.shard.spin = std::chrono::microseconds(5);
    // The shard that will answer has a core of its own, so that waiting for it awake keeps nobody from it.
    if (options.pin && options.shards > 1 && options.shards == topology.cpus().size())
      options.shard.spin_for_messages = std::chrono::microseconds(100);
  }
  if (options.memory_cap_bytes == 0) options.memory_cap_bytes = topology.memory_bytes() / 4 * 3;
  return options;
}

/// While it lives, threads that are started take no signal but faults and the stall detector's.
class SignalMask {
 public:
  explicit SignalMask(bool active) noexcept : active_(active) {
    if (!active_) return;
    sigset_t blocked;
    sigfillset(&blocked);
    for (const int number :
         {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, StallDetector::signal_number()})
      sigdelset(&blocked, number);
    pthread_sigmask(SIG_SETMASK, &blocked, &before_);
  }
  SignalMask(const SignalMask&) = delete;
  SignalMask& operator=(const SignalMask&) = delete;
  ~SignalMask() {
    if (active_) pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  bool active_;
  sigset_t before_{};
};

}  // namespace

Runtime::Runtime(const RuntimeOptions& options) : Runtime(options, Topology::detect()) {}

Runtime::Runtime(const RuntimeOptions& options, const Topology& topology)
    : options_(resolved(options, topology)), memory_cap_(options_.memory_cap_bytes), mesh_(options_.shards) {
  options_.shard.memory_cap = &memory_cap_;
  memory_cap_.set_waker([](void* runtime) noexcept { static_cast<Runtime*>(runtime)->wake_shards(); }, this);
  if (options.pin) placement_ = topology.place(options_.shards);
  for (unsigned i = 0; i < options_.shards; ++i) {
    workers_.push_back(std::make_unique<Worker>());
    workers_.back()->id = ShardId{i};
  }
}

Runtime::~Runtime() = default;

Event& Runtime::stop_event() noexcept {
  return workers_[Shard::current().id().value]->stop;
}

Result<std::unique_ptr<Backend>> Runtime::make_backend(unsigned shard) const {
  if (options_.backend != BackendKind::epoll) {
    auto uring = UringBackend::create(options_.uring);
    if (uring || options_.backend == BackendKind::uring) return uring;
    if (shard == 0) log::warn("{}: using epoll and threads instead", uring.error());
  }
  return EpollBackend::create(options_.epoll);
}

Result<> Runtime::run(const Main& main) {
  TRY(start(main));
  return join();
}

Result<> Runtime::start(Main main) {
  main_ = std::move(main);
  if (options_.driven) driver_ = std::this_thread::get_id();  // before any other thread may ask
  mains_live_ = shards_draining_ = shard_count();
  {
    const SignalMask mask(!options_.take_signals);
    for (auto& worker : workers_) {
      if (is_driven(*worker)) continue;
      auto thread = start_thread([this, &worker = *worker] { run_shard(worker); });
      if (thread) {
        worker->thread = *std::move(thread);
      } else {
        worker->result = std::unexpected(thread.error());
        started(false);
      }
    }
  }
  if (options_.driven) {
    Worker& mine = *workers_[*options_.driven];
    make_shard(mine);
    Shard::enter(nullptr);
    wait_for_shards();
    if (!start_failed_) {
      driven_ = std::make_unique<DrivenShard>(*mine.shard);
      const DrivenShard::Inside inside(*driven_);
      begin_main(mine);
    }
  }
  wait_for_shards();
  return start_failed_ ? join() : Result<>();
}

Result<> Runtime::join() {
  if (options_.driven) {
    Worker& mine = *workers_[*options_.driven];
    Shard::enter(mine.shard.get());
    if (!start_failed_) {
      mine.shard->awake();  // its last poll() may have left it at rest
      run_to_the_end(mine);
    }
    driven_.reset();
    end_shard(mine);
  }
  for (auto& worker : workers_) {
    if (worker->thread.joinable()) worker->thread.join();
  }
  for (auto& worker : workers_) {
    if (!worker->result) return worker->result;
  }
  return {};
}

void Runtime::wait_for_shards() noexcept {
  for (unsigned started = shards_started_; started != shard_count(); started = shards_started_) {
    shards_started_.wait(started);
  }
}

bool Runtime::is_driven(const Worker& worker) const noexcept {
  return options_.driven == worker.id.value;
}

// 1. Back end and shard, on their own thread. 2. Wait until all shards exist: from then on messages may be
// sent.
// 3. The main task, until the last shard's has ended. 4. Cancel and join what is left; answer others
// meanwhile.
void Runtime::run_shard(Worker& worker) {
  make_shard(worker);
  wait_for_shards();
  if (!start_failed_) {
    begin_main(worker);
    run_to_the_end(worker);
  }
  end_shard(worker);
}

void Runtime::make_shard(Worker& worker) {
  if (!placement_.empty() && !is_driven(worker)) {  // what the program's own thread runs on is its business
    const Cpu& cpu = placement_[worker.id.value];
    if (const auto pinned = pin_this_thread(cpu); !pinned)
      log::warn("shard {}: {}", worker.id.value, pinned.error());
  }
  auto backend = make_backend(worker.id.value);
  if (!backend) {
    worker.result = std::unexpected(backend.error());
  } else {
    worker.shard = std::make_unique<Shard>(worker.id, std::move(*backend), mesh_, options_.shard);
    if (worker.id.value == 0) {
      for (const std::string& line : worker.shard->rings().describe()) log::info("rings: {}", line);
    }
    Shard::enter(worker.shard.get());
    worker.watch.emplace(stalls_, *worker.shard);
  }
  started(backend.has_value());
}

/// One more is there, or will never be.
void Runtime::started(bool there) noexcept {
  if (!there) start_failed_ = true;
  ++shards_started_;
  shards_started_.notify_all();
}

void Runtime::begin_main(Worker& worker) {
  worker.stop_message.worker = &worker;
  worker.stop_message.deliver = [](Message& message) noexcept {
    static_cast<Worker::StopMessage&>(message).worker->stop.set();
  };
  if (stop_requested_) worker.stop.set();
  worker.shard->scope().spawn(run_main(this, &worker, main_(*worker.shard)));
}

void Runtime::run_to_the_end(Worker& worker) {
  Shard& shard = *worker.shard;
  shard.run(mains_ended_);
  shard.scope().cancel();
  bool counted = false;
  while (shards_draining_ != 0) {
    if (shard.poll_once()) continue;
    if (!counted && shard.scope().live() == 0 && shard.backend().in_flight() == 0) {
      counted = true;
      --shards_draining_;
    }
    shard.sleep(shard.now() + std::chrono::milliseconds(1));
  }
  while (stoppers_ != 0) std::this_thread::yield();
}

void Runtime::end_shard(Worker& worker) {
  worker.watch.reset();
  worker.shard.reset();
}

Task<> Runtime::run_main(Runtime* runtime, Worker* worker, Task<Result<>> main) {
  const Task<Result<>> running = std::move(main);
  runtime->main_ended(*worker, co_await running);
}

void Runtime::main_ended(Worker& worker, Result<> result) noexcept {
  worker.result = std::move(result);
  if (--mains_live_ != 0) return;
  mains_ended_ = true;
  wake_shards();
}

/// From a task: then all of them live.
void Runtime::wake_shards() noexcept {
  if (shards_started_ != shard_count() || start_failed_) return;
  for (unsigned i = 0; i < shard_count(); ++i) mesh_.shard(i)->wake_if_sleeping();
}

void Runtime::request_stop() noexcept {
  if (stop_requested_.exchange(true)) return;
  ++stoppers_;  // keeps the shards alive while we post to them
  const bool running = shards_started_ == shard_count() && !start_failed_ && !mains_ended_;
  if (running) {  // before that, each shard looks at stop_requested_ as it starts
    for (auto& worker : workers_) mesh_.shard(worker->id.value)->post(worker->stop_message);
  }
  --stoppers_;
}

}  // namespace ashlar
