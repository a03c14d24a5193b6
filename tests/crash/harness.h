#pragma once

/// What the power-cut tests share: the seed, the time they may take, and the count of which operations were
/// cut.

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ashlar/base/random.h"
#include "ashlar/runtime/ops/sim/world.h"

namespace ashlar::crash {

/// ASHLAR_SEED, or a fresh one; printed once, so that a failure replays.
std::uint64_t base_seed();

/// Bounds a randomised test: at least `lives_min` lives whatever they take, then until its share of
/// ASHLAR_CRASH_SECONDS (default: `seconds`) is used up.
class Budget {
 public:
  Budget(std::uint64_t lives_min, double seconds);
  bool more();
  std::uint64_t lives() const noexcept { return lives_; }

 private:
  std::uint64_t lives_min_;
  std::chrono::steady_clock::time_point end_;
  std::uint64_t lives_ = 0;
};

/// Which file operations ran, which had the power cut at them and which failed, over many worlds.
class Coverage {
 public:
  void add(const sim::Faults& faults);
  std::uint64_t cuts() const noexcept { return cut_worlds_; }
  /// Operations that ran and were never cut.
  std::vector<std::string> never_cut() const { return without(&Count::cut); }
  /// Operations that ran and never failed by themselves, with the power on.
  std::vector<std::string> never_failed() const { return without(&Count::failed); }
  std::vector<std::string> labels() const;
  bool cut(const std::string& label) const { return counts_.contains(label) && counts_.at(label).cut != 0; }
  bool failed(const std::string& label) const {
    return counts_.contains(label) && counts_.at(label).failed != 0;
  }
  /// One line per operation: how often it ran, was cut, and failed.
  std::string table() const;

 private:
  struct Count {
    std::uint64_t ran = 0;
    std::uint64_t cut = 0;
    std::uint64_t failed = 0;
  };
  std::vector<std::string> without(std::uint64_t Count::* number) const;

  std::map<std::string, Count> counts_;
  std::uint64_t cut_worlds_ = 0;
};

/// How one life of a machine ends.
struct Fate {
  std::uint64_t cut_at = 0;  ///< power goes at this changing operation; 0: the life ends in order
  std::string cut_label{};   ///< … counting those with this label only
  sim::FileVerdict::Cut when = sim::FileVerdict::Cut::before;
  bool kill = false;  ///< the process goes, and the power stays
  sim::FaultChances chances{};
  std::string fail_label{};  ///< the first operation with this label fails; empty: none
  int error = 0;             ///< … with this errno

  bool fails() const noexcept { return chances.fail_one_in != 0 || !fail_label.empty(); }
};
/// Mostly a power cut within the first `operations`; now and then failing operations, or an orderly end.
Fate draw_fate(Random& random, std::uint64_t operations);
std::string describe(const Fate& fate);
void apply(const Fate& fate, sim::Faults& faults);

}  // namespace ashlar::crash
