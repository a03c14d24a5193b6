/// Options of single operations, and copies of a database, by plain threads.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>

#include "ashlar/embed/test_db.h"

namespace ashlar {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

using OperationsTest = DbTest;

Deadline past() {
  return Deadline::clock::now() - 1s;
}

TEST_F(OperationsTest, NothingIsWrittenAfterItsDeadline) {
  Db db = open();
  EXPECT_EQ(db.put("k", "v", {.deadline = past()}).error().code, Errc::timed_out);
  EXPECT_EQ(db.get("k").value(), std::nullopt);
  EXPECT_TRUE(db.put("k", "v", {.deadline = Deadline::clock::now() + 1min}));
  EXPECT_EQ(db.get("k").value(), "v");
  std::atomic<int> answer{-1};
  EXPECT_TRUE(db.put_async("k", "late",
                           [&](Result<> done) {
                             answer.store(done ? 0 : static_cast<int>(done.error().code));
                             answer.notify_all();
                           },
                           {.deadline = past()}));
  answer.wait(-1);
  EXPECT_EQ(answer.load(), static_cast<int>(Errc::timed_out));
  EXPECT_EQ(db.get("k").value(), "v");
}

TEST_F(OperationsTest, WhatMemoryAnswersIsInTimeAndWhatTheDeviceHasIsNot) {
  DbOptions options = small_options();
  Db db = open(options);
  for (int i = 0; i < 100; ++i)
    EXPECT_TRUE(db.put("key" + std::to_string(i), std::string(500, 'v'), {.durability = Durability::none}));
  EXPECT_TRUE(db.flush());
  db = open_again(std::move(db));
  Reader late = db.reader({.deadline = past()});
  // Each of another block: what is too late for its caller still comes into the cache.
  EXPECT_EQ(late.get("key7").error().code, Errc::timed_out);
  const std::vector<std::string_view> keys{"key45", "key46"};
  EXPECT_EQ(db.multi_get(keys, {.deadline = past()}).error().code, Errc::timed_out);
  Iterator it = db.iterate({.read = {.deadline = past()}}).value();
  EXPECT_FALSE(it.seek_first());
  EXPECT_EQ(it.status().error().code, Errc::timed_out);
  it.set_deadline(no_deadline);
  EXPECT_TRUE(it.seek_first());
  late.set_deadline(no_deadline);
  EXPECT_EQ(late.get("key7").value()->size(), 500u);
  late.set_deadline(past());
  EXPECT_EQ(late.get("key7").value()->size(), 500u);  // cached by now
}

TEST_F(OperationsTest, HandlesAreWaitedFor) {
  Db db = open();
  {
    std::vector<std::string> values;
    for (int i = 0; i < 100; ++i) values.push_back("value" + std::to_string(i));
    std::array<PendingPut, 100> puts;
    for (std::size_t i = 0; i < puts.size(); ++i)
      EXPECT_TRUE(db.put_async("key" + std::to_string(i), values[i], puts[i]));
    for (PendingPut& put : puts) {
      EXPECT_TRUE(put.wait());
      EXPECT_TRUE(put.ready());
      EXPECT_TRUE(put.wait());
    }
  }
  EXPECT_TRUE(db.flush());
  db = open_again(std::move(db));
  std::array<PendingGet, 3> gets;
  EXPECT_EQ(gets[0].wait().error().code, Errc::invalid);
  for (int round = 0; round < 2; ++round) {  // from the device, then in place
    EXPECT_TRUE(db.get_async("key7", gets[0]));
    EXPECT_TRUE(db.get_async("none", gets[1]));
    EXPECT_TRUE(db.get_async("key9", gets[2]));
    EXPECT_TRUE(gets[0].wait().value());
    EXPECT_EQ(gets[0].value(), "value7");
    EXPECT_FALSE(gets[1].wait().value());
    EXPECT_TRUE(gets[2].wait().value());
    EXPECT_EQ(gets[2].value(), "value9");
  }
  PendingPut late;
  EXPECT_TRUE(db.put_async("key", "v", late, {.deadline = past()}));
  EXPECT_EQ(late.wait().error().code, Errc::timed_out);
  EXPECT_TRUE(db.put_async("key", "v", late));  // used again
  EXPECT_TRUE(db.close());
  EXPECT_TRUE(late.wait());
  EXPECT_EQ(db.put_async("key", "v", late).error().code, Errc::closed);
}

TEST_F(OperationsTest, WaitsForMaintenanceEndAtTheirDeadline) {
  Db db = open();
  EXPECT_TRUE(db.put("k", "v", {.durability = Durability::none}));
  EXPECT_EQ(db.sync(past()).error().code, Errc::timed_out);
  EXPECT_EQ(db.flush(past()).error().code, Errc::timed_out);
  EXPECT_TRUE(db.sync(Deadline::clock::now() + 1min));
  EXPECT_TRUE(db.flush(Deadline::clock::now() + 1min));
  EXPECT_TRUE(db.compact(Deadline::clock::now() + 1min));
  EXPECT_EQ(db.get("k").value(), "v");
}

TEST_F(OperationsTest, AReceiptSaysWhatCallsCost) {
  Db db = open({.settings = {{"blob.reserve-bytes", "0B"}}});  // a memtable that all of it fits into
  Receipt written;
  for (int i = 0; i < 100; ++i)
    EXPECT_TRUE(db.put("key" + std::to_string(i), std::string(500, 'v'), {.receipt = &written}));
  EXPECT_GT(written.bytes_logged, 100u * 500u);
  EXPECT_GT(written.queue_time, 0ns);
  EXPECT_EQ(written.blocks_read, 0u);
  Receipt here;
  EXPECT_TRUE(db.reader({.receipt = &here}).contains("key7").value());
  EXPECT_EQ(here.in_place, 1u);
  EXPECT_EQ(here.cycles, 0u);

  EXPECT_TRUE(db.flush());
  db = open_again(std::move(db));
  Receipt cold, again, warm;
  EXPECT_TRUE(db.reader({.fill_cache = false, .receipt = &cold}).contains("key7").value());
  EXPECT_TRUE(db.reader({.receipt = &again}).contains("key7").value());
  EXPECT_TRUE(db.reader({.receipt = &warm}).contains("key7").value());
  EXPECT_GE(cold.blocks_read, 1u);
  EXPECT_GT(cold.device_time, 0ns);
  EXPECT_EQ(again.blocks_read, cold.blocks_read);  // the first left nothing in the cache
  EXPECT_EQ(warm.blocks_read, 0u);
  EXPECT_EQ(warm.in_place, 1u);

  Receipt walked;
  Iterator it = db.iterate({.read = {.receipt = &walked}}).value();
  EXPECT_EQ(keys_of(it).size(), 100u);
  EXPECT_GE(walked.blocks_read + walked.blocks_cached, 100u * 500u / (16u << 10));
  Receipt many;
  const std::vector<std::string_view> keys{"key1", "key2", "none"};
  EXPECT_TRUE(db.multi_get(keys, {.receipt = &many}));
  EXPECT_GT(many.in_place + many.blocks_cached + many.blocks_read, 0u);
}

TEST_F(OperationsTest, AReceiptSaysWhatABatchAcrossPartitionsCosts) {
  DbOptions options = small_options();
  options.shards = 2;
  options.boundaries = {"m"};
  Db db = open(options);
  const std::string value(10'000, 'v');
  WriteBatch one, across;
  one.put("a", value);
  across.put("a", value);
  across.put("z", value);
  Receipt of_one, of_both;
  EXPECT_TRUE(db.write(one, {.receipt = &of_one}));
  EXPECT_TRUE(db.write(across, {.receipt = &of_both}));
  EXPECT_GT(of_both.bytes_logged, 2 * value.size());
  EXPECT_LT(of_both.bytes_logged, 2 * value.size() + 1000);
  EXPECT_GT(of_both.queue_time, 0ns);
  EXPECT_GT(of_both.cycles, 0u);
  EXPECT_GT(of_one.bytes_logged, value.size());
  const Receipt before = of_both;  // it adds up, whoever waits
  std::atomic<bool> answered{false};
  EXPECT_TRUE(db.write_async(across,
                             [&](Result<> done) {
                               EXPECT_TRUE(done);
                               EXPECT_EQ(of_both.bytes_logged, 2 * before.bytes_logged);
                               answered.store(true);
                               answered.notify_all();
                             },
                             {.receipt = &of_both}));
  answered.wait(false);
  EXPECT_EQ(of_both.bytes_logged, 2 * before.bytes_logged);

  Transaction holder = db.begin({.locking = Locking::row_locks}).value();
  EXPECT_TRUE(holder.lock("z"));
  Receipt waited;
  EXPECT_EQ(db.write(across, {.deadline = Deadline::clock::now() + 30ms, .receipt = &waited}).error().code,
            Errc::timed_out);
  EXPECT_EQ(waited.bytes_logged, 0u);
  EXPECT_GE(waited.queue_time, 1ms);
}

TEST_F(OperationsTest, AReceiptSaysWhatACompareAndSwapCosts) {
  Db db = open();
  const std::string value(5'000, 'v');
  EXPECT_TRUE(db.put("k", value));
  EXPECT_TRUE(db.flush());
  db = open_again(std::move(db));
  Receipt refused, swapped;
  EXPECT_FALSE(db.compare_and_swap("k", "other", "x", {.receipt = &refused}).value());
  EXPECT_GE(refused.blocks_read, 1u);  // to look at what is there
  EXPECT_GT(refused.device_time, 0ns);
  EXPECT_EQ(refused.bytes_logged, 0u);
  EXPECT_TRUE(db.compare_and_swap("k", value, value + "w", {.receipt = &swapped}).value());
  EXPECT_EQ(swapped.blocks_read, 0u);
  EXPECT_GE(swapped.blocks_cached, 1u);
  EXPECT_GT(swapped.bytes_logged, value.size());
  EXPECT_GT(swapped.queue_time, 0ns);
  EXPECT_GT(swapped.cycles, 0u);
}

TEST_F(OperationsTest, AReceiptIsCompleteWhenACallbackIsCalled) {
  Db db = open();
  EXPECT_TRUE(db.put("k", std::string(500, 'v')));
  EXPECT_TRUE(db.flush());
  db = open_again(std::move(db));
  std::atomic<bool> answered{false};
  std::uint64_t blocks = 0;
  {
    auto receipt = std::make_unique<Receipt>();
    EXPECT_TRUE(db.get_async("k",
                             [&](Result<std::optional<std::string_view>> value) {
                               EXPECT_TRUE(value && *value);
                               blocks = receipt->blocks_read;
                               receipt.reset();  // it is the program's again
                               answered.store(true);
                               answered.notify_all();
                             },
                             {.receipt = receipt.get()}));
    answered.wait(false);
  }
  EXPECT_GE(blocks, 1u);
  EXPECT_TRUE(db.sync());  // the call itself has ended
}

TEST_F(OperationsTest, ACallbackHearsOfEachWriteOnceItIsDurable) {
  DbOptions options = small_options();
  options.boundaries = {"m"};
  std::atomic<int> durable{0}, failed{0};
  {
    Db db = open(options);
    const auto heard = [&](const Result<>& result) { ++(result ? durable : failed); };
    for (int i = 0; i < 50; ++i)
      EXPECT_TRUE(db.put(std::to_string(i), "v", {.durability = Durability::none, .on_durable = heard}));
    EXPECT_EQ(db.put("late", "v", {.deadline = past(), .on_durable = heard}).error().code, Errc::timed_out);
    EXPECT_EQ(db.put(std::string(70'000, 'k'), "v", {.on_durable = heard}).error().code, Errc::too_large);
    WriteBatch across;
    across.put("a", "v");
    across.put("z", "v");
    EXPECT_TRUE(db.write(across, {.on_durable = heard}));
    EXPECT_TRUE(db.sync());
    EXPECT_EQ(durable.load(), 51);
    std::atomic<bool> done{false};
    EXPECT_TRUE(db.put_async("b", "v",
                             [&](Result<>) {
                               done.store(true);
                               done.notify_all();
                             },
                             {.on_durable = heard}));
    done.wait(false);
  }
  EXPECT_EQ(durable.load(), 52);
  EXPECT_EQ(failed.load(), 0);
}

TEST_F(OperationsTest, ACallbackHearsOnceOfARangeErasedInManyPartitions) {
  DbOptions options = small_options();
  options.shards = 2;
  options.boundaries = {"g", "m", "t"};
  std::atomic<int> heard{0};
  const auto hear = [&](const Result<>& result) {
    EXPECT_TRUE(result);
    ++heard;
  };
  {
    Db db = open(options);
    for (const char* key : {"a", "h", "n", "z"}) EXPECT_TRUE(db.put(key, "v"));
    EXPECT_TRUE(db.erase_range("b", "u", {.on_durable = hear}));
    EXPECT_EQ(heard.load(), 1);
    EXPECT_TRUE(db.erase_range("b", "u", {.durability = Durability::none, .on_durable = hear}));
    EXPECT_TRUE(db.erase_range("b", "c", {.on_durable = hear}));  // in one
    EXPECT_EQ(db.erase_range("c", "b", {.on_durable = hear}).error().code, Errc::invalid);
    Transaction holder = db.begin({.locking = Locking::row_locks}).value();
    EXPECT_TRUE(holder.lock("n"));
    EXPECT_EQ(db.erase_range("b", "u", {.deadline = Deadline::clock::now() + 30ms, .on_durable = hear})
                  .error()
                  .code,
              Errc::timed_out);
  }
  EXPECT_EQ(heard.load(), 3);
  Db db = open(options);
  Iterator it = db.iterate().value();
  EXPECT_THAT(keys_of(it), ElementsAre("a", "z"));
}

TEST_F(OperationsTest, ACallbackHearsOfWhatASwapWrites) {
  std::atomic<int> heard{0};
  const auto hear = [&](const Result<>& result) {
    EXPECT_TRUE(result);
    ++heard;
  };
  {
    Db db = open(small_options());
    EXPECT_EQ(db.compare_and_swap("k", "x", "y", {.on_durable = hear}), false);
    EXPECT_EQ(db.compare_and_swap("k", {}, {}, {.on_durable = hear}), true) << "absent, as it was";
    EXPECT_EQ(heard.load(), 0) << "nothing was written";
    EXPECT_EQ(db.compare_and_swap("k", {}, "v", {.on_durable = hear}), true);
    EXPECT_EQ(heard.load(), 1);
    EXPECT_EQ(db.compare_and_swap("k", "v", {}, {.durability = Durability::none, .on_durable = hear}), true);
    EXPECT_EQ(db.compare_and_swap("k", {}, "w", {.deadline = past(), .on_durable = hear}).error().code,
              Errc::timed_out);
  }
  EXPECT_GE(heard.load(), 2);
}

TEST_F(OperationsTest, ACheckpointIsADatabaseOfItsOwn) {
  DbOptions options = small_options();
  options.boundaries = {"m"};
  Db db = open(options);
  const Family family = db.create_family("f").value();
  for (const char* key : {"a", "z"}) {
    EXPECT_TRUE(db.put(key, "in a table"));
    EXPECT_TRUE(db.put(key, "of a family", {.family = family}));
  }
  EXPECT_TRUE(db.flush());
  EXPECT_TRUE(db.put("a", "in the log"));
  const std::string copy = path() + "-copy";
  const CheckpointReport report = db.checkpoint(copy).value();
  EXPECT_GE(report.tables, 2u);
  EXPECT_EQ(report.tables_shared, report.tables);
  EXPECT_EQ(db.checkpoint(copy).error().code, Errc::exists);
  EXPECT_TRUE(db.put("a", "later"));
  {
    std::string message;
    auto opened = Db::open(copy, small_options(), &message);
    ASSERT_TRUE(opened) << message;
    EXPECT_EQ(opened->get("a").value(), "in the log");
    EXPECT_EQ(opened->get("z").value(), "in a table");
    EXPECT_EQ(opened->reader({.family = opened->family("f").value().value()}).get("z").value(),
              "of a family");
    EXPECT_TRUE(opened->put("a", "of the copy"));
  }
  EXPECT_EQ(db.get("a").value(), "later");
  std::filesystem::remove_all(copy);
}

TEST_F(OperationsTest, FiguresAddUpOverPartitions) {
  DbOptions options = small_options();
  options.boundaries = {"m"};
  Db db = open(options);
  for (const char* key : {"a", "z"}) EXPECT_TRUE(db.put(key, "v"));
  EXPECT_TRUE(db.flush());
  const DbStats stats = db.stats().value();
  EXPECT_EQ(stats.partitions, 2u);
  EXPECT_EQ(stats.writes, 2u);
  EXPECT_EQ(stats.flushes, 2u);
  EXPECT_EQ(stats.table_count, 2u);
  EXPECT_GT(stats.flush_bytes, 0u);
  EXPECT_GE(stats.log_write_bytes, stats.write_bytes);
  EXPECT_EQ(stats.background_error, std::nullopt);
}

}  // namespace
}  // namespace ashlar
