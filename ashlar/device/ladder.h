#pragma once

/// The ladder of a path: each way to reach it, fastest first, with "works" or "would work if …", and the one
/// to take. `auto:` climbs it, `ashlar doctor` prints it.
///
///   const Machine machine = Machine::here();
///   const auto site = co_await look_at(machine, "/dev/nvme0n1", shards);
///   for (const LadderStep& step : (co_await climb(*site, Goal::latency, standard_registry())).steps) …

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "ashlar/block/registry.h"
#include "ashlar/device/rungs.h"

namespace ashlar {

/// A rung, as it is for one path on one machine.
struct LadderStep {
  enum class State : std::uint8_t {
    works,       ///< it was opened, and a block was read
    untried,     ///< nothing is missing; nobody tried, because a faster one works
    would_work,  ///< something is missing that can be supplied: verdict.needs
    failed,      ///< nothing seemed to be missing, and yet: `outcome`
    not_built,   ///< this build has no such kind of device
    never,       ///< not for this path: verdict.never
  };
  const Rung* rung = nullptr;
  std::string spec;  ///< what opens it: "uring:/dev/sda?direct"
  State state = State::untried;
  RungVerdict verdict;
  std::string outcome;  ///< failed: why
  Errc code = Errc::unsupported;

  /// Why it is so, in one line: facts, what is missing with its remedy, or the error.
  std::string reason() const;
};
const char* to_string(LadderStep::State state) noexcept;

struct Ladder {
  static constexpr std::size_t none = ~std::size_t{0};

  std::string path;
  Goal goal = Goal::latency;
  std::vector<LadderStep> steps;  ///< fastest first
  std::size_t chosen = none;

  /// Why not a faster one: a line for each rung above the chosen one, or for each where none is.
  std::vector<std::string> reasons() const;
};

/// Looks at a path and the machine; opens the path for reading, and changes nothing. The message of an error
/// says what to do. `machine` outlives the site.
Task<SpecResult<Site>> look_at(const Machine& machine, std::string path, unsigned shards);

/// Judges each rung of a goal without touching the path.
Ladder judge(const Site& site, Goal goal, const Registry& kinds);

/// Opens a step with further options ("readonly"), as far as its kind has them, and reads its first block.
/// Sets its state; null where it does not work.
Task<std::unique_ptr<Device>> try_step(LadderStep& step, const Site& site, const Registry& kinds,
                                       std::vector<std::string> options);

/// Judges, then tries every rung from which nothing is missing, for reading only, and closes it again.
Task<Ladder> climb(const Site& site, Goal goal, const Registry& kinds);

/// auto:PATH?for=GOAL, which takes the rung that the ladder chooses, with the reasons in Device::notes().
DeviceKind auto_kind(const Registry& (*kinds)());

}  // namespace ashlar
