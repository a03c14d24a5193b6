/// Each step of flush and compaction fails in turn, or is the last one before the power goes: the job is
/// repeated or done again after the next start, and nothing is lost.

#include <gtest/gtest.h>

#include "ashlar/kv/lsm/store_testing.h"
#include "ashlar/runtime/sync/sleep.h"

namespace ashlar::lsm {
namespace {

using kv::PartitionId;
using std::chrono::seconds;

struct Step {
  OpCode code;
  const char* path_part;
};
/// Of a table: created, read back, written, cut to its size, synced, known to its directory; of others: gone.
constexpr Step steps[] = {{OpCode::open, ".table"},  {OpCode::read, ".table"},
                          {OpCode::write, ".table"}, {OpCode::resize, ".table"},
                          {OpCode::sync, ".table"},  {OpCode::sync_directory, "partition-"},
                          {OpCode::unlink, ".table"}};

constexpr int keys = 400;

class JobFaultsTest : public testing::StoreTest {
 protected:
  struct Shape {
    Goal goal;
    bool separate;           ///< values from keys
    unsigned set_aside = 0;  ///< shards, between which jobs are divided
  };
  static LsmOptions options(const Shape& shape) {
    LsmOptions options = testing::small_options();
    options.goal = shape.goal;
    options.background_shards = shape.set_aside;
    options.partitions = 1;
    options.memtable_bytes = 1u << 20;  // flushed when the test says so
    options.level0_tables = 1;
    options.level1_bytes = 32u << 10;
    options.table_bytes = 16u << 10;  // a merge writes several
    options.separate_bytes = shape.separate ? 50 : 0;
    return options;
  }
  Task<> put_all(LsmStore& store, std::string tag, int step) {
    for (int i = 0; i < keys; i += step)
      EXPECT_TRUE(co_await put(store, name(i), tag + std::string(100, 'v')));
  }
  Task<> expect_all(LsmStore& store) {
    for (int i = 0; i < keys; ++i) {
      const auto value = co_await get(store, name(i));
      EXPECT_TRUE(value && *value) << i;
      if (value && *value) EXPECT_EQ((*value)->front(), i % 3 == 0 ? 'c' : i % 2 == 0 ? 'b' : 'a') << i;
    }
  }
  /// Until it works: what failed is repeated.
  static Task<> until_done(LsmPartition& partition) {
    for (int attempt = 0; attempt < 20; ++attempt) {
      if (co_await partition.flush() && co_await partition.settle_compaction()) co_return;
      (void)co_await sleep_for(seconds(2));
    }
    ADD_FAILURE() << "does not recover";
  }
  /// Three generations of keys, flushed and merged. Returns attempts that failed.
  Task<std::uint64_t> work(LsmStore& store, sim::FaultRule fault) {
    // The log's segments are in the same directory, but it makes none while nobody writes.
    const bool late = fault.code == OpCode::sync_directory;
    if (!late) world_->faults().add(fault);
    LsmPartition& partition = store.partition(PartitionId{0});
    co_await put_all(store, "a", 1);
    co_await until_done(partition);
    co_await put_all(store, "b", 2);
    co_await until_done(partition);
    co_await put_all(store, "c", 3);
    if (late) world_->faults().add(fault);
    co_await until_done(partition);
    (void)co_await sleep_for(seconds(1));
    world_->faults().clear();  // the test's own reads are none of them
    co_await expect_all(store);
    co_return partition.stats().failed_jobs;
  }
};

TEST_F(JobFaultsTest, AStepThatFailsIsRepeatedWithItsJob) {
  for (const Shape& shape :
       {Shape{Goal::balanced, false}, Shape{Goal::balanced, true}, Shape{Goal::read_heavy, false},
        Shape{Goal::space_bound, true}, Shape{Goal::balanced, false, 2}, Shape{Goal::balanced, true, 1}}) {
    for (const Step& step : steps) {
      std::uint64_t failed = 1;
      for (std::uint64_t nth = 1; failed != 0 && nth < 100; nth += 3) {
        SCOPED_TRACE(std::string(step.path_part) + ", operation " +
                     std::to_string(static_cast<int>(step.code)) + ", number " + std::to_string(nth));
        disk_ = sim::Disk();
        EXPECT_TRUE(with_store(1, options(shape), [&](LsmStore& store) -> Task<> {
          failed = co_await work(
              store, {.code = step.code, .path_part = step.path_part, .nth = nth, .verdict = {.error = EIO}});
        }));
        // A file that cannot be removed is removed later, and fails no job.
        if (nth == 1) EXPECT_EQ(failed != 0, step.code != OpCode::unlink);
        EXPECT_TRUE(with_store(1, options(shape), [&](LsmStore& store) -> Task<> {
          co_await expect_all(store);
          EXPECT_EQ(store.partition(PartitionId{0}).stats().failed_jobs, 0u);
        }));
        if (HasFailure()) return;
      }
    }
  }
}

TEST_F(JobFaultsTest, AfterAPowerCutAtAnyStepNothingIsMissing) {
  for (const Shape& shape :
       {Shape{Goal::balanced, true}, Shape{Goal::write_heavy, false}, Shape{Goal::balanced, true, 2}}) {
    for (const Step& step : steps) {
      bool cut = true;
      for (std::uint64_t nth = 1; cut && nth < 100; nth += 3) {
        const auto when = nth % 2 == 0 ? sim::FileVerdict::Cut::before : sim::FileVerdict::Cut::after;
        SCOPED_TRACE(std::string(step.path_part) + ", operation " +
                     std::to_string(static_cast<int>(step.code)) + ", number " + std::to_string(nth));
        disk_ = sim::Disk();
        ASSERT_TRUE(with_store(1, options(shape), [&](LsmStore& store) -> Task<> {
          LsmPartition& partition = store.partition(PartitionId{0});
          co_await put_all(store, "a", 1);
          co_await until_done(partition);
          co_await put_all(store, "b", 2);
          co_await until_done(partition);
          co_await put_all(store, "c", 3);
        }));
        (void)with_store(1, options(shape), [&](LsmStore& store) -> Task<> {
          world_->faults().add(
              {.code = step.code, .path_part = step.path_part, .nth = nth, .verdict = {.cut = when}});
          LsmPartition& partition = store.partition(PartitionId{0});
          (void)(co_await partition.flush() && co_await partition.settle_compaction());
          (void)co_await sleep_for(seconds(1));
          cut = !world_->environment().powered();
        });
        if (nth == 1) EXPECT_TRUE(cut);
        EXPECT_TRUE(with_store(1, options(shape), [&](LsmStore& store) -> Task<> {
          co_await expect_all(store);
          co_await until_done(store.partition(PartitionId{0}));
          co_await expect_all(store);
        }));
        if (HasFailure()) return;
      }
    }
  }
}

}  // namespace
}  // namespace ashlar::lsm
