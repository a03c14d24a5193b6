/// What compaction chooses, on versions made of tables without files.

#include "ashlar/kv/lsm/compaction.h"

#include <gtest/gtest.h>

#include <map>

#include "ashlar/kv/lsm/test_tables.h"

namespace ashlar::lsm {
namespace {

using testing::key_at;
using testing::TestVersion;

constexpr std::uint64_t all_keys = 1'000'000;

Shape shape_of(Goal goal) {
  LsmOptions options;
  options.goal = goal;
  options.level1_bytes = 1u << 20;
  return Shape::of(options);
}
Horizon horizon(std::uint64_t oldest = 1000, std::uint64_t cleared = 0) {
  return {.oldest = Sequence{oldest}, .oldest_now_ms = 1, .cleared = Sequence{cleared}};
}
std::optional<Compaction> pick(const TestVersion& version, Goal goal,
                               std::span<const Compaction* const> running = {}, bool full = false) {
  return pick_compaction(*version, shape_of(goal), horizon(), full, running);
}
void set_busy(const Compaction& job, bool busy = true) {
  for (TableFile* table : job.inputs()) table->set_busy(busy);
}

TEST(Compaction, NothingIsDueInShape) {
  TestVersion version;
  for (const Goal goal : {Goal::balanced, Goal::write_heavy, Goal::read_heavy, Goal::space_bound})
    EXPECT_FALSE(pick(version, goal));
  version.add({.level = 0, .first = 0, .last = all_keys});
  version.add({.level = bottom_level, .first = 0, .last = all_keys, .bytes = 64u << 20});
  for (const Goal goal : {Goal::balanced, Goal::write_heavy, Goal::read_heavy, Goal::space_bound})
    EXPECT_FALSE(pick(version, goal));
}

TEST(Compaction, LevelZeroGoesToTheFirstLevelThatIsInUse) {
  TestVersion version;
  for (int i = 0; i < 4; ++i) version.add({.level = 0, .first = 0, .last = all_keys});
  version.add({.level = bottom_level, .first = 0, .last = all_keys / 2, .bytes = 64u << 20});
  version.add({.level = bottom_level, .first = all_keys / 2 + 1, .last = all_keys, .bytes = 64u << 20});
  // 128 MiB at the bottom: 12.8 and 1.28 above, and a tenth of that would be less than the smallest level.
  const auto job = pick(version, Goal::read_heavy);
  ASSERT_TRUE(job);
  EXPECT_EQ(job->urgency, Urgency::level0);
  EXPECT_EQ(job->output_level, bottom_level - 3);
  EXPECT_EQ(job->runs.size(), 4u);
  EXPECT_FALSE(job->move);
}

TEST(Compaction, WhatMeetsNothingMovesToTheBottom) {
  TestVersion version;
  for (std::uint64_t i = 0; i < 8; ++i) version.add({.level = 0, .first = 10 * i, .last = 10 * i + 5});
  version.add({.level = bottom_level, .first = 1000, .last = 2000, .bytes = 1u << 30});
  const auto job = pick(version, Goal::read_heavy);
  ASSERT_TRUE(job);
  EXPECT_TRUE(job->move);
  EXPECT_EQ(job->output_level, bottom_level);
  version.add({.level = 0, .first = 0, .last = 3});  // hides something
  EXPECT_FALSE(pick(version, Goal::read_heavy)->move);
}

TEST(Compaction, TiersCollectRunsAndTheBottomIsOne) {
  TestVersion version;
  for (int i = 0; i < 8; ++i) version.add({.level = 0, .first = 0, .last = all_keys});
  version.add({.level = bottom_level, .first = 0, .last = all_keys, .bytes = 1u << 30});
  auto job = pick(version, Goal::balanced);
  ASSERT_TRUE(job);
  EXPECT_TRUE(job->new_run);
  EXPECT_EQ(job->output_level, 1u);
  EXPECT_EQ(job->runs.size(), 8u);

  version.remove(job->inputs());
  for (std::uint64_t run = 1; run <= 4; ++run)
    version.add({.level = 1, .run = version.next_run(), .first = 0, .last = all_keys, .bytes = 1u << 20});
  job = pick(version, Goal::balanced);
  ASSERT_TRUE(job);
  EXPECT_EQ(job->output_level, 2u);
  EXPECT_TRUE(job->new_run);

  version.add({.level = 2, .run = version.next_run(), .first = 0, .last = all_keys, .bytes = 300u << 20});
  job = pick(version, Goal::balanced);  // more than a quarter of the bottom
  ASSERT_TRUE(job);
  EXPECT_EQ(job->output_level, bottom_level);
  EXPECT_EQ(job->output_run, 0u);
  EXPECT_EQ(job->runs.size(), 6u);
}

TEST(Compaction, JobsSideBySideOvertakeNothing) {
  TestVersion version;
  version.add({.level = bottom_level, .first = 0, .last = all_keys, .bytes = 1u << 30});
  version.add({.level = 1, .run = version.next_run(), .first = 0, .last = all_keys, .bytes = 600u << 20});
  const auto bottom = pick(version, Goal::balanced);
  ASSERT_TRUE(bottom && bottom->output_level == bottom_level);
  set_busy(*bottom);
  const Compaction* running[] = {&*bottom};
  EXPECT_FALSE(pick(version, Goal::balanced, running));

  // Level 0 may go on top of what is on its way down …
  for (int i = 0; i < 8; ++i) version.add({.level = 0, .first = 0, .last = all_keys});
  const auto flushed = pick(version, Goal::balanced, running);
  ASSERT_TRUE(flushed);
  EXPECT_EQ(flushed->output_level, 1u);
  version.move(flushed->inputs(), 1, version.next_run());
  // … but no further.
  std::vector<TableFile*> overtaking{version->level(1).front().tables.front()};
  EXPECT_FALSE(permitted(*version, {.runs = {overtaking}, .output_level = 2}, running));
  EXPECT_FALSE(permitted(*version, {.runs = {overtaking}, .output_level = bottom_level}, running));

  for (int i = 0; i < 3; ++i)
    version.add({.level = 1, .run = version.next_run(), .first = 0, .last = all_keys, .bytes = 1u << 20});
  const auto within = pick(version, Goal::balanced, running);
  ASSERT_TRUE(within);
  EXPECT_EQ(within->output_level, 1u);
  EXPECT_EQ(within->output_run, version->level(1).front().number);
  EXPECT_EQ(within->runs.size(), 4u);
  set_busy(*bottom, false);
}

TEST(Compaction, TwoJobsMayWorkOnOneLevelWhereTheyDoNotMeet) {
  TestVersion version;
  for (std::uint64_t i = 0; i < 4; ++i) {
    version.add({.level = 5, .first = 100 * i, .last = 100 * i + 50, .bytes = 8u << 20});
    version.add({.level = bottom_level, .first = 100 * i, .last = 100 * i + 99, .bytes = 16u << 20});
  }
  const auto first = pick(version, Goal::read_heavy);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->inputs().size(), 2u);
  set_busy(*first);
  const Compaction* running[] = {&*first};
  const auto second = pick(version, Goal::read_heavy, running);
  ASSERT_TRUE(second);
  EXPECT_NE(first->inputs().front(), second->inputs().front());
  set_busy(*first, false);
}

TEST(Compaction, ClearedTablesGoFirst) {
  TestVersion version;
  for (int i = 0; i < 20; ++i) version.add({.level = 0, .first = 0, .last = all_keys, .sequence = 5});
  version.add({.level = 0, .first = 0, .last = all_keys, .sequence = 50});
  const auto job = pick_compaction(*version, shape_of(Goal::balanced), horizon(1000, 20), false);
  ASSERT_TRUE(job && job->drop);
  EXPECT_EQ(job->inputs().size(), 20u);
  EXPECT_EQ(job->urgency, Urgency::drop);
}

TEST(Compaction, TombstonesMeetWhatTheyHide) {
  TestVersion version;
  version.add(
      {.level = 1, .run = version.next_run(), .first = 0, .last = 99, .tombstones = 60, .sequence = 9});
  version.add({.level = bottom_level, .first = 50, .last = 149});
  version.add({.level = bottom_level, .first = 150, .last = 250});
  const auto job = pick(version, Goal::balanced);
  ASSERT_TRUE(job);
  EXPECT_EQ(job->urgency, Urgency::reclaim);
  EXPECT_EQ(job->output_level, bottom_level);
  EXPECT_EQ(job->inputs().size(), 2u);
  EXPECT_FALSE(
      pick_compaction(*version, shape_of(Goal::balanced), horizon(8), false));  // a snapshot sees them
}

TEST(Compaction, WhatAnotherGoalHasLeftIsBroughtIntoShape) {
  TestVersion version;
  for (std::uint64_t run = 0; run < 3; ++run)
    version.add({.level = 2, .run = version.next_run(), .first = 0, .last = all_keys, .bytes = 2u << 20});
  version.add({.level = 3, .run = 0, .first = 0, .last = all_keys, .bytes = 20u << 20});
  std::uint64_t next = 100;
  for (int jobs = 0;; ++jobs) {
    ASSERT_LT(jobs, 20);
    const auto job = pick(version, Goal::read_heavy);
    if (!job) break;
    const auto inputs = job->inputs();
    const std::uint64_t run = job->new_run ? next++ : job->output_run;
    if (job->move) {
      version.move(inputs, job->output_level, run);
    } else {
      const std::uint64_t bytes = job->bytes();
      version.remove(inputs);
      version.add({.level = job->output_level, .run = run, .first = 0, .last = all_keys, .bytes = bytes});
    }
  }
  for (unsigned level = 1; level < level_count; ++level) EXPECT_LE(version->level(level).size(), 1u);
}

/// Overwrites of random keys, as a sum: what a goal costs in writes and in space.
struct Costs {
  double write_amplification = 0, space_amplification = 0;
  std::size_t runs = 0;  // at most, level 0 not counted
};
class Overwrites {
 public:
  explicit Overwrites(Goal goal) : shape_(shape_of(goal)) {}

  Costs run(int flushes) {
    fill();
    for (int flush = 0; flush < flushes; ++flush) {
      version_.add({.level = 0, .first = 0, .last = all_keys - 1, .entries = flush_entries});
      for (int jobs = 0; work(); ++jobs) EXPECT_LT(jobs, 1000);
      std::uint64_t bytes = 0;
      for (const Run& run : version_->runs) bytes += run.bytes();
      costs_.space_amplification =
          std::max(costs_.space_amplification, static_cast<double>(bytes) / (100.0 * all_keys));
      costs_.runs = std::max(costs_.runs, version_->runs.size() - version_->level(0).size());
    }
    const auto flushed = static_cast<double>(flushes) * flush_entries * 100.0;
    costs_.write_amplification = 1 + static_cast<double>(written_) / flushed;
    return costs_;
  }

 private:
  static constexpr std::uint64_t flush_entries = 10'000;
  static constexpr std::uint64_t tables = 50;  // at the bottom

  void fill() {
    const std::uint64_t keys = all_keys / tables;
    for (std::uint64_t i = 0; i < tables; ++i)
      version_.add({.level = bottom_level, .first = i * keys, .last = (i + 1) * keys - 1, .entries = keys});
  }
  static std::uint64_t number_at(Bytes key) {
    std::uint64_t number = 0;
    for (const std::byte byte : key.subspan(3)) number = number << 8 | static_cast<std::uint8_t>(byte);
    return number;
  }
  bool work() {
    const auto job = pick_compaction(*version_, shape_, horizon(), false);
    if (!job) return false;
    const std::uint64_t run = job->new_run ? version_.next_run() : job->output_run;
    const std::vector<TableFile*> inputs = job->inputs();
    if (job->move) {
      version_.move(inputs, job->output_level, run);
      return true;
    }
    // Of each table-sized range of keys, so many are in none of the inputs.
    const std::uint64_t first = number_at(job->smallest_key()), last = number_at(job->largest_key());
    const std::uint64_t keys = all_keys / tables;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
    for (std::uint64_t at = first; at <= last; at = (at / keys + 1) * keys)
      ranges.push_back({at, std::min(last, (at / keys + 1) * keys - 1)});
    std::vector<std::uint64_t> entries;
    for (const auto& [from, to] : ranges) {
      double absent = 1;
      for (const TableFile* table : inputs) {
        const std::uint64_t low = number_at(table->smallest_key()), high = number_at(table->largest_key());
        if (high < from || low > to) continue;
        absent *= 1 - static_cast<double>(table->meta().entries) / static_cast<double>(high - low + 1);
      }
      entries.push_back(static_cast<std::uint64_t>((1 - absent) * static_cast<double>(to - from + 1)));
    }
    version_.remove(inputs);
    for (std::size_t i = 0; i < ranges.size(); ++i) {
      if (entries[i] == 0) continue;
      written_ += 100 * entries[i];
      version_.add({.level = job->output_level,
                    .run = run,
                    .first = ranges[i].first,
                    .last = ranges[i].second,
                    .entries = entries[i]});
    }
    return true;
  }

  Shape shape_;
  TestVersion version_;
  Costs costs_;
  std::uint64_t written_ = 0;
};

TEST(Compaction, EachGoalCostsWhatItPromises) {
  std::map<Goal, Costs> costs;
  for (const Goal goal : {Goal::balanced, Goal::write_heavy, Goal::read_heavy, Goal::space_bound}) {
    costs[goal] = Overwrites(goal).run(250);
    std::printf("goal %u: write amplification %.2f, space amplification at most %.2f, runs at most %zu\n",
                static_cast<unsigned>(goal), costs[goal].write_amplification, costs[goal].space_amplification,
                costs[goal].runs);
  }
  EXPECT_LT(costs[Goal::write_heavy].write_amplification, costs[Goal::balanced].write_amplification);
  EXPECT_LT(costs[Goal::balanced].write_amplification, costs[Goal::read_heavy].write_amplification);
  EXPECT_LE(costs[Goal::balanced].space_amplification, 1.4);
  EXPECT_LE(costs[Goal::write_heavy].space_amplification, 2.2);
  EXPECT_LE(costs[Goal::space_bound].space_amplification, 1.25);
  EXPECT_LE(costs[Goal::read_heavy].runs, 4u);
  EXPECT_LE(costs[Goal::balanced].runs, 12u);
}

TEST(Compaction, ValuesAreMovedOutOfTablesWithMuchGarbage) {
  TestVersion version;
  const std::uint64_t half = version.add_values(100'000).number(),
                      whole = version.add_values(100'000).number(),
                      less = version.add_values(100'000).number();
  TableFile& first =
      version.add({.level = bottom_level, .last = 10, .uses = {{half, 30'000}, {whole, 100'000}}});
  TableFile& second = version.add({.level = bottom_level, .first = 20, .last = 30, .uses = {{half, 20'000}}});
  version.add({.level = bottom_level, .first = 40, .last = 50, .uses = {{less, 70'000}}});
  EXPECT_FALSE(pick(version, Goal::write_heavy));
  const auto job = pick(version, Goal::balanced);
  ASSERT_TRUE(job);
  EXPECT_EQ(job->urgency, Urgency::reclaim);
  EXPECT_EQ(job->inputs(), (std::vector{&first, &second}));  // the third refers to nothing that is due
  EXPECT_EQ(job->output_level, bottom_level);
  EXPECT_EQ(job->moved_values, std::vector{half});
  EXPECT_FALSE(job->move);
  EXPECT_EQ(pick(version, Goal::space_bound)->moved_values, (std::vector{half, less}));

  set_busy(*job);
  const Compaction* const running[] = {&*job};
  EXPECT_FALSE(pick(version, Goal::balanced, running));
  set_busy(*job, false);
  EXPECT_EQ(pick(version, Goal::space_bound, {}, true)->inputs(), std::vector{&first}) << "step by step";
  EXPECT_EQ(pick(version, Goal::space_bound, {}, true)->moved_values, std::vector{half});
  version->find_values(half)->set_damaged();
  EXPECT_FALSE(pick(version, Goal::balanced));
  EXPECT_EQ(pick(version, Goal::space_bound)->moved_values, std::vector{less});
}

/// What values hide goes as soon as if they stood with their keys, and is no more to write.
TEST(Compaction, LevelsHaveTheSizeOfKeysAndValues) {
  const std::uint64_t small = 1u << 20, large = 100u << 20;
  TestVersion version;
  const std::uint64_t below = version.add_values(2 * large).number(),
                      above = version.add_values(large).number();
  version.add({.level = bottom_level, .last = all_keys, .bytes = 2 * small, .uses = {{below, 2 * large}}});
  EXPECT_EQ(LevelSizes(*version, shape_of(Goal::balanced)).bytes(bottom_level), 2 * (small + large));
  EXPECT_FALSE(pick(version, Goal::balanced));
  version.add({.level = 3, .last = all_keys, .bytes = small, .uses = {{above, large}}});
  const auto job = pick(version, Goal::balanced);
  ASSERT_TRUE(job);
  EXPECT_EQ(job->output_level, bottom_level);
  const std::uint64_t debt = LevelSizes(*version, shape_of(Goal::balanced)).debt_bytes();
  // A quarter of the bottom may be above it: half of what is there. Each byte more meets four of the bottom.
  EXPECT_GE(debt, 5 * small / 2 - 10);
  EXPECT_LE(debt, 5 * small / 2);
}

}  // namespace
}  // namespace ashlar::lsm
