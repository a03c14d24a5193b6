#include "ashlar/runtime/ops/sim/environment.h"

#include <algorithm>

#include "ashlar/base/checksum.h"
#include "ashlar/runtime/ops/sim/sim_backend.h"

namespace ashlar::sim {

Environment::Environment(const EnvironmentOptions& chosen, Disk& on)
    : options(chosen),
      random(chosen.seed),
      disk(on),
      faults(random.next()),
      network(events, random.next(), chosen.network),
      digest_(chosen.seed) {}

void Environment::stop() {
  if (!powered_) return;
  powered_ = false;
  for (SimBackend* backend : backends_) backend->power_off();
  network.power_off();
}

void Environment::cut_power() {
  if (!powered_) return;
  stop();
  disk.crash(random.next());
}

void Environment::kill() {
  stop();
}

Duration Environment::disk_transfer(std::uint64_t bytes) noexcept {
  if (options.disk_bytes_per_second == 0) return {};
  const std::chrono::duration<double> takes(static_cast<double>(bytes) /
                                            static_cast<double>(options.disk_bytes_per_second));
  const Instant now = events.now();
  disk_free_at_ = std::max(disk_free_at_, now) + std::chrono::duration_cast<Duration>(takes);
  return disk_free_at_ - now;
}

std::uint64_t Environment::wall_ms() const noexcept {
  const auto passed =
      std::chrono::duration_cast<std::chrono::milliseconds>(events.now().time_since_epoch()).count();
  return options.wall_ms + static_cast<std::uint64_t>(passed + wall_step_ms_);
}

void Environment::trace(unsigned shard, OpCode code, std::int64_t result) noexcept {
  const std::int64_t words[] = {static_cast<std::int64_t>(shard), static_cast<std::int64_t>(code), result,
                                events.time().time_since_epoch().count()};
  digest_ = xxh3(std::as_bytes(std::span(words)), digest_);
}

}  // namespace ashlar::sim
