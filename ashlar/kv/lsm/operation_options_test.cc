/// What one read or write may ask for: a deadline, no trace in the cache, a call when it is durable, a
/// receipt.

#include <gtest/gtest.h>

#include "ashlar/kv/lsm/store_testing.h"
#include "ashlar/runtime/sync/sleep.h"

namespace ashlar::lsm {
namespace {

using namespace std::chrono_literals;
using kv::Durability;
using testing::small_options;

class OperationOptionsTest : public testing::StoreTest {
 protected:
  static LsmOptions one_partition() {
    LsmOptions options = small_options();
    options.partitions = 1;
    return options;
  }
  /// `keys` values of 1,000 bytes, in a table, nothing of which is cached.
  Task<> fill(LsmStore& store, int keys) {
    for (int i = 0; i < keys; ++i) EXPECT_TRUE(co_await put(store, name(i), std::string(1000, 'v')));
    EXPECT_TRUE(co_await store.partition(kv::PartitionId{0}).flush());
  }
};

struct Noted final : kv::CommitCallback {
  void committed(const Result<>& result) noexcept override {
    ++calls;
    outcome = result;
    durable = partition->durable_sequence();
  }
  kv::Partition* partition = nullptr;
  int calls = 0;
  Result<> outcome;
  Sequence durable;
};

TEST_F(OperationOptionsTest, ACommitCallbackHearsOnceThatItsWriteIsDurable) {
  EXPECT_TRUE(with_store(1, one_partition(), [](LsmStore& store) -> Task<> {
    LsmPartition& partition = store.partition(kv::PartitionId{0});
    const StoredKey key = store.stored(as_bytes("key"));
    Noted first, second;
    first.partition = second.partition = &partition;
    const kv::WriteOptions none{.durability = Durability::none, .on_commit = &first};
    const auto ticket = partition.append({.key = &key, .value = as_bytes("a")}, none);
    EXPECT_TRUE(ticket && co_await *ticket);
    EXPECT_EQ(first.calls, 0);  // acknowledged, and not durable yet
    const kv::Write write{.key = &key, .value = as_bytes("b")};
    EXPECT_TRUE(co_await partition.write({&write, 1}, {.on_commit = &second}));
    EXPECT_EQ(first.calls, 1);
    EXPECT_EQ(second.calls, 1);
    EXPECT_TRUE(first.outcome && second.outcome);
    EXPECT_GE(first.durable, first.sequence());
    EXPECT_LT(first.sequence(), second.sequence());
  }));
}

TEST_F(OperationOptionsTest, ACommitCallbackHearsOfAFailedLog) {
  Noted noted;
  EXPECT_FALSE(with_store(1, one_partition(), [&](LsmStore& store) -> Task<> {
    LsmPartition& partition = store.partition(kv::PartitionId{0});
    noted.partition = &partition;
    const StoredKey key = store.stored(as_bytes("key"));
    world_->faults().add({.path_part = ".log", .verdict = {.error = EIO}});
    const kv::Write write{.key = &key, .value = as_bytes("a")};
    const auto written = co_await partition.write({&write, 1}, {.on_commit = &noted});
    EXPECT_EQ(written.error().code, Errc::stopped);
    world_->faults().clear();
  }));
  EXPECT_EQ(noted.calls, 1);
  EXPECT_EQ(noted.outcome.error().code, Errc::stopped);
}

TEST_F(OperationOptionsTest, AWriteLeavesAtItsDeadlineAndStaysOrdered) {
  EXPECT_TRUE(with_store(1, one_partition(), [&](LsmStore& store) -> Task<> {
    LsmPartition& partition = store.partition(kv::PartitionId{0});
    const StoredKey key = store.stored(as_bytes("key"));
    const kv::Write write{.key = &key, .value = as_bytes("late")};
    world_->faults().add({.path_part = ".log", .verdict = {.delay = 100ms}});
    const Instant began = Shard::current().now();
    const auto written = co_await partition.write({&write, 1}, {.deadline = began + 10ms});
    EXPECT_EQ(written.error().code, Errc::timed_out);
    EXPECT_LT(Shard::current().now(), began + 50ms);
    EXPECT_EQ((co_await partition.write({&write, 1}, {.deadline = began})).error().code, Errc::timed_out);
    world_->faults().clear();
    EXPECT_EQ((co_await get(store, "key")).value(), "late");
  }));
}

TEST_F(OperationOptionsTest, AReadLeavesAtItsDeadlineAndItsBlockArrives) {
  EXPECT_TRUE(with_store(1, one_partition(), [&](LsmStore& store) -> Task<> {
    LsmPartition& partition = store.partition(kv::PartitionId{0});
    co_await fill(store, 10);
    world_->faults().add({.path_part = ".table", .verdict = {.delay = 100ms}});
    const StoredKey key = store.stored(as_bytes(name(3)));
    const Instant began = Shard::current().now();
    const auto read = co_await partition.get(key, {.deadline = began + 10ms});
    EXPECT_EQ(read.error().code, Errc::timed_out);
    EXPECT_LT(Shard::current().now(), began + 50ms);
    EXPECT_TRUE(co_await sleep_for(200ms));
    kv::Receipt receipt;
    const auto again = co_await partition.get(key, {.receipt = &receipt});
    EXPECT_TRUE(again && *again);
    EXPECT_EQ(receipt.blocks_read, 0u);  // the first read brought it
    EXPECT_EQ(receipt.blocks_cached, 1u);
    // One is under way when the store closes.
    int left = 0;
    for (int i = 0; i < 10; ++i) {
      const StoredKey other = store.stored(as_bytes(name(i)));
      const auto value = co_await partition.get(other, {.deadline = Shard::current().now() + 1ms});
      left += value ? 0 : 1;
    }
    EXPECT_GT(left, 0);
  }));
}

TEST_F(OperationOptionsTest, WhatAReceiptSays) {
  EXPECT_TRUE(with_store(1, one_partition(), [&](LsmStore& store) -> Task<> {
    LsmPartition& partition = store.partition(kv::PartitionId{0});
    co_await fill(store, 10);
    const StoredKey key = store.stored(as_bytes(name(3)));
    kv::Receipt cold, again, warm, written;
    EXPECT_TRUE(co_await partition.get(key, {.fill_cache = false, .receipt = &cold}));
    EXPECT_TRUE(co_await partition.get(key, {.receipt = &again}));
    EXPECT_TRUE(co_await partition.get(key, {.receipt = &warm}));
    for (const kv::Receipt* receipt : {&cold, &again}) {  // the first left nothing in the cache
      EXPECT_EQ(receipt->blocks_read, 1u);
      EXPECT_EQ(receipt->bytes_read, 4096u);
      EXPECT_GT(receipt->device_time, 0ns);
    }
    EXPECT_EQ(warm.blocks_read, 0u);
    EXPECT_EQ(warm.blocks_cached, 1u);
    EXPECT_EQ(warm.device_time, 0ns);

    kv::Receipt scanned;
    const auto cursor = partition.scan({.read = {.fill_cache = false, .receipt = &scanned}});
    int found = 0;
    while ((co_await cursor->next()).value()) ++found;
    EXPECT_EQ(found, 10);
    EXPECT_GE(scanned.blocks_cached, 1u);
    EXPECT_GE(scanned.blocks_read + scanned.blocks_cached, 3u);  // ten values of 1,000 bytes

    const kv::Write write{.key = &key, .value = as_bytes("new")};
    EXPECT_TRUE(co_await partition.write({&write, 1}, {.receipt = &written}));
    EXPECT_GT(written.bytes_logged, key.bytes().size());
    EXPECT_GT(written.queue_time, 0ns);
    EXPECT_EQ(partition.stats().writes_by_kind[static_cast<std::size_t>(kv::Kind::put)], 11u);
  }));
}

TEST_F(OperationOptionsTest, AScanLooksAtItsDeadline) {
  EXPECT_TRUE(with_store(1, one_partition(), [&](LsmStore& store) -> Task<> {
    co_await fill(store, 10);
    const auto cursor =
        store.partition(kv::PartitionId{0}).scan({.read = {.deadline = Shard::current().now()}});
    EXPECT_EQ((co_await cursor->next()).error().code, Errc::timed_out);
  }));
}

}  // namespace
}  // namespace ashlar::lsm
