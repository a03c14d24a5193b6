#pragma once

/// An embedded database behind its public classes: a runtime of its own, the store on its shards, and the
/// way of plain threads to them.
///
///  - open(): the shards start; the first opens the store and then waits to be asked to stop.
///  - A call is posted to the shard that owns what it is about, inside an epoch in which the store was open.
///  - close(): the store is no longer shown; a grace period later nobody hands anything in any more; what is
///    under way ends, and the store is closed.
///
/// With DbOptions::drive the last shard is the thread that calls open(): whenever that thread waits for an
/// answer, it drives its shard.

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "ashlar/embed/cost.h"
#include "ashlar/embed/open_settings.h"
#include "ashlar/embed/options.h"
#include "ashlar/embed/port.h"
#include "ashlar/embed/stored_range.h"
#include "ashlar/kv/lsm/checkpoint.h"
#include "ashlar/kv/lsm/store.h"
#include "ashlar/runtime/memory/epoch.h"
#include "ashlar/runtime/shard/runtime.h"

namespace ashlar::embed {

/// Thread safety: any thread that is no shard; close() once at a time. Lifecycle: shared by the handles of
/// one database, all of which answer `closed` once close() has returned.
class Engine {
 public:
  using Opened = std::expected<std::shared_ptr<Engine>, Error>;

  /// `message`: where it fails, one line.
  static Opened open(const std::string& where, const DbOptions& options, std::string* message);
  ~Engine();
  Result<> close();

  /// Those that serve; the runtime may have more, for compaction.
  unsigned shards() const noexcept { return static_cast<unsigned>(ports_.size()); }
  const kv::Partitioner& partitioner() const noexcept { return partitioner_; }
  bool ordered() const noexcept { return partitioner_.scheme() == kv::Partitioner::Scheme::range; }
  ShardId home_of(kv::PartitionId id) const noexcept { return ShardId{id.value % shards()}; }
  Result<kv::StoredKey> stored(std::string_view key, Family family) const {
    if (key.size() > kv::user_key_bytes_max) return fail(Errc::too_large, "key");
    return stored_short(key, family);
  }
  /// Of a key that is known to be short enough.
  kv::StoredKey stored_short(std::string_view key, Family family) const {
    return partitioner_.stored(as_bytes(key), static_cast<kv::KeyType>(family.type_));
  }
  static std::uint8_t type_of(Family family) noexcept { return family.type_; }
  static Family family_of(const kv::Family& family) noexcept {
    return Family(static_cast<std::uint8_t>(family.key_type()));
  }
  kv::PartitionId partition_of(std::string_view stored_bound) const noexcept {
    return partition_of_bound(partitioner_, stored_bound);
  }
  kv::PartitionId last_partition_below(std::string_view stored_end) const noexcept {
    return embed::last_partition_below(partitioner_, stored_end);
  }
  /// A shard for what may be anywhere.
  ShardId any_shard() noexcept {
    return ShardId{next_shard_.fetch_add(1, std::memory_order_relaxed) % shards()};
  }

  /// Inside an epoch, or on a shard: null once the database is being closed.
  lsm::LsmStore* store() const noexcept { return store_.load(std::memory_order_acquire); }
  /// On a shard, for what is under way there: the store is there until it ends.
  lsm::LsmStore& open_store() const noexcept { return *opened_store_; }
  Port& port(ShardId shard) noexcept { return *ports_[shard.value]; }

  /// A checkpoint at `where`, as open() has it. On the store's shard.
  Task<Result<lsm::CheckpointReport>> checkpoint(std::string where);

  /// Of the thread that opened the database, where it drives a shard; null for others, and after close().
  DrivenShard* driven_here() noexcept;

  /// Hands a call in, or `closed`. It must live until it is done.
  Result<> submit(ShardId shard, Call& call) noexcept;
  /// Waits until a call that was handed in is done. `invalid` on a shard, where it is not.
  Result<> wait(ShardId shard, Call& call) noexcept;
  /// Hands it in, and waits until it is done. `invalid` on a shard, which would wait for itself.
  Result<> submit_and_wait(ShardId shard, Call& call) noexcept;
  /// The same with one call for each shard that has one.
  template <class C>
  Result<> submit_all_and_wait(const std::vector<C*>& by_shard) noexcept;
  /// Runs `function`, which returns a Task<Result<T>>, on the shard, and waits for its result. What it refers
  /// to lives in the caller.
  template <class Function>
  auto run(ShardId shard, Function function);
  static constexpr ShardId store_shard{0};  ///< where the store was opened

  /// The handle of a guest has ended.
  void leave(ShardId shard, std::shared_ptr<Guest> guest) noexcept;

 private:
  Engine(const DbOptions& options, const OpenSettings& settings);

  static std::unexpected<Error> waits_on_shard() noexcept {
    return fail(Errc::invalid, "a call that waits, made on a shard");
  }
  static Task<Result<>> serve(Engine* engine, OpenSettings* settings);
  Task<Result<>> open_store(OpenSettings* settings);
  Task<> shut();
  void drain_callers() noexcept;

  Runtime runtime_;
  kv::MergeOperators merge_operators_;
  blob::DirectoryOptions directory_;
  kv::Partitioner partitioner_;
  std::atomic<unsigned> next_shard_{0};
  std::vector<std::unique_ptr<Port>> ports_;
  std::unique_ptr<lsm::LsmStore> opened_store_;
  std::atomic<lsm::LsmStore*> store_{nullptr};
  std::atomic<bool> open_ended_{false};
  std::mutex closing_;
  std::optional<Result<>> closed_;
};

template <class C>
Result<> Engine::submit_all_and_wait(const std::vector<C*>& by_shard) noexcept {
  if (Shard::current_or_null() != nullptr) return waits_on_shard();
  Result<> submitted;
  std::size_t end = 0;
  for (; end < by_shard.size() && submitted; ++end) {
    if (by_shard[end] != nullptr) submitted = submit(ShardId{static_cast<unsigned>(end)}, *by_shard[end]);
  }
  if (!submitted) --end;  // the last one was not
  for (std::size_t shard = 0; shard < end; ++shard) {
    if (by_shard[shard] != nullptr) (void)wait(ShardId{static_cast<unsigned>(shard)}, *by_shard[shard]);
  }
  return submitted;
}

template <class Function>
auto Engine::run(ShardId shard, Function function) {
  using Value = typename std::invoke_result_t<Function&>::value_type;
  struct Running : Call {
    explicit Running(Function& body) noexcept
        : Call([](Message& message) noexcept {
            auto& call = static_cast<Running&>(message);
            call.port->spawn(run(&call));
          }),
          function(body) {}
    static Task<> run(Running* call) {
      call->value.emplace(co_await call->function());
      call->port->finish(*call);
    }
    Function& function;
    std::optional<Value> value;
  };
  Running call(function);
  if (const Result<> submitted = submit_and_wait(shard, call); !submitted)
    return Value(std::unexpected(submitted.error()));
  as_closed(*call.value);
  return *std::move(call.value);
}

}  // namespace ashlar::embed
