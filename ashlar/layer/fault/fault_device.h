#pragma once

/// fault(DEV) — a device that fails as real ones do, by chance from a seed, and a switch for its power.
///
///   fault(ram:64MiB)?seed=7&read-error=1/1000&torn=1/500       errors, torn writes
///   fault(auto:/data/disk)?corrupt=1/10000&misdirected=1/5000    what checksums are for
///   fault(ram:64MiB)?cache=8MiB                                  a write cache, for tests that cut the power
///
/// A test holds the switch:
///
///   FaultDevice& faulty = *FaultDevice::of(*device);
///   CO_TRY(co_await faulty.cut_power());      // every request ends with an error; the cache is lost or torn
///   faulty.restore_power();                   // what is on the medium now is what recovery finds

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "ashlar/block/flush_failures.h"
#include "ashlar/block/layer.h"
#include "ashlar/block/registry.h"
#include "ashlar/layer/fault/fault_plan.h"
#include "ashlar/layer/fault/write_cache.h"

namespace ashlar {

DeviceKind fault_kind();

class FaultChannel;

/// Thread safety: as of Device; injected() and arm() on any shard, the rest of the public functions on the
/// home shard. The same seed and the same requests in the same order on a shard give the same faults. With a
/// cache, data passes through the home shard.
class FaultDevice final : public LayerDevice {
 public:
  /// The device itself, where it is one of these; else null.
  static FaultDevice* of(Device& device) noexcept { return dynamic_cast<FaultDevice*>(&device); }

  /// `below`: the child's channel on this shard.
  FaultDevice(const Spec& spec, DeviceKind::Children children, Channel& below, const FaultOptions& options,
              const FaultChances& chances);

  /// How often a fault was injected, on all shards.
  std::uint64_t injected(Fault fault) const noexcept {
    return counts_[static_cast<std::size_t>(fault)].load(std::memory_order_relaxed);
  }
  std::uint64_t injected() const noexcept;
  /// Whether chances count. Bad blocks and the power do not depend on it.
  void arm(bool armed) noexcept { armed_.store(armed, std::memory_order_relaxed); }

  /// The blocks cannot be read from now on, until they are written.
  void mark_bad(Lba lba, std::uint64_t blocks);

  /// Cuts the power: every request in flight, and every later one, fails with `io` (ENODEV). Each block that
  /// the cache held is left as any version that it had since it was last on the medium, by the seed. Ok once
  /// nothing is in flight below. An error of the medium, if that fails itself.
  Task<Result<>> cut_power();
  /// After it. What is read now survived.
  void restore_power() noexcept;
  bool powered() const noexcept { return (life() & 1) == 0; }
  /// Blocks that lost a version in all power cuts.
  std::uint64_t blocks_lost() const noexcept { return blocks_lost_; }
  /// Bytes in the cache.
  std::uint64_t cached_bytes() const noexcept { return cache_ ? cache_->bytes() : 0; }

 private:
  friend class FaultChannel;

  Task<Result<std::unique_ptr<Channel>>> open_channel() override;

  void count(Fault fault) noexcept {
    counts_[static_cast<std::size_t>(fault)].fetch_add(1, std::memory_order_relaxed);
  }
  /// Odd while the power is off. A request belongs to the life that it began in.
  std::uint64_t life() const noexcept { return life_.load(std::memory_order_acquire); }

  Task<> drain(std::size_t shard);  // on that shard

  // On the home shard.
  std::optional<Lba> first_bad(Lba lba, std::uint64_t blocks) const noexcept;
  void heal(Lba lba, std::uint64_t blocks);

  const FaultChances chances_;
  const Duration slow_by_;
  const std::uint64_t seed_;
  const ShardId home_;
  std::unique_ptr<WriteCache> cache_;
  Random random_;                        // of the power cuts
  std::vector<FaultChannel*> channels_;  // by shard, which alone touches its own
  std::atomic<bool> armed_;
  FlushFailures flush_failures_;
  std::atomic<std::uint64_t> life_{0};
  std::atomic<bool> any_bad_{false};
  std::map<std::uint64_t, std::uint64_t> bad_;  // first block → the one after the last; disjoint
  std::array<std::atomic<std::uint64_t>, fault_count> counts_{};
  std::uint64_t blocks_lost_ = 0;
};

}  // namespace ashlar
