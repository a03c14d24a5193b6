/// The manifest in its segments: many generations, and what a full disk leaves of them.

#include "ashlar/kv/lsm/manifest_log.h"

#include <gtest/gtest.h>

#include <functional>

#include "ashlar/blob/directory/directory_store.h"
#include "ashlar/runtime/ops/sim/world.h"

namespace ashlar::lsm {
namespace {

class ManifestLogTest : public ::testing::Test {
 protected:
  using Body = std::function<Task<>(ManifestLog&)>;

  void with_log(bool create, const Body& body) {
    sim::World world({.environment = {.seed = 1}}, disk_);
    world.spawn(0, world.on(0, [&] { return run(create, &body); }));
    EXPECT_EQ(world.run_to_end(), sim::World::Outcome::done) << world.report();
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
  static Task<> run(bool create, const Body* body) {
    (void)Shard::current().backend().make_directory("/data");
    auto blobs = co_await blob::open_directory("/data", {.reserve_bytes = 0});
    EXPECT_TRUE(blobs);
    if (!blobs) co_return;
    {
      auto log = create ? co_await ManifestLog::create(**blobs, 7) : co_await ManifestLog::open(**blobs);
      EXPECT_TRUE(log) << log.error().to_string();
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

}  // namespace
}  // namespace ashlar::lsm
