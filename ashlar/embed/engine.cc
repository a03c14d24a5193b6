#include "ashlar/embed/engine.h"

#include "ashlar/runtime/mesh/invoke.h"

namespace ashlar::embed {

namespace {

constexpr Duration opening_turn =
    std::chrono::milliseconds(1);  // another shard ends the opening, unannounced

Task<Result<>> nothing() {
  co_return Result<>();
}

}  // namespace

Engine::Engine(const DbOptions& options, const OpenSettings& settings) : runtime_(settings.runtime) {
  const unsigned serving = lsm::serving_shards(settings.engine, runtime_.shard_count());
  for (unsigned shard = 0; shard < serving; ++shard) ports_.push_back(std::make_unique<Port>(options.spin));
}

Engine::~Engine() {
  (void)close();
}

Engine::Opened Engine::open(const std::string& where, const DbOptions& options, std::string* message) {
  OpenSettings settings;
  const auto failed = [&](const Error& error) {
    if (message != nullptr) *message = settings.describe(error);
    return std::unexpected(error);
  };
  if (Shard::current_or_null() != nullptr)
    return failed({.code = Errc::invalid, .where = "open: on a shard"});
  if (const auto read = settings.read(where, options); !read) {
    settings.message = read.error();
    return failed({.code = Errc::invalid, .where = "database options"});
  }
  if (const Result<> there = settings.check_there(options); !there) return failed(there.error());
  std::shared_ptr<Engine> engine(new Engine(options, settings));
  if (const Result<> added = settings.add_operators(engine->merge_operators_, options); !added) {
    engine->closed_ = added;  // nothing was started
    return failed(added.error());
  }
  engine->directory_ = settings.engine.directory;
  Result<> started = engine->runtime_.start([raw = engine.get(), &settings](Shard& shard) {
    if (shard.id().value < raw->shards()) raw->ports_[shard.id().value]->attach(shard);
    return shard.id() == ShardId{0} ? serve(raw, &settings) : nothing();
  });
  if (started) {
    if (DrivenShard* mine = engine->runtime_.driven()) {
      while (!engine->open_ended_.load()) (void)mine->run_once(opening_turn);
    }
    engine->open_ended_.wait(false);
    if (engine->store() != nullptr) return engine;
    started = engine->runtime_.join();
  }
  engine->closed_ = started;
  return failed(started.error());
}

/// The first shard's main.
Task<Result<>> Engine::serve(Engine* engine, OpenSettings* settings) {
  const Result<> opened = co_await engine->open_store(settings);
  engine->open_ended_.store(true);
  engine->open_ended_.notify_all();  // `settings` is gone from here on
  if (!opened) co_return opened;
  (void)co_await engine->runtime_.stop_event().wait();
  co_await engine->shut();
  const Result<> closed = co_await engine->opened_store_->close();
  engine->opened_store_.reset();
  co_return closed;
}

Task<Result<>> Engine::open_store(OpenSettings* settings) {
  auto home = co_await open_home(settings->location, settings->engine.directory);
  if (!home) {
    settings->message = home.error();
    co_return fail(Errc::not_found, "database device");
  }
  opened_store_ = CO_TRY(
      co_await lsm::LsmStore::open(*std::move(home), settings->engine, shards(), &*settings->partitioner));
  partitioner_ = opened_store_->partitioner();
  for (std::uint32_t i = 0; i < partitioner_.partitions(); ++i) {
    const kv::PartitionId id{static_cast<std::uint16_t>(i)};
    co_await invoke(home_of(id), [&] { port(home_of(id)).add_writes(id, opened_store_->partition(id)); });
  }
  store_.store(opened_store_.get(), std::memory_order_release);
  co_return Result<>();
}

Task<> Engine::shut() {
  for (unsigned shard = 0; shard < ports_.size(); ++shard)
    co_await invoke(ShardId{shard}, [&] { ports_[shard]->end_waiting(); });
  for (unsigned shard = 0; shard < ports_.size(); ++shard)
    co_await invoke(ShardId{shard}, [&] { return ports_[shard]->end_calls(); });
  for (auto shard = static_cast<unsigned>(ports_.size()); shard-- > 0;)  // snapshots are on the first
    co_await invoke(ShardId{shard}, [&] { return ports_[shard]->end_guests(); });
}

Result<> Engine::close() {
  if (Shard::current_or_null() != nullptr) return fail(Errc::invalid, "close: on a shard");
  const std::lock_guard lock(closing_);
  if (closed_) return *closed_;
  if (epoch::Guard::held()) return fail(Errc::busy, "close: this thread holds a pinned value");
  if (runtime_.driven() != nullptr && driven_here() == nullptr)
    return fail(Errc::invalid, "close: another thread drives the database");
  store_.store(nullptr, std::memory_order_release);
  drain_callers();
  runtime_.request_stop();
  closed_ = runtime_.join();
  return *closed_;
}

/// Nobody hands anything in any more once those have left who saw the store open.
void Engine::drain_callers() noexcept {
  EpochDomain callers;
  callers.retire(nullptr, [](void*) noexcept {});
  if (DrivenShard* mine = runtime_.driven()) {  // some of them may wait for this very shard
    for (callers.reclaim(); callers.pending() != 0; callers.reclaim()) (void)mine->run_once(opening_turn);
  }
  callers.drain();
}

DrivenShard* Engine::driven_here() noexcept {
  return runtime_.drives_here() ? runtime_.driven() : nullptr;
}

Task<Result<lsm::CheckpointReport>> Engine::checkpoint(std::string where) {
  const auto location = location_of(where);
  if (!location) co_return fail(Errc::invalid, "checkpoint: where to");
  auto home = co_await open_home(*location, directory_);
  if (!home) co_return fail(Errc::not_found, "checkpoint: device");
  co_return co_await lsm::write_checkpoint(*opened_store_, **home);
}

Result<> Engine::submit(ShardId shard, Call& call) noexcept {
  const epoch::Guard guard;
  if (store() == nullptr) return fail(Errc::closed, "database");
  if (call.completed == nullptr) call.driven = runtime_.driven();  // whoever will wait for it
  port(shard).post(call);
  return {};
}

Result<> Engine::submit_and_wait(ShardId shard, Call& call) noexcept {
  if (Shard::current_or_null() != nullptr) [[unlikely]]
    return waits_on_shard();
  if (const Result<> submitted = submit(shard, call); !submitted) return submitted;
  return wait(shard, call);
}

Result<> Engine::wait(ShardId shard, Call& call) noexcept {
  if (call.done.load(std::memory_order_acquire)) return {};
  if (Shard::current_or_null() != nullptr) return waits_on_shard();
  if (call.driven != nullptr && runtime_.drives_here()) {
    call.driven->run_until(call.done);
  } else {
    port(shard).wait(call);
  }
  return {};
}

void Engine::leave(ShardId shard, std::shared_ptr<Guest> guest) noexcept {
  const epoch::Guard guard;
  if (store() != nullptr) port(shard).post_leave(std::move(guest));
}

}  // namespace ashlar::embed
