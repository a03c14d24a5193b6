/// 1. Each thread opens its session and warms its part of the keys. 2. All wait for each other, and rest. 3.
/// Each works until its clock says that it is over. 4. Where the plan settles, the clock runs on until all is
/// in tables.

#include "bench/kv/threads.h"

#include <barrier>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <vector>

#include "bench/kv/pace.h"
#include "bench/kv/stream.h"

namespace ashlar::bench {

namespace {

constexpr unsigned slice_operations = 500;

class ThreadWorker {
 public:
  ThreadWorker(Engine& engine, const Plan& plan, unsigned number)
      : plan_(plan), number_(number), session_(engine.session()), stream_(plan, number) {}

  Result<> warm() {
    Plan all = plan_;
    all.choice = Choice::sequential;
    all.mix = {.reads = 100};
    Stream order(all, number_);
    const std::uint64_t count =
        plan_.keys * (number_ + 1) / plan_.workers - plan_.keys * number_ / plan_.workers;
    for (std::uint64_t i = 0; i < count; ++i) (void)TRY(session_->get(KeyText(order.next().key)));
    return {};
  }

  Result<> work() {
    Pace pace(plan_, plan_.batch > slice_operations ? plan_.batch : slice_operations);
    for (;;) {
      const std::uint64_t done = TRY(step(pace));
      if (!pace.done(done)) break;
    }
    outcome_ = pace.finish();
    return {};
  }

  Outcome& outcome() noexcept { return outcome_; }

 private:
  /// One call of the engine: how many operations it was.
  Result<std::uint64_t> step(Pace& pace) {
    const Operation operation = stream_.next();
    const KeyText key(operation.key);
    switch (operation.verb) {
      case Verb::read:
        if (plan_.batch > 1) return read_many(operation.key, pace);
        if (TRY(session_->get(key)) == 0) pace.missing();
        return 1;
      case Verb::update:
      case Verb::insert: return write(operation.key);
      case Verb::scan: {
        const std::uint64_t entries = TRY(session_->scan(key, operation.entries, plan_.backward));
        return plan_.mix.scans == 100 ? std::max<std::uint64_t>(entries, 1) : 1;
      }
      case Verb::read_modify_write: {
        if (TRY(session_->get(key)) == 0) pace.missing();
        const Pair pair{key, stream_.value()};
        TRY(session_->put({&pair, 1}, plan_.durable));
        return 1;
      }
    }
    return 1;
  }

  Result<std::uint64_t> read_many(std::uint64_t first, Pace& pace) {
    texts_.clear();
    texts_.emplace_back(first);
    while (texts_.size() < plan_.batch) texts_.emplace_back(stream_.next().key);
    keys_.assign(texts_.begin(), texts_.end());
    const std::size_t found = TRY(session_->multi_get(keys_));
    for (std::size_t i = found; i < keys_.size(); ++i) pace.missing();
    return keys_.size();
  }

  Result<std::uint64_t> write(std::uint64_t first) {
    if (plan_.batch <= 1) {
      const KeyText key(first);
      const Pair pair{key, stream_.value()};
      TRY(session_->put({&pair, 1}, plan_.durable));
      return 1;
    }
    texts_.clear();
    texts_.emplace_back(first);
    while (texts_.size() < plan_.batch) texts_.emplace_back(stream_.next().key);
    pairs_.clear();
    for (const KeyText& text : texts_) pairs_.push_back({text, stream_.value()});
    TRY(session_->put(pairs_, plan_.durable));
    return pairs_.size();
  }

  const Plan& plan_;
  unsigned number_;
  std::unique_ptr<Session> session_;
  Stream stream_;
  Outcome outcome_;
  std::vector<KeyText> texts_;
  std::vector<std::string_view> keys_;
  std::vector<Pair> pairs_;
};

/// Syncs the engine's log again and again, until it goes.
class Syncer {
 public:
  Syncer(Engine& engine, double seconds)
      : thread_(
            [this, &engine, period = std::chrono::duration<double>(seconds)](const std::stop_token& stop) {
              std::mutex mutex;
              std::condition_variable_any wake;
              std::unique_lock lock(mutex);
              while (result_) {
                wake.wait_for(lock, stop, period, [] { return false; });
                if (stop.stop_requested()) return;
                result_ = engine.sync();
              }
            }) {}

  Result<> stop() {
    thread_.request_stop();
    thread_.join();
    return result_;
  }

 private:
  Result<> result_;
  std::jthread thread_;
};

}  // namespace

Result<Outcome> run_by_threads(Engine& engine, const Plan& plan, Meter& meter) {
  std::vector<std::optional<ThreadWorker>> workers(plan.workers);
  std::vector<Result<>> results(plan.workers);
  std::barrier ready(static_cast<std::ptrdiff_t>(plan.workers) + 1),
      go(static_cast<std::ptrdiff_t>(plan.workers) + 1);
  const auto work = [&](unsigned number) {
    auto& worker = workers[number].emplace(engine, plan, number);
    if (plan.warm) results[number] = worker.warm();
    ready.arrive_and_wait();
    go.arrive_and_wait();
    if (results[number]) results[number] = worker.work();
  };
  std::vector<std::thread> threads;
  for (unsigned number = 0; number < plan.workers; ++number) threads.emplace_back(work, number);
  ready.arrive_and_wait();
  std::this_thread::sleep_for(std::chrono::duration<double>(plan.rest_seconds));
  meter.begin();
  const double begin = seconds_now();
  go.arrive_and_wait();
  std::optional<Syncer> syncer;
  if (plan.sync_seconds != 0) syncer.emplace(engine, plan.sync_seconds);
  for (std::thread& thread : threads) thread.join();
  if (syncer) TRY(syncer->stop());
  Outcome all;
  for (unsigned number = 0; number < plan.workers; ++number) {
    TRY(results[number]);
    all.merge(workers[number]->outcome());
  }
  if (plan.settle) TRY(engine.flush());
  all.seconds = seconds_now() - begin;
  meter.end();
  if (plan.workers == 1 && !plan.settle) all.ns_each = workers[0]->outcome().ns_each;
  return all;
}

}  // namespace ashlar::bench
