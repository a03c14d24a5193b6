#pragma once

/// A store on a simulated disk, for tests: opened, worked on, closed, as often as the test likes.

#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <string>

#include "ashlar/kv/lsm/store.h"
#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/ops/sim/world.h"

namespace ashlar::lsm::testing {

using kv::PartitionId;

/// Everything happens soon.
inline LsmOptions small_options() {
  LsmOptions options;
  options.memtable_bytes = 32u << 10;
  options.cache_bytes = 4u << 20;
  options.level0_tables = 2;
  options.level1_bytes = 256u << 10;
  options.table_bytes = 64u << 10;
  options.table.block_bytes = 4096;
  options.log.segment_bytes = 256u << 10;
  options.directory.reserve_bytes = 1u << 20;
  return options;
}

class StoreTest : public ::testing::Test {
 protected:
  using Body = std::function<Task<>(LsmStore&)>;

  /// Opens the store on so many shards, beside those that are set aside, runs `body` on shard 0, closes it.
  Result<> with_store(unsigned shards, LsmOptions options, const Body& body, MemoryCap* cap = nullptr) {
    sim::WorldOptions world_options;
    world_options.shards = shards + options.background_shards;
    world_options.environment.seed = ++seed_;
    world_options.shard.memory_cap = cap;
    sim::World world(world_options, disk_);
    world_ = &world;
    Result<> result = fail(Errc::cancelled, "not run");
    world.spawn(0, world.on(0, [&] { return run(shards, options, &body, &result); }));
    EXPECT_EQ(world.run_to_end(), sim::World::Outcome::done) << world.report();
    return result;
  }

  static std::string name(int i) { return "key-" + std::to_string(i); }
  static Task<Result<>> put(LsmStore& store, std::string key, std::string value) {
    const StoredKey stored = store.stored(as_bytes(key));
    const PartitionId id = store.partition_of(stored);
    co_return co_await invoke(
        store.home_of(id), [&]() -> Task<Result<>> { return put_here(store.partition(id), stored, value); });
  }
  static Task<Result<std::optional<std::string>>> get(LsmStore& store, std::string key) {
    const StoredKey stored = store.stored(as_bytes(key));
    const PartitionId id = store.partition_of(stored);
    co_return co_await invoke(store.home_of(id), [&] { return get_here(store.partition(id), stored); });
  }

  sim::Disk disk_;
  sim::World* world_ = nullptr;  // while `body` runs: for its clock and its faults

 private:
  static Task<> run(unsigned shards, LsmOptions options, const Body* body, Result<>* result) {
    auto store = co_await LsmStore::open("/data", options, shards);
    if (!store) {
      *result = std::unexpected(store.error());
      co_return;
    }
    co_await (*body)(**store);
    *result = co_await (*store)->close();
  }
  static Task<Result<>> put_here(LsmPartition& partition, const StoredKey& key, const std::string& value) {
    const auto ticket = CO_TRY(partition.append({.key = &key, .value = as_bytes(value)}));
    co_return co_await ticket;
  }
  static Task<Result<std::optional<std::string>>> get_here(LsmPartition& partition, const StoredKey& key) {
    const auto value = CO_TRY(co_await partition.get(key));
    co_return value ? std::optional(std::string(as_text(value->bytes))) : std::nullopt;
  }

  std::uint64_t seed_ = 0;
};

}  // namespace ashlar::lsm::testing
