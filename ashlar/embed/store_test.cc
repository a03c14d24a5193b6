/// The store for tasks on Ashlar's runtime, on real files and two shards.

#include "ashlar/embed/store.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <functional>

#include "ashlar/runtime/memory/buffer_pool.h"
#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/shard/runtime.h"

namespace ashlar {
namespace {

class StoreFacadeTest : public ::testing::Test {
 protected:
  StoreFacadeTest() {
    directory_ = std::filesystem::temp_directory_path() / ("ashlar-store-" + std::to_string(getpid()));
    std::filesystem::remove_all(directory_);
  }
  ~StoreFacadeTest() override { std::filesystem::remove_all(directory_); }

  static RuntimeOptions shards(unsigned count) {
    RuntimeOptions options;
    options.shards = count;
    options.pin = false;
    return options;
  }
  using Body = std::function<Task<Result<>>(Store&)>;
  static Task<Result<>> with_store(std::string path, DbOptions options, const Body* body) {
    auto store = CO_TRY(co_await Store::open(path, options));
    const Result<> done = co_await (*body)(*store);
    const Result<> closed = co_await store->close();
    CO_TRY(done);
    co_return closed;
  }
  static Task<Result<>> nothing() { co_return Result<>(); }

  Result<> run(const DbOptions& options, const Body& body) {
    Runtime runtime(shards(2));
    return runtime.run([&](Shard& shard) {
      return shard.id() == ShardId{0} ? with_store(directory_.string(), options, &body) : nothing();
    });
  }

  std::filesystem::path directory_;
};

Task<Result<>> use(Store& store) {
  CO_TRY(co_await store.put("a", "1"));
  CO_TRY(co_await store.put("z", "2"));
  EXPECT_EQ(CO_TRY(co_await store.get("a")), "1");
  EXPECT_EQ(CO_TRY(co_await store.get("z")), "2");
  EXPECT_EQ(CO_TRY(co_await store.get("none")), std::nullopt);
  CO_TRY(co_await store.erase("a"));
  EXPECT_EQ(CO_TRY(co_await store.get("a")), std::nullopt);
  CO_TRY(co_await store.merge("list", "x"));
  CO_TRY(co_await store.merge("list", "y"));
  EXPECT_EQ(CO_TRY(co_await store.get("list")), "xy");

  const Family family = CO_TRY(co_await store.create_family("f"));
  WriteBatch batch;
  batch.put("b", "of f", no_expiry, family);
  batch.put("y", "of f", no_expiry, family);
  CO_TRY(co_await store.write(batch));
  EXPECT_EQ(CO_TRY(co_await store.get("y", {}, family)), "of f");
  EXPECT_EQ(CO_TRY(co_await store.get("y")), std::nullopt);
  EXPECT_EQ(CO_TRY(store.family("f")), family);

  kv::StoreTransaction step(store.engine());
  const kv::StoredKey key = CO_TRY(store.stored("a")), other = CO_TRY(store.stored("z"));
  CO_TRY(co_await step.put(key, as_bytes("of a transaction")));
  CO_TRY(co_await step.put(other, as_bytes("of a transaction")));
  CO_TRY(co_await step.commit());
  const auto there =
      CO_TRY(co_await invoke(ShardId{1}, [&] { return store.get("a"); }));  // from another shard
  EXPECT_EQ(there, "of a transaction");
  EXPECT_EQ((co_await store.put(std::string(70'000, 'k'), "v")).error().code, Errc::too_large);
  co_return Result<>();
}

TEST_F(StoreFacadeTest, TasksReadAndWriteOnEveryShard) {
  DbOptions options{.boundaries = {"m"}, .merge_operator = "append"};
  const Result<> done = run(options, use);
  ASSERT_TRUE(done) << done.error().to_string();
  const Result<> again = run(options, [](Store& store) -> Task<Result<>> {
    EXPECT_EQ(CO_TRY(co_await store.get("z")), "of a transaction");
    EXPECT_EQ(CO_TRY(co_await store.get("list")), "xy");
    co_return Result<>();
  });
  EXPECT_TRUE(again);
}

Task<Result<>> put_buffers(Store& store) {
  constexpr std::size_t bytes = 100'000;
  BufferPool& pool = Shard::current().buffers();
  for (const char* key : {"a", "z"}) {  // here, and on the other shard
    IoBuffer buffer = CO_TRY(pool.allocate(bytes));
    std::memset(buffer.data(), key[0], bytes);
    const std::byte* const where = buffer.data();
    CO_TRY(co_await store.put(key, buffer, bytes));
    EXPECT_EQ(static_cast<bool>(buffer), key[0] == 'z') << "only what stays on its shard is taken over";
    EXPECT_EQ(CO_TRY(co_await store.get(key)), std::string(bytes, key[0]));
    if (key[0] == 'z') continue;
    const kv::StoredKey stored = CO_TRY(store.stored(key));
    kv::Partition& partition = store.engine().partition(store.engine().partition_of(stored));
    const auto value = CO_TRY(co_await partition.get(stored));
    EXPECT_EQ(value->bytes.data(), where);  // nothing was copied
  }
  co_return Result<>();
}

TEST_F(StoreFacadeTest, TakesBuffersOverAndKeepsThemThroughARestart) {
  const DbOptions options{.boundaries = {"m"}};
  const Result<> done = run(options, put_buffers);
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_TRUE(run(options, [](Store& store) -> Task<Result<>> {
    for (const char* key : {"a", "z"})
      EXPECT_EQ(CO_TRY(co_await store.get(key)), std::string(100'000, key[0]));
    co_return Result<>();
  }));
}

TEST_F(StoreFacadeTest, ExpiryIsJudgedAtTheTimeThatIsAskedFor) {
  const Result<> done = run({}, [](Store& store) -> Task<Result<>> {
    constexpr std::uint64_t expiry_ms = 4102444800000;  // 2100
    CO_TRY(co_await store.put("k", "v", {}, {}, expiry_ms));
    EXPECT_EQ(CO_TRY(co_await store.get("k")), "v");
    EXPECT_EQ(CO_TRY(co_await store.get("k", {.now_ms = expiry_ms - 1})), "v");
    EXPECT_EQ(CO_TRY(co_await store.get("k", {.now_ms = expiry_ms})), std::nullopt);
    kv::Partition& partition = store.engine().partition(kv::PartitionId{0});
    for (const bool expired : {false, true}) {
      const auto cursor = partition.scan({.read = {.now_ms = expired ? expiry_ms : expiry_ms - 1}});
      EXPECT_EQ(CO_TRY(co_await cursor->next()), !expired);
    }
    CO_TRY(co_await store.put("past", "v", {}, {}, 1000));
    EXPECT_EQ(CO_TRY(co_await store.get("past")), std::nullopt);
    EXPECT_EQ(CO_TRY(co_await store.get("past", {.now_ms = 999})), "v");
    co_return Result<>();
  });
  EXPECT_TRUE(done) << done.error().to_string();
}

TEST_F(StoreFacadeTest, AFamilyHasNoNegativeTtl) {
  const Result<> done = run({}, [](Store& store) -> Task<Result<>> {
    const auto made = co_await store.create_family("f", {.ttl = std::chrono::milliseconds(-1)});
    EXPECT_FALSE(made);
    if (!made) EXPECT_EQ(made.error().code, Errc::invalid);
    EXPECT_EQ(store.family("f").error().code, Errc::not_found);
    co_return Result<>();
  });
  EXPECT_TRUE(done) << done.error().to_string();
}

TEST_F(StoreFacadeTest, WhatCannotBeOpenedSaysWhy) {
  Runtime runtime(shards(1));
  std::string message;
  const Result<> done = runtime.run([&](Shard&) -> Task<Result<>> {
    return [](std::string* why) -> Task<Result<>> {
      CO_TRY(co_await Store::open("/nonexistent/path/to", {}, why));
      co_return Result<>();
    }(&message);
  });
  EXPECT_EQ(done.error().code, Errc::not_found);
  EXPECT_NE(message.find("/nonexistent/path/to"), std::string::npos) << message;
}

}  // namespace
}  // namespace ashlar
