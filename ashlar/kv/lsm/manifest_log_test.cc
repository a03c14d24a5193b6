/// The manifest in its segments: many generations, and what a full disk leaves of them.

#include "ashlar/kv/lsm/manifest_log.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <functional>
#include <optional>

#include "ashlar/blob/directory/directory_store.h"
#include "ashlar/blob/directory/file_name.h"
#include "ashlar/runtime/ops/file.h"
#include "ashlar/runtime/ops/sim/world.h"

namespace ashlar::lsm {
namespace {

class ManifestLogTest : public ::testing::Test {
 protected:
  using Body = std::function<Task<>(ManifestLog&)>;

  void with_log(bool create, const Body& body) { EXPECT_TRUE(live(create, body)); }
  /// One life of the machine; `fault`, where it is there, is what goes wrong in it.
  Result<> live(bool create, const Body& body, const std::optional<sim::FaultRule>& fault = {},
                std::uint64_t seed = 1) {
    sim::World world({.environment = {.seed = seed}}, disk_);
    if (fault) world.faults().add(*fault);
    Result<> opened;
    world.spawn(0, world.on(0, [&] { return run(create, &body, &opened); }));
    EXPECT_EQ(world.run_to_end(), sim::World::Outcome::done) << world.report();
    return opened;
  }

  /// A table whose two keys are long: a few of them make a large snapshot.
  static TableMeta table(std::uint64_t number) {
    const std::string key(50'000, static_cast<char>('a' + number % 26));
    return {.level = 0,
            .run = number,
            .number = number,
            .file_bytes = 8192,
            .entries = 2,
            .smallest_sequence = kv::Sequence{number},
            .largest_sequence = kv::Sequence{number},
            .smallest_key = key,
            .largest_key = key};
  }
  static Edit replace(std::uint64_t removed, std::uint64_t added) {
    Edit edit;
    edit.next_number = added + 1;
    edit.added = {table(added)};
    if (removed != 0) edit.removed = {removed};
    return edit;
  }

  sim::Disk disk_;

 private:
  static Task<> run(bool create, const Body* body, Result<>* opened) {
    (void)Shard::current().backend().make_directory("/data");
    EXPECT_TRUE(co_await sync_directory("/"));
    auto blobs = co_await blob::open_directory("/data", {.reserve_bytes = 0});
    EXPECT_TRUE(blobs);
    if (!blobs) co_return;
    {
      auto log = create ? co_await ManifestLog::create(**blobs, 7) : co_await ManifestLog::open(**blobs);
      if (!log) *opened = std::unexpected(log.error());
      if (log) co_await (*body)(**log);
    }
    EXPECT_TRUE(co_await (*blobs)->close());
  }
};

/// Full before the manifest has grown: its snapshots fill more than half of a segment, and fit.
TEST_F(ManifestLogTest, WritesSnapshotsThatJustFitOnAFullDisk) {
  static constexpr std::uint64_t tables = 8, replaced = 30;
  with_log(true, [this](ManifestLog& log) -> Task<> {
    disk_.set_capacity(1);
    for (std::uint64_t number = 1; number <= tables; ++number)
      EXPECT_TRUE(co_await log.append(replace(0, number))) << number;
    for (std::uint64_t number = 1; number <= replaced; ++number)
      EXPECT_TRUE(co_await log.append(replace(number, number + tables))) << number;
  });
  with_log(false, [](ManifestLog& log) -> Task<> {
    EXPECT_EQ(log.state().tables.size(), tables);
    EXPECT_TRUE(log.state().tables.contains(replaced + 1));
    co_return;
  });
}

/// Full after the manifest has grown: it has made itself room in time.
TEST_F(ManifestLogTest, MakesRoomForItsNextSnapshotBeforeTheDiskIsFull) {
  static constexpr std::uint64_t tables = 40, replaced = 200;
  with_log(true, [this](ManifestLog& log) -> Task<> {
    for (std::uint64_t number = 1; number <= tables; ++number)
      EXPECT_TRUE(co_await log.append(replace(0, number))) << number;
    disk_.set_capacity(1);
    for (std::uint64_t number = 1; number <= replaced; ++number)
      EXPECT_TRUE(co_await log.append(replace(number, number + tables))) << number;
  });
  with_log(false, [](ManifestLog& log) -> Task<> {
    EXPECT_EQ(log.state().tables.size(), tables);
    co_return;
  });
}

/// A snapshot that failed is visible, and a sync that fails then loses it, while it stays visible: it must
/// not be all there is while the other segment is written.
TEST_F(ManifestLogTest, NothingIsBuiltOnWhatIsNotDurable) {
  const auto ignore = [](ManifestLog&) -> Task<> { co_return; };
  const auto expect_two = [](ManifestLog& log) -> Task<> {
    EXPECT_EQ(log.state().tables.size(), 2u);
    co_return;
  };
  const std::string first = blob::segment_file_name({manifest_log_number, 1});
  const std::string next = blob::segment_file_name({manifest_log_number, 2});
  for (std::uint64_t seed = 1; seed <= 64; ++seed) {
    SCOPED_TRACE(seed);
    disk_ = sim::Disk();
    with_log(true, [](ManifestLog& log) -> Task<> {
      for (std::uint64_t number = 1; number <= 2; ++number)
        EXPECT_TRUE(co_await log.append(replace(0, number))) << number;
    });
    for (const OpCode code : {OpCode::write, OpCode::sync}) {
      const sim::FaultRule fault{
          .code = code, .path_part = next, .nth = 1, .verdict = {.error = EIO, .drop_unsynced = true}};
      EXPECT_EQ(live(false, ignore, fault, 2 * seed).error().code, Errc::io);
    }
    const sim::FaultRule cut{.code = OpCode::write,
                             .path_part = first,
                             .nth = 1,
                             .verdict = {.cut = sim::FileVerdict::Cut::before}};
    (void)live(false, ignore, cut, 2 * seed + 1);
    const Result<> last = live(false, expect_two);
    ASSERT_TRUE(last) << last.error().to_string();
  }
}

}  // namespace
}  // namespace ashlar::lsm
