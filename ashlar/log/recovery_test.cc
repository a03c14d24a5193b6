// What recovery makes of torn tails, decayed bits and what recycled segments held before.

#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "ashlar/log/test_log.h"

namespace ashlar::wal {
namespace {

using testing::Machine;
using testing::Recorder;
using testing::small;
using testing::TestLog;

constexpr const char* segment_path = "/log/0.0000000001.log";

std::uint64_t test_seed() {
  const char* given = std::getenv("ASHLAR_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
  std::printf("ASHLAR_SEED=%llu\n", static_cast<unsigned long long>(seed));
  return seed;
}

/// Appends each payload; those of one inner list share a group.
Task<Result<>> write_groups(TestLog& test, const std::vector<std::vector<std::string>>& groups) {
  for (const auto& group : groups) {
    for (const std::string& payload : group) (void)CO_TRY(test->append({}, as_bytes(payload)));
    CO_TRY(co_await test->durable(test->last()));
  }
  co_return Result<>();
}

/// The log's file as a crash might have left it.
class Image {
 public:
  explicit Image(sim::Disk& disk) : disk_(disk), bytes_(*disk.contents(segment_path)) {}

  std::string& bytes() noexcept { return bytes_; }
  void store(std::uint64_t offset, std::string_view bytes) {
    auto file = *disk_.open(segment_path, O_RDWR);
    ASSERT_TRUE(disk_.write(*file, offset, as_bytes(bytes), true));
    disk_.close(*file);
  }
  /// Puts back everything that a log wrote behind `offset`.
  void restore(std::uint64_t offset) { store(offset, std::string_view(bytes_).substr(offset)); }

 private:
  sim::Disk& disk_;
  std::string bytes_;
};

struct Opened {
  Result<> result;
  std::vector<std::string> payloads;
};

// Opens the log; where that succeeds, appends `more`, and closes it.
Task<Opened> open_log(std::string more = {}) {
  Opened opened;
  TestLog test;
  opened.result = co_await test.open("/log");
  if (!opened.result) co_return opened;
  opened.payloads = test.recorder.payloads();
  if (!more.empty()) opened.result = co_await write_groups(test, {{more}});
  const Result<> closed = co_await test.close();
  if (opened.result) opened.result = closed;
  co_return opened;
}

// `body` runs on a machine whose log holds `groups`, as it was before it was closed.
void with_log(const std::vector<std::vector<std::string>>& groups, bool close,
              const std::function<Task<Result<>>(Image&, std::uint64_t last_group)>& body) {
  Machine machine;
  std::uint64_t last_group = 0;
  std::optional<Image> image;
  Result<> result = machine.run([&]() -> Task<Result<>> {
    TestLog test;
    CO_TRY(co_await test.open("/log"));
    CO_TRY(co_await write_groups(test, groups));
    if (!close) image.emplace(machine.disk);
    CO_TRY(co_await test.close());
    if (close) image.emplace(machine.disk);
    co_return Result<>();
  });
  ASSERT_TRUE(result) << result.error().to_string();
  for (std::uint64_t at = image->bytes().size(); at -= blob::block_bytes;) {
    const Bytes block = as_bytes(std::string_view(image->bytes()).substr(at, blob::block_bytes));
    if (decode_group_header(block, {1, at}, image->bytes().size() - at)) {
      last_group = at;
      break;
    }
  }
  ASSERT_NE(last_group, 0u);
  image->restore(0);
  result = machine.run([&] { return body(*image, last_group); });
  EXPECT_TRUE(result) << result.error().to_string();
}

TEST(LogRecovery, TornTailAtEveryByte) {
  const std::vector<std::vector<std::string>> groups = {
      {"a"}, {"b", "c"}, {"d", "", std::string(30, 'e'), "f"}};
  with_log(groups, false, [&](Image& image, std::uint64_t last) -> Task<Result<>> {
    const std::uint64_t used =
        decode_group_header(as_bytes(image.bytes()).subspan(last), {1, last}, 4096)->bytes;
    const std::string empty(2 * blob::block_bytes, '\0');
    const std::vector<std::string> before = {"a", "b", "c"}, with_more = {"a", "b", "c", "more"};
    for (std::uint64_t torn = 0; torn < used - 7; ++torn) {  // the last record ends in 7 bytes of padding
      image.restore(0);
      image.store(last + torn, std::string_view(empty).substr(0, 2 * blob::block_bytes - torn));
      Opened opened = co_await open_log("more");
      CO_TRY(opened.result);
      EXPECT_EQ(opened.payloads, before) << torn;
      opened = co_await open_log();
      CO_TRY(opened.result);
      EXPECT_EQ(opened.payloads, with_more) << torn;
    }
    co_return Result<>();
  });
}

// Each sector of a write is old or new. A tail of several groups, of which some arrived and some did not,
// must not come back to life when the log goes on before it.
TEST(LogRecovery, WhatIsLeftOfATornWriteStaysDead) {
  const std::uint64_t seed = test_seed();
  Random random(seed);
  std::vector<std::vector<std::string>> groups = {{"a"}};
  for (int i = 0; i < 6; ++i)
    groups.push_back({std::string(2000 + random.below(9000), static_cast<char>('b' + i))});
  with_log(groups, false, [&](Image& image, std::uint64_t) -> Task<Result<>> {
    const std::uint64_t tail = 2 * blob::block_bytes;  // behind the group of "a"
    const std::string zeroes(512, '\0');
    for (int round = 0; round < 200; ++round) {
      image.restore(0);
      std::uint64_t at = tail;
      // As if none of them had been acknowledged: no group says so, and the first one is torn.
      image.store(at, zeroes);
      for (at += 512; at < tail + 20 * blob::block_bytes; at += 512) {
        if (random.one_in(8)) image.store(at, zeroes);
      }
      const Opened opened = co_await open_log();
      if (!opened.result) {
        // Groups behind it say that it was acknowledged: that is damage, not a tail.
        EXPECT_EQ(opened.result.error().code, Errc::corrupt);
        EXPECT_EQ(opened.result.error().object, 1u);
        EXPECT_EQ(opened.result.error().offset, tail);
        continue;
      }
      EXPECT_EQ(opened.payloads, std::vector<std::string>{"a"});
    }
    co_return Result<>();
  });
}

/// Fails the next such operation on the log's first segment.
void fail_next(sim::World& world, OpCode code) {
  world.faults().add(
      {.code = code, .path_part = segment_path, .nth = 1, .verdict = {.error = EIO, .drop_unsynced = true}});
}

// A write that failed may be visible. A sync that fails then loses it, in part, while it stays visible, and
// the one after that succeeds: what recovery delivers after it must last.
TEST(LogRecovery, WhatIsDeliveredLastsWhateverFailedBefore) {
  unsigned delivered = 0;
  for (std::uint64_t seed = 1; seed <= 32; ++seed) {
    SCOPED_TRACE(seed);
    Machine machine(seed);
    sim::World* world = nullptr;
    const auto note_world = [&](sim::World& now) { world = &now; };
    const Result<> failed = machine.run(
        [&]() -> Task<Result<>> {
          TestLog test;
          CO_TRY(co_await test.open("/log"));
          CO_TRY(co_await write_groups(test, {{"a"}, {std::string(9000, 'b')}}));
          fail_next(*world, OpCode::write);
          EXPECT_FALSE(co_await write_groups(test, {{std::string(9000, 'c'), "d"}}));
          (void)co_await test.close();
          co_return Result<>();
        },
        note_world);
    ASSERT_TRUE(failed) << failed.error().to_string();
    Opened opened;
    const auto open = [&](std::string more) -> Task<Result<>> {
      opened = co_await open_log(std::move(more));
      co_return opened.result;
    };
    EXPECT_FALSE(
        machine.run([&] { return open("no"); }, [](sim::World& now) { fail_next(now, OpCode::sync); }));
    ASSERT_TRUE(machine.run([&] { return open("more"); })) << opened.result.error().to_string();
    std::vector<std::string> expected = opened.payloads;
    expected.push_back("more");
    delivered += expected.size() > 3 ? 1 : 0;
    machine.disk.crash(seed);
    ASSERT_TRUE(machine.run([&] { return open({}); })) << opened.result.error().to_string();
    EXPECT_EQ(opened.payloads, expected);
  }
  EXPECT_GT(delivered, 4u);
}

TEST(LogRecovery, FlippedBitsAreFound) {
  const std::vector<std::vector<std::string>> groups = {
      {"a"}, {"b", std::string(5000, 'c')}, {std::string(100, 'd')}, {"e", "f", "g"}};
  const std::vector<std::string> all = {"a", "b", groups[1][1], groups[2][0], "e", "f", "g"};
  const std::uint64_t seed = test_seed();
  with_log(groups, true, [&](Image& image, std::uint64_t last) -> Task<Result<>> {
    Random random(seed);
    std::vector<std::pair<std::uint64_t, std::uint64_t>> covered;  // of each group, where it begins and ends
    for (std::uint64_t at = first_group_offset; at <= last;) {
      const auto header = decode_group_header(as_bytes(image.bytes()).subspan(at), {1, at}, 1u << 20);
      EXPECT_TRUE(header);
      if (!header) co_return fail(Errc::invalid, "test");
      covered.emplace_back(at, at + header->bytes);
      at += blob::align_up(header->bytes);
    }
    std::size_t found = 0, harmless = 0;
    for (std::uint64_t at = 0; at < last + 2 * blob::block_bytes; at += 1 + random.below(60)) {
      image.restore(0);
      std::string byte(1, image.bytes()[at]);
      byte[0] = static_cast<char>(byte[0] ^ (1 << random.below(8)));
      image.store(at, byte);
      const Opened opened = co_await open_log();
      if (opened.result) {
        EXPECT_EQ(opened.payloads, all) << at;
        ++harmless;
        const bool inside = std::ranges::any_of(
            covered, [&](auto group) { return at >= group.first && at + 8 < group.second; });
        EXPECT_FALSE(at < segment_header_bytes) << at;
        if (inside)
          EXPECT_EQ(image.bytes()[at], '\0') << "only the gaps between records are not covered, " << at;
      } else {
        EXPECT_EQ(opened.result.error().code, Errc::corrupt) << at;
        EXPECT_EQ(opened.result.error().object, 1u) << at;
        for (const auto& [begin, end] : covered) {
          if (at >= begin && at < end) EXPECT_EQ(opened.result.error().offset, begin) << at;
        }
        ++found;
      }
    }
    EXPECT_GT(found, 100u);
    EXPECT_GT(harmless, 100u);
    co_return Result<>();
  });
}

TEST(LogRecovery, MissingSegmentIsCorrupt) {
  Machine machine;
  ASSERT_TRUE(machine.run([]() -> Task<Result<>> {
    TestLog test;
    CO_TRY(co_await test.open("/log"));
    for (int i = 0; i < 1000; ++i) CO_TRY(co_await write_groups(test, {{std::string(3000, 'x')}}));
    EXPECT_GE(test->stats().segments, 3u);
    co_return co_await test.close();
  }));
  for (const char* lost : {"/log/0.0000000001.log", "/log/0.0000000002.log", "/log/0.0000000003.log"}) {
    ASSERT_EQ(machine.disk.rename(lost, "/log/elsewhere"), 0);
    ASSERT_TRUE(machine.run([]() -> Task<Result<>> {
      const Opened opened = co_await open_log();
      EXPECT_EQ(opened.result.error().code, Errc::corrupt);
      co_return Result<>();
    })) << lost;
    ASSERT_EQ(machine.disk.rename("/log/elsewhere", lost), 0);
  }
  ASSERT_TRUE(machine.run([]() -> Task<Result<>> {
    const Opened opened = co_await open_log();
    EXPECT_EQ(opened.payloads.size(), 1000u);
    co_return opened.result;
  }));
}

// All records but the torn one are in tables already. The log must remember which group it is at: closed, it
// would else be taken for a damaged one at the next open.
TEST(LogRecovery, TornFirstGroupOfTheOnlySegmentNeeded) {
  constexpr const char* second = "/log/0.0000000002.log";
  Machine machine;
  std::uint64_t index = 0;
  std::string image;
  ASSERT_TRUE(machine.run([&]() -> Task<Result<>> {
    TestLog test;
    CO_TRY(co_await test.open("/log"));
    while (test->stats().segments < 2) CO_TRY(co_await write_groups(test, {{std::string(3000, 'x')}}));
    index = test->next_index() - 1;
    image = *machine.disk.contents(second);
    co_return co_await test.close();
  }));
  std::fill_n(image.begin() + blob::block_bytes + 512, blob::block_bytes - 512, '\0');
  auto file = *machine.disk.open(second, O_RDWR);
  ASSERT_TRUE(machine.disk.write(*file, 0, as_bytes(std::string_view(image)), true));
  machine.disk.close(*file);
  for (int boot = 0; boot < 3; ++boot) {
    const Result<> result = machine.run([&]() -> Task<Result<>> {
      TestLog test;
      CO_TRY(co_await test.open("/log", small, index));
      EXPECT_TRUE(test.recorder.records.empty());
      EXPECT_EQ(test->next_index(), index);
      co_return co_await test.close();
    });
    ASSERT_TRUE(result) << boot << ": " << result.error().to_string();
  }
}

// A recycled segment is full of valid groups of its last generation, in the very places where new ones go.
TEST(LogRecovery, OldGenerationsNeverValidate) {
  Machine machine;
  std::uint64_t written = 0;
  for (int boot = 0; boot < 12; ++boot) {
    const Result<> result = machine.run([&]() -> Task<Result<>> {
      TestLog test;
      const std::uint64_t needed = written > 100 ? written - 100 : 1;
      CO_TRY(co_await test.open("/log", small, needed));
      EXPECT_EQ(test->next_index(), written + 1);
      std::uint64_t index = needed;
      for (const auto& record : test.recorder.records) {
        EXPECT_EQ(record.index, index);
        EXPECT_EQ(record.payload, "record " + std::to_string(index++));
      }
      auto hold = std::make_unique<Log::Hold>(*test.log, needed);
      for (int i = 0; i < 150; ++i) {
        CO_TRY(co_await write_groups(test, {{"record " + std::to_string(++written)}}));
        hold->advance(written > 100 ? written - 100 : 1);
      }
      hold.reset();
      co_return co_await test.close();
    });
    ASSERT_TRUE(result) << result.error().to_string();
  }
  EXPECT_LE(machine.disk.files().size(), 8u);
}

}  // namespace
}  // namespace ashlar::wal
