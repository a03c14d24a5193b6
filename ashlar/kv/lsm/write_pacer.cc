#include "ashlar/kv/lsm/write_pacer.h"

#include <algorithm>

namespace ashlar::lsm {

namespace {

constexpr double weight_of_latest = 0.25;
constexpr double rate_min = 64e3;  // at the largest pressure; wait_max bounds what it can do
constexpr double pressure_max = 0.999;

}  // namespace

void DrainRate::measured(std::uint64_t bytes, Duration took) noexcept {
  const double seconds = std::chrono::duration<double>(took).count();
  if (bytes == 0 || seconds <= 0) return;
  const double latest = static_cast<double>(bytes) / seconds;
  rate_ = known_ ? rate_ + weight_of_latest * (latest - rate_) : latest;
  known_ = true;
}

void WritePacer::set_pressure(Backlog backlog, double pressure) noexcept {
  double& current = pressures_[static_cast<std::size_t>(backlog)];
  if (pressure <= 0 && current == 0) return;  // as with nearly every write
  current = std::max(pressure, 0.0);
  rate_ = 0;
  for (std::size_t i = 0; i < pressures_.size(); ++i) {
    const double p = std::min(pressures_[i], pressure_max);
    if (p == 0) continue;
    const double rate = std::max(drains_[i].bytes_per_second() * (1 - p) / p, rate_min);
    rate_ = rate_ == 0 ? rate : std::min(rate_, rate);
  }
}

double WritePacer::pressure() const noexcept {
  return std::max(pressures_[0], pressures_[1]);
}

bool WritePacer::wrote(Sequence sequence, std::uint64_t bytes, Instant now) noexcept {
  paid_until_ = std::max(paid_until_, now);
  if (rate_ != 0) {
    const std::chrono::duration<double> takes(static_cast<double>(bytes) / rate_);
    if (takes >= wait_max) {
      paid_until_ = now + wait_max;
    } else {
      paid_until_ = std::min(paid_until_ + std::chrono::duration_cast<Duration>(takes), now + wait_max);
    }
  }
  if (held_ == 0 && paid_until_ < now + step) return false;  // not worth a timer yet
  if (held_ != 0) {
    const Slot& last = slots_[(first_ + held_ - 1) % slots_max];
    if (paid_until_ < last.due + step || held_ == slots_max) return true;  // goes with those before it
  }
  slots_[(first_ + held_++) % slots_max] = {.sequence = sequence, .since = now, .due = paid_until_};
  return true;
}

void WritePacer::release(Instant now) noexcept {
  while (held_ != 0 && slots_[first_].due <= now) {
    longest_wait_ = std::max(longest_wait_, now - slots_[first_].since);
    first_ = (first_ + 1) % slots_max;
    --held_;
  }
}

}  // namespace ashlar::lsm
