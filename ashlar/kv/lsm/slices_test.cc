/// How a partition is divided into slices, and how those go to the bottom one by one.

#include "ashlar/kv/lsm/slices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ashlar/kv/lsm/test_tables.h"

namespace ashlar::lsm {
namespace {

using testing::key_at;
using testing::TestVersion;

constexpr std::uint64_t mib = 1u << 20;
constexpr std::uint64_t slice_count = 4, keys_of_slice = 100;
constexpr std::uint64_t all_keys = slice_count * keys_of_slice;

SliceKeys keys_at(const std::vector<std::uint64_t>& numbers) {
  SliceKeys keys;
  for (const std::uint64_t number : numbers) {
    const std::string key = key_at(number);
    keys.emplace_back(as_bytes(key).begin(), as_bytes(key).end());
  }
  return keys;
}
const SliceKeys four = keys_at({100, 200, 300});

Shape shape_of(Goal goal = Goal::balanced) {
  LsmOptions options;
  options.goal = goal;
  return Shape::of(options);
}
std::optional<Compaction> pick(const TestVersion& version, std::span<const Compaction* const> running = {},
                               Goal goal = Goal::balanced) {
  const Horizon horizon{.oldest = Sequence{1000}, .oldest_now_ms = 1, .cleared = {}};
  return pick_compaction(*version, shape_of(goal), horizon, false, running, four);
}
void set_busy(const Compaction& job, bool busy) {
  for (TableFile* table : job.inputs()) table->set_busy(busy);
}

/// A bottom of tables side by side, 100 keys and so many MiB each.
void add_bottom(TestVersion& version, const std::vector<std::uint64_t>& sizes) {
  for (std::uint64_t i = 0; i < sizes.size(); ++i)
    version.add({.level = bottom_level, .first = 100 * i, .last = 100 * i + 99, .bytes = sizes[i] * mib});
}
/// A run of level 0 in the slices from `first` on, cut where they meet.
void add_flush(TestVersion& version, std::uint64_t first = 0, std::uint64_t mib_each = 8) {
  const std::uint64_t run = version.next_run();
  for (std::uint64_t slice = first; slice < slice_count; ++slice) {
    version.add({.level = 0,
                 .run = run,
                 .first = slice * keys_of_slice,
                 .last = (slice + 1) * keys_of_slice - 1,
                 .bytes = mib_each * mib});
  }
}
/// The slice that every input of the job lies in; none where they lie in several.
std::optional<std::uint64_t> slice_of(const Compaction& job) {
  for (std::uint64_t slice = 0; slice < slice_count; ++slice) {
    if (compare(job.smallest_key(), as_bytes(key_at(slice * keys_of_slice))) >= 0 &&
        compare(job.largest_key(), as_bytes(key_at((slice + 1) * keys_of_slice))) < 0)
      return slice;
  }
  return std::nullopt;
}

TEST(Slices, DivideTheBottomEvenly) {
  TestVersion version;
  EXPECT_THAT(slice_keys(*version, shape_of(), {}), ::testing::IsEmpty());
  version.add({.level = 0, .first = 0, .last = 99, .bytes = 1000 * mib});
  EXPECT_THAT(slice_keys(*version, shape_of(), {}), ::testing::IsEmpty()) << "there is no bottom";
  add_bottom(version, {64});
  EXPECT_THAT(slice_keys(*version, shape_of(), {}), ::testing::IsEmpty()) << "of one table";

  TestVersion four_tables, many;
  add_bottom(four_tables, {64, 64, 64, 64});
  EXPECT_EQ(slice_keys(*four_tables, shape_of(), {}), four);
  add_bottom(many, std::vector<std::uint64_t>(80, 64));
  EXPECT_EQ(slice_keys(*many, shape_of(), {}), keys_at({1000, 2000, 3000, 4000, 5000, 6000, 7000}));
}

TEST(Slices, StayWhereTheyAreUntilTheyAreMuchTooSmallOrTooLarge) {
  TestVersion version;
  add_bottom(version, {64, 90, 40, 64});
  const SliceKeys before = keys_at({50, 200, 300});  // the first one lies inside of a table
  EXPECT_EQ(slice_keys(*version, shape_of(), before), before);

  TestVersion small;
  add_bottom(small, {64, 20, 64, 20});
  EXPECT_EQ(slice_keys(*small, shape_of(), keys_at({100, 200, 300})), keys_at({100}))
      << "20 MiB are too little for a slice, on either side";
  TestVersion large;
  add_bottom(large, {64, 64, 64, 64, 64});
  EXPECT_EQ(slice_keys(*large, shape_of(), keys_at({100})), keys_at({100, 200, 300, 400}));
}

TEST(Slices, HaveTheTablesThatShareKeysWithThem) {
  TestVersion version;
  add_bottom(version, {64, 64, 64, 64});
  const lsm::Run& run = version->level(bottom_level).front();
  std::vector<Slice> slices = slices_between(four);
  ASSERT_EQ(slices.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_THAT(slices[i].of(run), ::testing::ElementsAre(run.tables[i]));
  EXPECT_EQ(slices_between({}).front().of(run).size(), 4u);

  const std::string middle = key_at(150), last = key_at(250);
  Slice inside{.first = as_bytes(middle), .end = as_bytes(middle)};
  EXPECT_THAT(inside.of(run), ::testing::ElementsAre(run.tables[1]));
  slices[1].cover(std::span(run.tables).subspan(1, 1));
  EXPECT_EQ(slices[1].of(run).size(), 1u) << "which it had whole";
  inside.cover(std::span(run.tables).subspan(0, 3));
  EXPECT_EQ(inside.of(run).size(), 3u);
  EXPECT_TRUE(inside.with_end) << "the last key of a table is one of its keys";
}

/// Level 0 is due with its share of runs on average, and the deepest slice goes.
TEST(Slices, LevelZeroGoesDownSliceBySlice) {
  for (const Goal goal : {Goal::balanced, Goal::read_heavy}) {
    const std::uint32_t share = shape_of(goal).level0_runs;
    TestVersion version;
    add_bottom(version, {64, 64, 64, 64});
    add_flush(version, 3);
    for (std::uint32_t i = 1; i < share; ++i) add_flush(version);
    EXPECT_FALSE(pick(version, {}, goal));
    add_flush(version);
    auto job = pick(version, {}, goal);
    ASSERT_TRUE(job);
    EXPECT_EQ(slice_of(*job), 3u);
    EXPECT_EQ(job->urgency, Urgency::level0);
    EXPECT_FALSE(job->move);
    EXPECT_EQ(job->inputs().size(), share + 1 + 1);

    // Another one beside it when there is half as much again.
    set_busy(*job, true);
    const Compaction* running[] = {&*job};
    std::uint32_t flushes = 0;
    std::optional<Compaction> beside;
    while (!(beside = pick(version, running, goal)) && flushes < 2 * share) {
      add_flush(version);
      ++flushes;
    }
    ASSERT_TRUE(beside);
    EXPECT_EQ(4 * flushes, 3 * share) << "three slices have their share, and all have the flushes";
    ASSERT_TRUE(slice_of(*beside));
    EXPECT_NE(slice_of(*beside), 3u);
    set_busy(*job, false);
    version.remove(job->inputs());
    version.add({.level = job->output_level, .first = 300, .last = 399, .bytes = 64 * mib});
    EXPECT_EQ(level0_of(slices_between(four)[3], *version).depth, flushes);
    EXPECT_EQ(level0_depth(*version, four), (3 * (share + flushes) + flushes) / 4.0);
  }
}

TEST(Slices, OneThatIsWrittenMoreGoesDownMoreOften) {
  TestVersion version;
  add_bottom(version, {64, 64, 64, 64});
  for (std::uint32_t i = 0; i < 2 * shape_of().level0_runs; ++i) {
    EXPECT_FALSE(pick(version));
    add_flush(version, 3);
  }
  const auto job = pick(version);
  ASSERT_TRUE(job);
  EXPECT_EQ(slice_of(*job), 3u);
}

/// Slices that must wait do not make level 0 be merged with itself before there is far too much of it.
TEST(Slices, OnesThatMustWaitAreMergedWhereTheyAreWhenTheyAreCrowded) {
  TestVersion version;
  version.add({.level = bottom_level, .last = all_keys - 1, .bytes = 64 * mib});  // which was never cut
  for (int i = 0; i < 8; ++i) add_flush(version);
  const auto job = pick(version);
  ASSERT_TRUE(job);
  EXPECT_EQ(job->inputs().size(), 8u + 1);
  set_busy(*job, true);
  const Compaction* running[] = {&*job};
  for (int i = 0; i < 18; ++i) {
    EXPECT_FALSE(pick(version, running)) << i;
    add_flush(version);
  }
  const auto crowded = pick(version, running);
  ASSERT_TRUE(crowded);
  EXPECT_EQ(crowded->output_level, 0u);
  EXPECT_EQ(crowded->runs.size(), 18u) << "those of which the job has nothing";
  EXPECT_TRUE(permitted(*version, *crowded, running));
  set_busy(*job, false);
}

/// A table that is not cut takes along what is older and shares keys with it, whatever slice that is of.
TEST(Slices, TakeWithThemWhatTheyWouldOvertake) {
  TestVersion version;
  add_bottom(version, {64, 64, 64, 64});
  add_flush(version, 1);
  for (int i = 0; i < 14; ++i) add_flush(version, 2);
  version.add({.level = 0, .first = 150, .last = 250, .bytes = 8 * mib});
  const auto job = pick(version);
  ASSERT_TRUE(job);
  EXPECT_EQ(job->output_level, bottom_level);
  EXPECT_FALSE(slice_of(*job));
  EXPECT_EQ(job->inputs().size(), 1u + 15 + 1 + 2) << "of both slices, and of the bottom's";
  EXPECT_TRUE(permitted(*version, *job, {}));
}

/// What is not cut counts once, whatever it would be merged with.
TEST(Slices, WhatIsNotCutDoesNotGoToALargeBottom) {
  TestVersion version;
  add_bottom(version, {900, 900, 900, 900});
  for (int i = 0; i < 8; ++i) version.add({.level = 0, .first = 0, .last = all_keys - 1, .bytes = 32 * mib});
  const auto job = pick(version);
  ASSERT_TRUE(job);
  EXPECT_EQ(job->output_level, 1u);
  EXPECT_TRUE(job->new_run);
  EXPECT_EQ(job->inputs().size(), 8u);

  TestVersion tiered;
  add_bottom(tiered, {640, 640, 640, 640});
  tiered.add({.level = 1, .run = tiered.next_run(), .last = all_keys - 1, .bytes = 600 * mib});
  EXPECT_FALSE(pick(tiered)) << "it is less than a quarter of the bottom that it meets";
}

/// One that would have to be merged with too much does not keep others from going.
TEST(Slices, OneThatStaysDoesNotStopOthers) {
  TestVersion version;
  add_bottom(version, {900, 64, 64, 64});
  for (int i = 0; i < 9; ++i)
    version.add({.level = 0, .run = version.next_run(), .first = 0, .last = 99, .bytes = 1 * mib});
  for (int i = 0; i < 8; ++i) add_flush(version, 1);
  const auto job = pick(version);
  ASSERT_TRUE(job);
  EXPECT_EQ(job->output_level, bottom_level);
  ASSERT_TRUE(slice_of(*job));
  EXPECT_NE(slice_of(*job), 0u);
}

TEST(Slices, TheBottomIsRewrittenOneByOne) {
  TestVersion version;
  add_bottom(version, {640, 640, 640, 640});
  const std::uint64_t run = version.next_run();
  for (std::uint64_t slice = 0; slice < slice_count; ++slice)
    version.add({.level = 1, .run = run, .first = 100 * slice, .last = 100 * slice + 99, .bytes = 150 * mib});
  EXPECT_FALSE(pick(version)) << "less than a quarter of it is above";
  version.add({.level = 1, .run = version.next_run(), .first = 210, .last = 290, .bytes = 20 * mib});
  const auto job = pick(version);
  ASSERT_TRUE(job);
  EXPECT_EQ(slice_of(*job), 2u);
  EXPECT_EQ(job->output_level, bottom_level);
  EXPECT_EQ(job->inputs().size(), 3u);
}

TEST(Slices, AreOfLevelZeroOnlyWhereItGoesToTheBottom) {
  TestVersion version;
  const Shape shape = shape_of();
  const std::uint64_t most = level0_job_factor * shape.level0_runs * (32 * mib);
  version.add({.level = bottom_level, .last = all_keys, .bytes = most});
  EXPECT_TRUE(level0_is_sliced(*version, shape, 32 * mib));
  version.add({.level = 1, .run = version.next_run(), .last = all_keys, .bytes = 1});
  EXPECT_FALSE(level0_is_sliced(*version, shape, 32 * mib));
}

}  // namespace
}  // namespace ashlar::lsm
