#include "ashlar/log/log.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "ashlar/blob/directory/directory_store.h"
#include "ashlar/log/test_log.h"
#include "ashlar/runtime/shard/runtime.h"
#include "ashlar/runtime/sync/sleep.h"
#include "ashlar/runtime/sync/when.h"

namespace ashlar::wal {
namespace {

using testing::Machine;
using testing::Recorder;
using testing::small;
using testing::TestLog;

// The same on every back end: write, reopen, go on, read by index.
Task<Result<>> write_and_reopen(std::string path) {
  std::vector<std::string> expected;
  for (int round = 0; round < 3; ++round) {
    TestLog test;
    CO_TRY(co_await test.open(path));
    EXPECT_EQ(test.recorder.payloads(), expected);
    EXPECT_EQ(test->next_index(), expected.size() + 1);
    LogPosition last;
    for (int i = 0; i < 100; ++i) {
      expected.push_back("record " + std::to_string(round) + ":" + std::to_string(i) +
                         std::string(i * 37 % 500, 'x'));
      last = CO_TRY(test->append({.sequence = expected.size()}, as_bytes(expected.back())));
      if (i % 7 == 0) CO_TRY(co_await test->durable(last));
    }
    CO_TRY(co_await test->durable(last));
    EXPECT_EQ(test->durable_progress().position, last);
    EXPECT_EQ(test->durable_progress().sequence, expected.size());
    EXPECT_EQ(test.recorder.durable.position, last) << "the owner was told";

    Recorder read;
    CO_TRY(co_await test->read(1, expected.size(), read));
    EXPECT_EQ(read.payloads(), expected);
    CO_TRY(co_await test.close());
  }
  co_return Result<>();
}

TEST(Log, WriteAndReopenSimulated) {
  Machine machine;
  const Result<> result = machine.run([] { return write_and_reopen("/log"); });
  EXPECT_TRUE(result) << result.error().to_string();
}

class LogReal : public ::testing::TestWithParam<BackendKind> {};
TEST_P(LogReal, WriteAndReopen) {
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("ashlar-log-" + std::to_string(getpid()));
  RuntimeOptions options;
  options.shards = 1;
  options.pin = false;
  options.backend = GetParam();
  Runtime runtime(options);
  const Result<> result = runtime.run([&](Shard&) { return write_and_reopen(path.string()); });
  EXPECT_TRUE(result) << result.error().to_string();
  std::filesystem::remove_all(path);
}
INSTANTIATE_TEST_SUITE_P(BackEnds, LogReal, ::testing::Values(BackendKind::uring, BackendKind::epoll),
                         [](const auto& kind) {
                           return kind.param == BackendKind::uring ? "uring" : "epoll";
                         });

TEST(Log, OneWriteCarriesWhatGathered) {
  Machine machine;
  const Result<> result = machine.run([]() -> Task<Result<>> {
    TestLog test;
    CO_TRY(co_await test.open("/log"));
    const auto writer = [](Log& log, int rounds) -> Task<Result<>> {
      for (int i = 0; i < rounds; ++i) {
        const LogPosition at = CO_TRY(log.append({}, as_bytes("0123456789")));
        CO_TRY(co_await log.durable(at));
      }
      co_return Result<>();
    };
    std::vector<Task<Result<>>> writers;
    for (int i = 0; i < 64; ++i) writers.push_back(writer(*test.log, 10));
    for (const Result<>& done : co_await when_all(std::move(writers))) CO_TRY(done);
    const LogStats stats = test->stats();
    EXPECT_EQ(stats.records, 640u);
    EXPECT_EQ(stats.writes, 10u) << "64 writers share each write";
    EXPECT_EQ(stats.write_bytes, 10 * blob::block_bytes) << "and only the blocks needed are written";
    co_return co_await test.close();
  });
  EXPECT_TRUE(result) << result.error().to_string();
}

TEST(Log, RecordsLargerThanABufferAndTheLimit) {
  Machine machine;
  const Result<> result = machine.run([]() -> Task<Result<>> {
    std::vector<std::size_t> sizes = {0, 1, 4000, 8192 - 104, 8192 - 103, 8192, 100'000, 500'000, 3};
    {
      TestLog test;
      CO_TRY(co_await test.open("/log"));
      sizes.push_back(test->record_bytes_max());
      for (const std::size_t size : sizes) {
        const std::string payload(size, static_cast<char>('a' + size % 26));
        CO_TRY(co_await test->durable(CO_TRY(test->append({}, as_bytes(payload)))));
      }
      const std::string too_large(test->record_bytes_max() + 1, 'z');
      EXPECT_EQ(test->append({}, as_bytes(too_large)).error().code, Errc::too_large);
      CO_TRY(co_await test.close());
    }
    TestLog test;
    CO_TRY(co_await test.open("/log"));
    EXPECT_EQ(test.recorder.records.size(), sizes.size());
    for (std::size_t i = 0; i < test.recorder.records.size(); ++i) {
      EXPECT_EQ(test.recorder.records[i].payload,
                std::string(sizes[i], static_cast<char>('a' + sizes[i] % 26)));
    }
    co_return co_await test.close();
  });
  EXPECT_TRUE(result) << result.error().to_string();
}

TEST(Log, WritesWithoutAWaiterWithinThePeriod) {
  Machine machine;
  const Result<> result = machine.run([]() -> Task<Result<>> {
    TestLog test;
    CO_TRY(co_await test.open("/log"));
    const LogPosition at = CO_TRY(test->append({}, as_bytes("periodic")));
    CO_TRY(co_await sleep_for(std::chrono::milliseconds(50)));
    EXPECT_LT(test->durable_progress().position, at);
    CO_TRY(co_await sleep_for(std::chrono::milliseconds(100)));
    EXPECT_EQ(test->durable_progress().position, at);
    co_return co_await test.close();
  });
  EXPECT_TRUE(result) << result.error().to_string();
}

TEST(Log, SegmentsAreRecycledAndHeldRecordsStay) {
  Machine machine;
  const Result<> result = machine.run([]() -> Task<Result<>> {
    const std::string payload(3000, 'p');
    {
      TestLog test;
      CO_TRY(co_await test.open("/log"));
      auto slow = std::make_unique<Log::Hold>(*test.log, 1);
      auto fast = std::make_unique<Log::Hold>(*test.log, 1);
      for (std::uint64_t i = 1; i <= 4000; ++i) {
        const LogPosition at = CO_TRY(test->append({.sequence = i}, as_bytes(payload)));
        if (i % 3 == 0) CO_TRY(co_await test->durable(at));
        fast->advance(i);
        if (i > 500) slow->advance(i - 500);
        if (i % 500 == 0) {
          Recorder read;
          CO_TRY(co_await test->read(slow->index(), test->durable_progress().position.index, read));
          EXPECT_EQ(read.records.front().index, slow->index());
        }
      }
      const LogStats stats = test->stats();
      EXPECT_GT(stats.segments_recycled, 4u);
      EXPECT_LE(stats.segments_created, 6u) << "recycled rather than created";
      EXPECT_EQ((co_await test->read(1, 10, test.recorder)).error().code, Errc::not_found);
      fast.reset();  // the last one to go keeps what it held
      slow.reset();
      CO_TRY(co_await test.close());
    }
    TestLog test;
    CO_TRY(co_await test.open("/log", small, 3500));
    EXPECT_EQ(test.recorder.records.size(), 501u);
    EXPECT_EQ(test.recorder.records.front().index, 3500u);
    CO_TRY(co_await test.close());

    TestLog incomplete;
    EXPECT_EQ((co_await incomplete.open("/log", small, 1)).error().code, Errc::corrupt) << "record 1 is gone";
    co_return Result<>();
  });
  EXPECT_TRUE(result) << result.error().to_string();
}

/// Appends so many records while all are held, and lets go of them: how many segments were made for that.
Task<Result<std::uint64_t>> burst(TestLog& test, int records) {
  const std::string payload(3000, 'p');
  const std::uint64_t before = test->stats().segments_created;
  Log::Hold hold(*test.log, test->next_index());
  for (int i = 1; i <= records; ++i) {
    const LogPosition at = CO_TRY(test->append({}, as_bytes(payload)));
    if (i % 20 == 0) CO_TRY(co_await test->durable(at));
  }
  CO_TRY(co_await test->durable(test->last()));
  hold.advance(test->next_index());
  co_return test->stats().segments_created - before;
}

TEST(Log, KeepsSegmentsForAsLongAsTheyMayBeNeeded) {
  Machine machine;
  const Result<> result = machine.run([]() -> Task<Result<>> {
    TestLog test;
    CO_TRY(co_await test.open("/log"));
    EXPECT_GE(CO_TRY(co_await burst(test, 3000)), 8u);
    CO_TRY(co_await sleep_for(std::chrono::seconds(5)));
    EXPECT_EQ(CO_TRY(co_await burst(test, 2000)), 0u) << "those of the first one";
    CO_TRY(co_await sleep_for(std::chrono::seconds(30)));
    EXPECT_GE(CO_TRY(co_await burst(test, 2000)), 4u) << "which were removed since";
    co_return co_await test.close();
  });
  EXPECT_TRUE(result) << result.error().to_string();
}

/// The next segment is always there; where one lasts less than a second, so is the one behind it.
TEST(Log, HasASpareWhereSegmentsAreFilledFast) {
  Machine machine;
  const Result<> result = machine.run([]() -> Task<Result<>> {
    const std::string payload(3000, 'p');
    for (const bool fast : {false, true}) {
      TestLog test;
      CO_TRY(co_await test.open(fast ? "/fast" : "/slow"));
      {
        Log::Hold hold(*test.log, test->next_index());
        while (test->stats().segments < 5) {
          const LogPosition at = CO_TRY(test->append({}, as_bytes(payload)));
          CO_TRY(co_await test->durable(at));
          if (!fast) CO_TRY(co_await sleep_for(std::chrono::milliseconds(200)));
        }
        CO_TRY(co_await sleep_for(std::chrono::seconds(1)));
        const LogStats stats = test->stats();
        EXPECT_EQ(stats.segments_created, stats.segments + (fast ? 2u : 1u));
      }
      CO_TRY(co_await test.close());
    }
    co_return Result<>();
  });
  EXPECT_TRUE(result) << result.error().to_string();
}

TEST(Log, TruncatedSuffix) {
  Machine machine;
  const Result<> result = machine.run([]() -> Task<Result<>> {
    const std::vector<std::string> expected = {"a1", "a2", "b3", "c4", "c5"};
    {
      TestLog test;
      CO_TRY(co_await test.open("/log"));
      for (const char* text : {"a1", "a2", "a3", "a4"})
        (void)CO_TRY(test->append({.term = 1}, as_bytes(text)));
      EXPECT_EQ(test->truncate_suffix(6).error().code, Errc::invalid);
      (void)CO_TRY(test->truncate_suffix(3));
      EXPECT_EQ(test->next_index(), 3u);
      for (const char* text : {"b3", "b4", "b5", "b6"})
        (void)CO_TRY(test->append({.term = 2}, as_bytes(text)));
      CO_TRY(co_await test->durable(test->last()));
      (void)CO_TRY(test->truncate_suffix(4));
      for (const char* text : {"c4", "c5"}) (void)CO_TRY(test->append({.term = 3}, as_bytes(text)));
      CO_TRY(co_await test->durable(test->last()));
      Recorder read;
      CO_TRY(co_await test->read(1, 5, read));
      EXPECT_EQ(read.payloads(), expected);
      CO_TRY(co_await test.close());
    }
    TestLog test;
    CO_TRY(co_await test.open("/log"));
    EXPECT_EQ(test->next_index(), 6u);
    Recorder read;
    CO_TRY(co_await test->read(1, 5, read));
    EXPECT_EQ(read.payloads(), expected);
    std::vector<std::string> live;  // what recovery delivered, as its owner understands it
    for (const auto& record : test.recorder.records) {
      live.resize(record.index - 1);
      if (record.header.type != RecordType::truncate_suffix) live.push_back(record.payload);
    }
    EXPECT_EQ(live, expected);
    co_return co_await test.close();
  });
  EXPECT_TRUE(result) << result.error().to_string();
}

TEST(Log, AFailedWriteStopsItUntilItIsReopened) {
  Machine machine;
  const auto write_some = [](TestLog& test, const char* text, int count) -> Task<Result<>> {
    for (int i = 0; i < count; ++i) {
      CO_TRY(co_await test->durable(CO_TRY(test->append({}, as_bytes(text)))));
    }
    co_return Result<>();
  };
  bool failing = false;
  Result<> result = machine.run(
      [&]() -> Task<Result<>> {
        TestLog test;
        CO_TRY(co_await test.open("/log"));
        const Result<> written = co_await write_some(test, "first", 10);
        EXPECT_EQ(written.error().code, Errc::stopped);
        EXPECT_EQ(written.error().native, EIO);
        failing = true;
        EXPECT_TRUE(test.recorder.stopped);
        EXPECT_EQ(test.recorder.durable.position.index, 3u);
        EXPECT_EQ(test->append({}, as_bytes("more")).error().code, Errc::stopped);
        EXPECT_EQ((co_await test.close()).error().code, Errc::stopped);
        co_return Result<>();
      },
      [](sim::World& world) {
        // The first three writes are those of zeroes and of the header.
        world.faults().add(
            {.code = OpCode::write, .path_part = "0.0000000001.log", .nth = 7, .verdict = {.error = EIO}});
      });
  EXPECT_TRUE(result) << result.error().to_string();
  EXPECT_TRUE(failing);
  result = machine.run([&]() -> Task<Result<>> {
    TestLog test;
    CO_TRY(co_await test.open("/log"));
    EXPECT_GE(test.recorder.records.size(), 3u);
    EXPECT_LE(test.recorder.records.size(), 4u);
    CO_TRY(co_await write_some(test, "second", 3));
    co_return co_await test.close();
  });
  EXPECT_TRUE(result) << result.error().to_string();
}

TEST(Log, FullDiskFailsAppendsClearlyAndGoesOnWhenSegmentsAreReleased) {
  Machine machine;
  machine.disk.set_capacity(6u << 20);
  const Result<> result = machine.run([]() -> Task<Result<>> {
    TestLog test;
    CO_TRY(co_await test.open("/log"));
    auto hold = std::make_unique<Log::Hold>(*test.log, 1);
    const std::string payload(3000, 'p');
    std::uint64_t written = 0;
    for (;;) {
      const auto at = test->append({}, as_bytes(payload));
      if (!at) {
        EXPECT_EQ(at.error().code, Errc::no_space);
        break;
      }
      CO_TRY(co_await test->durable(*at));
      if (++written > 10'000) co_return fail(Errc::too_large, "never full");
    }
    EXPECT_GT(written, 1000u);
    EXPECT_TRUE(test.store->full());
    hold->advance(written);
    hold.reset();
    CO_TRY(co_await sleep_for(std::chrono::seconds(3)));
    for (int i = 0; i < 500; ++i) CO_TRY(co_await test->durable(CO_TRY(test->append({}, as_bytes(payload)))));
    co_return co_await test.close();
  });
  EXPECT_TRUE(result) << result.error().to_string();
}

}  // namespace
}  // namespace ashlar::wal
