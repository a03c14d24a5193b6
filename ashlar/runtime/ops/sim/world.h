#pragma once

/// Many shards in one thread under virtual time, on simulated disk and network. The same seed gives the same
/// run.
///
///   sim::Disk disk;
///   sim::World world({.shards = 3, .environment = {.seed = 7}}, disk);
///   world.spawn(0, serve());
///   ASSERT_EQ(world.run_until([&] { return served; }), sim::World::Outcome::done) << world.report();
///   world.environment().cut_power();
///   ASSERT_EQ(world.run_to_end(), sim::World::Outcome::done) << world.report();   // every task unwinds
///
/// and then another world on the same disk.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ashlar/runtime/mesh/mesh.h"
#include "ashlar/runtime/ops/sim/environment.h"
#include "ashlar/runtime/ops/sim/sim_backend.h"
#include "ashlar/runtime/shard/shard.h"
#include "ashlar/runtime/task/task.h"

namespace ashlar::sim {

struct WorldOptions {
  unsigned shards = 1;
  EnvironmentOptions environment{};
  ShardOptions shard{};
  std::vector<unsigned> hosts{};  ///< by shard; host 0 where it is not given
  std::uint64_t turns_max =
      50'000'000;  ///< of all shards, of all runs; beyond, the world is taken to be live-locked
  Duration time_max = std::chrono::hours(24);  ///< virtual time, likewise
};

/// Owner: one thread, on which no other shard runs. Lifecycle: when it is destroyed, every task must have
/// ended (run_to_end()). The disk outlives it.
class World {
 public:
  World(const WorldOptions& options, Disk& disk);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  enum class Outcome : std::uint8_t {
    done,
    deadlock,  ///< nothing can run and nothing will happen
    livelock,  ///< the limit of turns or time was reached
  };
  /// Runs shards, chosen by the seed, until `done`; lets time pass where all are idle.
  Outcome run_until(const std::function<bool()>& done);
  /// Runs until no task is left in any shard's own scope.
  Outcome run_to_end();
  /// What the world waits for, where it is stuck.
  std::string report() const;

  /// Starts a task in a shard's own scope.
  void spawn(unsigned shard, Task<void> task);
  /// Calls `call` as if on a shard, for what needs a current one: creating tasks from the shard's pool,
  /// cancelling.
  template <class Call>
  decltype(auto) on(unsigned shard, Call&& call) {
    const Entered entered(*shards_[shard]);
    return std::forward<Call>(call)();
  }
  void cancel_all();

  unsigned shard_count() const noexcept { return static_cast<unsigned>(shards_.size()); }
  Shard& shard(unsigned id) noexcept { return *shards_[id]; }
  Environment& environment() noexcept { return environment_; }
  Disk& disk() noexcept { return environment_.disk; }
  Faults& faults() noexcept { return environment_.faults; }
  Network& network() noexcept { return environment_.network; }
  Instant now() const noexcept { return environment_.events.time(); }
  /// Of every completed operation, its result and its time.
  std::uint64_t digest() const noexcept { return environment_.digest(); }

 private:
  class Entered {
   public:
    explicit Entered(Shard& shard) noexcept : previous_(Shard::enter(&shard)) {}
    ~Entered() { Shard::enter(previous_); }
    Entered(const Entered&) = delete;
    Entered& operator=(const Entered&) = delete;

   private:
    Shard* previous_;
  };

  bool turn();
  bool pass_time();

  WorldOptions options_;
  Environment environment_;
  Random schedule_;
  Mesh mesh_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::vector<SimBackend*> backends_;
  std::vector<unsigned> speed_;  // a shard that runs more often, and one that lags
  std::vector<unsigned> runnable_;
  std::uint64_t turns_ = 0;
};

}  // namespace ashlar::sim
