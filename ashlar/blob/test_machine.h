#pragma once

/// A simulated machine for tests: boots on one disk again and again, loses power, and is killed.

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "ashlar/runtime/ops/sim/world.h"

namespace ashlar::testing {

class Machine {
 public:
  explicit Machine(std::uint64_t seed = 1) : seeds_(seed) {}

  using Main = std::function<Task<Result<>>()>;
  using Prepare = std::function<void(sim::World&)>;

  /// Boots, runs `main` on a shard, and returns what it returned when nothing is left to run. `prepare` may
  /// set faults.
  Result<> run(const Main& main, const Prepare& prepare = {}) {
    sim::World world({.environment = {.seed = seeds_.next()}}, disk);
    if (prepare) prepare(world);
    std::optional<Result<>> result;
    world.spawn(0, world.on(0, [&] { return keep(main(), &result); }));
    EXPECT_EQ(world.run_to_end(), sim::World::Outcome::done) << world.report();
    changing_operations = world.faults().changing_operations();
    powered = world.environment().powered();
    for (const auto& [label, count] : world.faults().cuts()) cuts[label] += count;
    for (const auto& [label, count] : world.faults().operations()) operations[label] += count;
    return result ? *result : fail(Errc::cancelled, "machine");
  }

  sim::Disk disk;
  std::uint64_t changing_operations = 0;                  ///< of the last run
  bool powered = true;                                    ///< at the end of the last run
  std::map<std::string, std::uint64_t> cuts, operations;  ///< of all runs, by label

 private:
  static Task<> keep(Task<Result<>> main, std::optional<Result<>>* into) { into->emplace(co_await main); }

  Random seeds_;
};

}  // namespace ashlar::testing
