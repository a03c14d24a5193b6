#pragma once

/// A plan by tasks on Ashlar's shards: how a program that is built on the runtime uses the engine.

#include <functional>
#include <optional>
#include <string>

#include "ashlar/base/result.h"
#include "ashlar/kv/lsm/store.h"
#include "bench/kv/meter.h"
#include "bench/kv/plan.h"

namespace ashlar::bench {

struct AshlarSetup {
  lsm::LsmOptions engine = {};
  /// Keys in their order, as peers have them: a range for each shard. Else by hash, as servers of Redis have
  /// it.
  bool ordered = true;
  std::optional<Duration> spin =
      {};  ///< how long an idle shard polls before it sleeps; none: the runtime's default

  /// Of so many shards, those that serve: they come first.
  unsigned serving(unsigned shards) const noexcept {
    return shards - static_cast<unsigned>(engine.background_shards);
  }
};

/// Opens the store of so many keys in `directory` on so many shards, runs `work` on the first shard, closes
/// the store. The calling thread's cores are the shards'.
Result<> with_store(const std::string& directory, const AshlarSetup& setup, unsigned shards,
                    std::uint64_t keys, const std::function<Task<Result<>>(lsm::LsmStore&)>& work);

/// plan.workers tasks, dealt out to the shards. A shard's own keys are read and written in place; others' are
/// read by peeking where memory has them, else on their shard.
Result<Outcome> run_by_tasks(const std::string& directory, const AshlarSetup& setup, const Plan& plan,
                             Meter& meter);

/// Everything of the store is in tables; waits for compactions that are due where `compact`.
Task<Result<>> settle_store(lsm::LsmStore& store, bool compact);

}  // namespace ashlar::bench
