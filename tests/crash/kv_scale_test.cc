/// Power cuts by the thousand: machines with random options, few keys and tiny memtables and tables, so that
/// a life is short and flush, compaction and the manifest are never far. Each case is a test of its own, runs
/// until it has its share, and is replayed by ASHLAR_SEED, which it prints. ASHLAR_SCALE is how much of the
/// whole is done, in percent.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "tests/crash/kv_machine.h"

namespace ashlar::crash {
namespace {

// The whole, which CI runs; without ASHLAR_SCALE a part of it that ends in seconds.
constexpr std::uint64_t operations_of_all = 1'000'000;
constexpr std::uint64_t cuts_of_all = 10'000;
constexpr std::uint64_t shares = 10;
constexpr std::uint64_t percent_of_a_usual_run = 10;

std::uint64_t percent() {
  const char* given = std::getenv("ASHLAR_SCALE");
  return given != nullptr ? std::strtoull(given, nullptr, 0) : percent_of_a_usual_run;
}

struct Done {
  std::uint64_t machines = 0, lives = 0, cuts = 0, operations = 0, transactions = 0, copies = 0, drops = 0,
                moved_bytes = 0;
};

/// Nearly every life is cut, at any of the operations that it might do.
Fate draw_cut(Random& random, unsigned rounds) {
  Fate fate = draw_fate(random, 60 + std::uint64_t{rounds} * 5);
  fate.kill = fate.kill && random.one_in(2);
  return fate;
}

class KvScale : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(KvScale, NothingIsLostThroughThousandsOfPowerCuts) {
  Random random(base_seed() + GetParam());
  Coverage coverage;
  Done done;
  const std::uint64_t cuts = cuts_of_all * percent() / 100 / shares;
  const std::uint64_t operations = operations_of_all * percent() / 100 / shares;
  while (done.cuts < cuts || done.operations < operations || done.copies == 0 || done.drops == 0 ||
         done.moved_bytes == 0) {
    const std::uint64_t seed = random.next();
    SCOPED_TRACE("machine " + std::to_string(done.machines) + ", seed " + std::to_string(seed));
    Machine machine(seed, {.partitions = 1 + seed % 3,
                           .keys = 6 + seed % 12,
                           .redraw_options = true,
                           .memtable_kib = 8,
                           .copy_one_in = 10});
    ++done.machines;
    for (int i = 0; i < 40; ++i) {
      const auto rounds = static_cast<unsigned>(machine.random.between(2, 24));
      const Ended ended =
          live(machine, i == 39 ? Fate{} : draw_cut(machine.random, rounds), rounds, coverage);
      ASSERT_TRUE(ended.right);
      ++done.lives;
      done.cuts += ended.cut ? 1 : 0;
      done.operations += ended.operations;
      done.transactions += ended.transactions;
      done.copies += ended.copies;
      done.drops += ended.drops;
      done.moved_bytes += ended.moved_bytes;
    }
  }
  fmt::print(
      "{} machines, {} lives, {} power cuts, {} operations, {} transactions over partitions, {} copies, {} "
      "families dropped, {} bytes of values moved out of garbage\n{}",
      done.machines, done.lives, done.cuts, done.operations, done.transactions, done.copies, done.drops,
      done.moved_bytes, coverage.table());
  EXPECT_GE(done.cuts, cuts);
  EXPECT_GE(done.operations, operations);
  EXPECT_GT(done.transactions, 0u);
  EXPECT_GT(done.copies, 0u);
  EXPECT_GT(done.drops, 0u);
  EXPECT_GT(done.moved_bytes, 0u);
}

INSTANTIATE_TEST_SUITE_P(Share, KvScale, ::testing::Range(std::uint64_t{0}, shares));

}  // namespace
}  // namespace ashlar::crash
