#include "ashlar/embed/async.h"

#include <exception>
#include <new>

#include "ashlar/embed/db.h"
#include "ashlar/embed/look_up.h"
#include "ashlar/embed/pending_write.h"

namespace ashlar {

struct PendingPut::State {
  State(std::shared_ptr<embed::Engine> through, kv::StoredKey&& which, const kv::Write& what,
        const WriteOptions& options)
      : engine(std::move(through)), key(std::move(which)), write(what), call(options) {
    write.key = &key;
    call.partition = engine->partitioner().partition_of(key);
    call.writes = {&write, 1};
  }
  ShardId shard() const noexcept { return engine->home_of(call.partition); }

  const std::shared_ptr<embed::Engine> engine;
  const kv::StoredKey key;
  kv::Write write;
  embed::PendingWrite call;
};

struct PendingGet::State {
  State(std::shared_ptr<embed::Engine> through, kv::StoredKey&& which, const ReadOptions& with,
        std::string& into)
      : engine(std::move(through)),
        key(std::move(which)),
        options(with),
        call(
            *engine, key, options,
            [](void* to, Bytes value) { static_cast<std::string*>(to)->assign(as_text(value)); }, &into) {}

  const std::shared_ptr<embed::Engine> engine;
  const kv::StoredKey key;
  const ReadOptions options;
  embed::GetCall call;
};

PendingPut::State* PendingPut::state() noexcept {
  static_assert(sizeof(State) <= sizeof memory_ && alignof(State) <= alignof(std::max_align_t));
  return std::launder(reinterpret_cast<State*>(memory_));
}
const PendingPut::State* PendingPut::state() const noexcept {
  return std::launder(reinterpret_cast<const State*>(memory_));
}
PendingGet::State* PendingGet::state() noexcept {
  static_assert(sizeof(State) <= sizeof memory_ && alignof(State) <= alignof(std::max_align_t));
  return std::launder(reinterpret_cast<State*>(memory_));
}
const PendingGet::State* PendingGet::state() const noexcept {
  return std::launder(reinterpret_cast<const State*>(memory_));
}

PendingPut::~PendingPut() {
  end();
}
void PendingPut::end() noexcept {
  if (!begun_) return;
  (void)wait();
  if (!ready()) std::terminate();  // on a shard nobody can wait, and what is under way must not go
  state()->~State();
  begun_ = false;
}
bool PendingPut::ready() const noexcept {
  return !begun_ || state()->call.done.load(std::memory_order_acquire);
}
Result<> PendingPut::wait() noexcept {
  if (!begun_) return fail(Errc::invalid, "nothing was begun");
  State& own = *state();
  TRY(own.engine->wait(own.shard(), own.call));
  own.call.cost.settle();
  return own.call.result;
}

PendingGet::~PendingGet() {
  end();
}
void PendingGet::end() noexcept {
  here_.reset();
  if (!begun_) return;
  (void)wait();
  if (!ready()) std::terminate();  // on a shard nobody can wait, and what is under way must not go
  state()->~State();
  begun_ = false;
}
bool PendingGet::ready() const noexcept {
  return !begun_ || state()->call.done.load(std::memory_order_acquire);
}
Result<bool> PendingGet::wait() noexcept {
  if (here_) return *here_;
  if (!begun_) return fail(Errc::invalid, "nothing was begun");
  State& own = *state();
  TRY(own.engine->wait(own.call.home(), own.call));
  own.call.cost.settle();
  return own.call.result;
}

Result<> Db::put_async(std::string_view user_key, std::string_view value, PendingPut& put,
                       const WriteOptions& options) {
  put.end();
  kv::StoredKey key = TRY(engine_->stored(user_key, options.family));
  auto* const state =
      new (put.memory_) PendingPut::State(engine_, std::move(key), {.value = as_bytes(value)}, options);
  const Result<> submitted = engine_->submit(state->shard(), state->call);
  put.begun_ = submitted.has_value();
  if (!submitted) state->~State();
  return submitted;
}

Result<> Db::get_async(std::string_view user_key, PendingGet& get, const ReadOptions& options) const {
  get.end();
  kv::StoredKey key = TRY(engine_->stored(user_key, options.family));
  {
    const epoch::Guard guard;
    kv::Peek found;
    if (embed::peek(*engine_, key, options, found)) {
      if (found.present) get.value_.assign(as_text(found.value));
      get.here_ = found.present;
      return {};
    }
  }
  auto* const state = new (get.memory_) PendingGet::State(engine_, std::move(key), options, get.value_);
  const Result<> submitted = engine_->submit(state->call.home(), state->call);
  get.begun_ = submitted.has_value();
  if (!submitted) state->~State();
  return submitted;
}

}  // namespace ashlar
