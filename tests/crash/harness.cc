#include "tests/crash/harness.h"

#include <fmt/format.h>

#include <cstdlib>
#include <random>

namespace ashlar::crash {

std::uint64_t base_seed() {
  static const std::uint64_t seed = [] {
    const char* given = std::getenv("ASHLAR_SEED");
    const std::uint64_t value = given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
    fmt::print("ASHLAR_SEED={}\n", value);
    return value;
  }();
  return seed;
}

Budget::Budget(std::uint64_t lives_min, double seconds) : lives_min_(lives_min) {
  if (const char* given = std::getenv("ASHLAR_CRASH_SECONDS")) seconds = std::strtod(given, nullptr);
  end_ = std::chrono::steady_clock::now() +
         std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(seconds));
}

bool Budget::more() {
  return lives_++ < lives_min_ || std::chrono::steady_clock::now() < end_;
}

void Coverage::add(const sim::Faults& faults) {
  for (const auto& [label, count] : faults.operations()) counts_[label].ran += count;
  for (const auto& [label, count] : faults.cuts()) counts_[label].cut += count;
  for (const auto& [label, count] : faults.failures()) counts_[label].failed += count;
  if (!faults.cuts().empty()) ++cut_worlds_;
}

std::vector<std::string> Coverage::without(std::uint64_t Count::* number) const {
  std::vector<std::string> labels;
  for (const auto& [label, count] : counts_) {
    if (count.*number == 0) labels.push_back(label);
  }
  return labels;
}

std::vector<std::string> Coverage::labels() const {
  std::vector<std::string> all;
  for (const auto& [label, count] : counts_) all.push_back(label);
  return all;
}

std::string Coverage::table() const {
  std::string text = fmt::format("{} power cuts\n", cut_worlds_);
  for (const auto& [label, count] : counts_)
    text += fmt::format("  {:40} {:8} ran {:6} cut {:6} failed\n", label, count.ran, count.cut, count.failed);
  return text;
}

Fate draw_fate(Random& random, std::uint64_t operations) {
  using Cut = sim::FileVerdict::Cut;
  Fate fate;
  if (!random.one_in(10)) {
    fate.cut_at = random.between(1, operations);
    fate.when = random.one_in(2) ? Cut::before : Cut::after;
    fate.kill = random.one_in(6);
  }
  if (random.one_in(4)) fate.chances.fail_one_in = static_cast<std::uint32_t>(random.skewed(8, 1000));
  if (random.one_in(4)) fate.chances.slow_one_in = static_cast<std::uint32_t>(random.skewed(2, 100));
  return fate;
}

std::string describe(const Fate& fate) {
  return fmt::format("{} {} operation {} {}, failing one in {} {}, slow one in {}",
                     fate.kill ? "kill" : "cut",
                     fate.when == sim::FileVerdict::Cut::before ? "before" : "after", fate.cut_at,
                     fate.cut_label, fate.chances.fail_one_in, fate.fail_label, fate.chances.slow_one_in);
}

void apply(const Fate& fate, sim::Faults& faults) {
  if (!fate.cut_label.empty()) {
    faults.cut_at(fate.cut_label, fate.cut_at, fate.when, fate.kill);
  } else if (fate.cut_at != 0) {
    faults.cut_at(fate.cut_at, fate.when, fate.kill);
  }
  if (!fate.fail_label.empty()) faults.fail_at(fate.fail_label, 1, fate.error);
  faults.set_chances(fate.chances);
}

}  // namespace ashlar::crash
