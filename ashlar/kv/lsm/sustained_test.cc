/// Writes that never end, on a simulated disk of a given speed: writers are slowed, evenly and never for
/// long, and what they overwrite gives its space back. Time is the simulation's.

#include <gtest/gtest.h>

#include "ashlar/base/random.h"
#include "ashlar/kv/lsm/test_partition.h"
#include "ashlar/kv/lsm/test_seed.h"
#include "ashlar/runtime/ops/file.h"
#include "ashlar/runtime/ops/sim/world.h"
#include "ashlar/runtime/sync/scope.h"
#include "ashlar/runtime/sync/sleep.h"

namespace ashlar::lsm {
namespace {

using kv::Durability;
using std::chrono::milliseconds;
using std::chrono::seconds;

struct Load {
  unsigned writers = 64;
  std::uint64_t keys = 4'000;
  std::uint32_t value_bytes = 4000;
  Duration lasts = seconds(10);
};

struct Outcome {
  Duration longest{};  // that the engine made a write wait which the log had made durable
  std::uint64_t writes = 0;
  kv::PartitionStats stats;
  std::uint64_t live_keys = 0;
  std::uint64_t most_bytes = 0;  // of the disk, at any time
};

LsmOptions options_for(Goal goal) {
  LsmOptions options;
  options.goal = goal;
  options.memtable_bytes = 4u << 20;
  options.level1_bytes = 8u << 20;
  options.table_bytes = 1u << 20;
  options.level0_tables = 4;
  options.level0_tables_max = 6;
  options.background_bytes = background_bytes_min;
  options.table.block_bytes = 4096;
  options.log.segment_bytes = 16u << 20;
  options.directory.reserve_bytes = 1u << 20;
  return options;
}

class SustainedTest : public ::testing::Test {
 protected:
  Outcome run(const LsmOptions& options, const Load& load, std::uint64_t disk_bytes_per_second) {
    sim::Disk disk;
    sim::World world({.environment = {.seed = test_seed(), .disk_bytes_per_second = disk_bytes_per_second},
                      .turns_max = 500'000'000},
                     disk);
    Outcome outcome;
    world.spawn(0, world.on(0, [&] { return life(&options, &load, &outcome); }));
    EXPECT_EQ(world.run_to_end(), sim::World::Outcome::done) << world.report();
    return outcome;
  }

 private:
  static Task<> life(const LsmOptions* options, const Load* load, Outcome* outcome) {
    EXPECT_TRUE(Shard::current().backend().make_directory("/data"));
    EXPECT_TRUE(co_await create_partition("/data", *options, 7));
    ShardContext context(*options, 1u << 20);
    auto opened = co_await open_partition("/data", *options, context, 7);
    EXPECT_TRUE(opened);
    if (!opened) co_return;
    LsmPartition& partition = **opened;
    TaskScope scope(nullptr);
    for (unsigned writer = 0; writer < load->writers; ++writer)
      scope.spawn(write(&partition, load, outcome, writer));
    co_await scope.join();
    EXPECT_TRUE(co_await partition.flush());
    EXPECT_TRUE(co_await partition.settle_compaction());
    outcome->stats = partition.stats();
    {
      const auto cursor = partition.scan({});
      while (true) {
        const auto more = co_await cursor->next();
        EXPECT_TRUE(more);
        if (!more || !*more) break;
        ++outcome->live_keys;
      }
    }
    EXPECT_TRUE(co_await partition.close());
    opened->reset();
  }
  static Task<> write(LsmPartition* partition, const Load* load, Outcome* outcome, std::uint64_t writer) {
    Random random(writer);
    const std::string value(load->value_bytes, 'v');
    Shard& shard = Shard::current();
    const Instant end = shard.now() + load->lasts;
    while (shard.now() < end) {
      const StoredKey key("key" + std::to_string(random.below(load->keys)));
      const auto ticket = partition->append({.key = &key, .value = as_bytes(value)});
      EXPECT_TRUE(ticket) << ticket.error().to_string();
      if (!ticket) co_return;
      const kv::Ticket logged(*partition, ticket->sequence(), Durability::durable, false);
      EXPECT_TRUE(co_await logged);
      const Instant durable = shard.now();
      EXPECT_TRUE(co_await *ticket);
      outcome->longest = std::max(outcome->longest, shard.now() - durable);
      if (const auto space = shard.backend().space("/data"))
        outcome->most_bytes = std::max(outcome->most_bytes, space->total_bytes - space->free_bytes);
      ++outcome->writes;
    }
  }
};

/// Writers would like to write as fast as the log takes it, the disk has compaction to do as well: none waits
/// for long, and nobody is stopped.
TEST_F(SustainedTest, NoWriterWaitsLongForTheEngine) {
  for (const Goal goal : {Goal::balanced, Goal::read_heavy}) {
    SCOPED_TRACE(static_cast<unsigned>(goal));
    const Outcome outcome = run(options_for(goal), {}, 30'000'000);
    EXPECT_GT(outcome.writes, 1000u);
    EXPECT_GT(outcome.stats.delayed_writes, 100u);
    EXPECT_EQ(outcome.stats.stalls, 0u);
    EXPECT_LE(outcome.longest, milliseconds(101));
    EXPECT_GT(outcome.stats.longest_delay_ns, 1'000'000u);
    EXPECT_LE(outcome.stats.longest_delay_ns, 101'000'000u);
    EXPECT_LE(outcome.stats.table_entries, outcome.live_keys * 5 / 2);
    std::printf("goal %u: %.1f MB/s, longest wait %.1f ms, write amplification %.1f, %llu delayed\n",
                static_cast<unsigned>(goal), static_cast<double>(outcome.stats.write_bytes) / 10e6,
                std::chrono::duration<double, std::milli>(outcome.longest).count(),
                outcome.stats.write_amplification(),
                static_cast<unsigned long long>(outcome.stats.delayed_writes));
  }
}

/// Where the bottom is rewritten slice by slice, little of it stands twice; writes are no more for it.
TEST_F(SustainedTest, SlicesTakeLessSpaceThanTheWhole) {
  LsmOptions sliced = options_for(Goal::balanced);
  sliced.memtable_bytes = 1u << 20;
  sliced.log.segment_bytes = 1u << 20;
  sliced.level0_tables_max = 12;
  LsmOptions whole = sliced;
  whole.table_bytes = 64u << 20;
  const Load load{.writers = 16, .keys = 12'000, .value_bytes = 1000, .lasts = seconds(20)};
  const Outcome of_slices = run(sliced, load, 30'000'000), of_whole = run(whole, load, 30'000'000);
  for (const Outcome* outcome : {&of_slices, &of_whole}) {
    EXPECT_GT(outcome->live_keys, load.keys * 9 / 10);
    EXPECT_EQ(outcome->stats.stalls, 0u);
    std::printf("%llu writes, write amplification %.2f, at most %.2f times what is alive\n",
                static_cast<unsigned long long>(outcome->writes), outcome->stats.write_amplification(),
                static_cast<double>(outcome->most_bytes) / static_cast<double>(load.keys * load.value_bytes));
  }
  EXPECT_LT(of_slices.most_bytes * 5, of_whole.most_bytes * 4);
  EXPECT_LT(of_slices.stats.write_amplification(), of_whole.stats.write_amplification() * 1.1);
}

/// Values that stand in tables of their own, overwritten at random for long: each is written in the log, by
/// its flush, and now and then once more.
TEST_F(SustainedTest, LargeValuesAreHardlyRewrittenAndGiveTheirSpaceBack) {
  for (const Goal goal : {Goal::balanced, Goal::read_heavy}) {
    SCOPED_TRACE(static_cast<unsigned>(goal));
    const Load load{.writers = 16, .keys = 1'500, .value_bytes = 8000};
    const Outcome outcome = run(options_for(goal), load, 60'000'000);
    EXPECT_GT(outcome.writes, 2 * load.keys);
    EXPECT_EQ(outcome.live_keys, load.keys);
    EXPECT_EQ(outcome.stats.stalls, 0u);
    EXPECT_LE(outcome.longest, milliseconds(101));
    EXPECT_GT(outcome.stats.moved_value_bytes, 0u);
    EXPECT_LE(outcome.stats.write_amplification(), 3.2);
    EXPECT_LE(outcome.stats.value_table_bytes, 3 * outcome.live_keys * load.value_bytes);
    std::printf("goal %u: %llu writes, write amplification %.2f, %.1f times what is alive\n",
                static_cast<unsigned>(goal), static_cast<unsigned long long>(outcome.writes),
                outcome.stats.write_amplification(),
                static_cast<double>(outcome.stats.value_table_bytes) /
                    static_cast<double>(outcome.live_keys * load.value_bytes));
  }
}

}  // namespace
}  // namespace ashlar::lsm
