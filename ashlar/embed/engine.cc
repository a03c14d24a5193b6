#include "ashlar/embed/engine.h"

#include <fmt/format.h>

#include <filesystem>

#include "ashlar/base/log.h"
#include "ashlar/base/options.h"
#include "ashlar/embed/program_operator.h"
#include "ashlar/runtime/mesh/invoke.h"

namespace ashlar::embed {

/// What opening needs and nothing after it.
struct Engine::Settings {
  DataLocation location;
  lsm::LsmOptions engine;
  RuntimeOptions runtime;
  std::optional<kv::Partitioner> partitioner;  // of a new database
  std::string message;                         // of what failed

  std::expected<void, std::string> read(const std::string& where, const DbOptions& options);
  Result<> check_there(const DbOptions& options);
};

namespace {

std::expected<DataLocation, std::string> location_of(const std::string& where) {
  const bool prefixed = where.starts_with("dir:") || where.starts_with("blob(");
  return DataLocation::parse(prefixed ? where : "dir:" + where);
}

Task<Result<>> nothing() {
  co_return Result<>();
}

}  // namespace

std::expected<void, std::string> Engine::Settings::read(const std::string& where, const DbOptions& options) {
  OptionSet set;
  describe(set, runtime);
  describe(set, engine);
  describe(set, engine.log);
  describe(set, engine.directory);
  for (const auto& [name, value] : options.settings) {
    if (auto done = set.set(name, value); !done) return done;
  }
  runtime.shards = options.shards;
  runtime.pin = options.pin;
  runtime.take_signals = false;
  if (!options.merge_operator.empty()) engine.merge_operator = options.merge_operator;
  if (options.memory_cap_bytes != 0) runtime.memory_cap_bytes = options.memory_cap_bytes;
  auto parsed = location_of(where);
  if (!parsed) return std::unexpected(parsed.error());
  location = *std::move(parsed);
  auto ranges = kv::Partitioner::ranged(options.boundaries);
  if (!ranges) return std::unexpected("boundaries: they ascend strictly, and there are at most 4095");
  partitioner = *std::move(ranges);
  return {};
}

Result<> Engine::Settings::check_there(const DbOptions& options) {
  if (options.create || location.on_device()) return {};
  std::error_code error;
  const bool there = std::filesystem::is_directory(location.directory, error) &&
                     !std::filesystem::is_empty(location.directory, error) && !error;
  return there ? Result<>() : fail(Errc::not_found, "database directory");
}

Engine::Engine(const DbOptions& options, const RuntimeOptions& runtime) : runtime_(runtime) {
  for (unsigned shard = 0; shard < runtime_.shard_count(); ++shard)
    ports_.push_back(std::make_unique<Port>(options.spin));
}

Engine::~Engine() {
  (void)close();
}

Engine::Opened Engine::open(const std::string& where, const DbOptions& options, std::string* message) {
  const auto failed = [&](const Error& error, const std::string& text) {
    if (message != nullptr) *message = text;
    return std::unexpected(error);
  };
  Settings settings;
  if (const auto read = settings.read(where, options); !read)
    return failed({.code = Errc::invalid, .where = "database options"}, read.error());
  if (Shard::current_or_null() != nullptr)
    return failed({.code = Errc::invalid, .where = "open: on a shard"}, "open: on a shard");
  const std::string& name = settings.location.name();
  if (const Result<> there = settings.check_there(options); !there)
    return failed(there.error(), fmt::format("{}: {}", name, there.error()));
  std::shared_ptr<Engine> engine(new Engine(options, settings.runtime));
  for (const auto& each : options.merge_operators) {
    const Result<> added = engine->merge_operators_.add(std::make_unique<ProgramOperator>(each));
    if (added) continue;
    engine->closed_ = added;  // nothing was started
    return failed(added.error(), fmt::format("merge operator {}: there is one of that name", each->name()));
  }
  settings.engine.merge_operators = &engine->merge_operators_;
  engine->directory_ = settings.engine.directory;
  Result<> started = engine->runtime_.start([raw = engine.get(), &settings](Shard& shard) {
    raw->ports_[shard.id().value]->attach(shard);
    return shard.id() == ShardId{0} ? serve(raw, &settings) : nothing();
  });
  if (started) {
    engine->open_ended_.wait(false);
    if (engine->store() != nullptr) return engine;
    started = engine->runtime_.join();
  }
  engine->closed_ = started;
  const bool held = started.error().code == Errc::busy;
  return failed(started.error(),
                !settings.message.empty()
                    ? settings.message
                    : fmt::format("{}: {}{}", name, started.error(),
                                  held ? "; another process, or this one, has it open" : ""));
}

/// The first shard's main.
Task<Result<>> Engine::serve(Engine* engine, Settings* settings) {
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

Task<Result<>> Engine::open_store(Settings* settings) {
  auto home = co_await open_home(settings->location, settings->engine.directory);
  if (!home) {
    settings->message = home.error();
    co_return fail(Errc::not_found, "database device");
  }
  opened_store_ = CO_TRY(co_await lsm::LsmStore::open(*std::move(home), settings->engine,
                                                      runtime_.shard_count(), &*settings->partitioner));
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
    co_await invoke(ShardId{shard}, [&] { return ports_[shard]->end_calls(); });
  for (auto shard = static_cast<unsigned>(ports_.size()); shard-- > 0;)  // snapshots are on the first
    co_await invoke(ShardId{shard}, [&] { return ports_[shard]->end_guests(); });
}

Result<> Engine::close() {
  if (Shard::current_or_null() != nullptr) return fail(Errc::invalid, "close: on a shard");
  const std::lock_guard lock(closing_);
  if (closed_) return *closed_;
  if (epoch::Guard::held()) return fail(Errc::busy, "close: this thread holds a pinned value");
  store_.store(nullptr, std::memory_order_release);
  EpochDomain callers;
  callers.retire(nullptr, [](void*) noexcept {});
  callers.drain();
  runtime_.request_stop();
  closed_ = runtime_.join();
  return *closed_;
}

kv::PartitionId Engine::partition_of(std::string_view bound) const noexcept {
  if (bound.size() >= kv::key_prefix_bytes) return partitioner_.partition_of(as_bytes(bound));
  const auto last = static_cast<std::uint16_t>(partitioner_.partitions() - 1);
  return kv::PartitionId{bound.size() == 1 ? std::uint16_t{0} : last};  // the beginning, or the end
}

kv::PartitionId Engine::last_partition_below(std::string_view end) const noexcept {
  const kv::PartitionId at = partition_of(end);
  const bool begins_there = at.value != 0 && end.size() > kv::key_prefix_bytes && ordered() &&
                            end.substr(kv::key_prefix_bytes) == partitioner_.boundaries()[at.value - 1u];
  return begins_there ? kv::PartitionId{static_cast<std::uint16_t>(at.value - 1)} : at;
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
  port(shard).post(call);
  return {};
}

Result<> Engine::submit_and_wait(ShardId shard, Call& call) noexcept {
  if (Shard::current_or_null() != nullptr) [[unlikely]]
    return waits_on_shard();
  if (const Result<> submitted = submit(shard, call); !submitted) return submitted;
  wait(shard, call);
  return {};
}

void Engine::wait(ShardId shard, Call& call) noexcept {
  port(shard).wait(call);
}

void Engine::leave(ShardId shard, std::shared_ptr<Guest> guest) noexcept {
  const epoch::Guard guard;
  if (store() != nullptr) port(shard).post_leave(std::move(guest));
}

}  // namespace ashlar::embed
