#pragma once

/// Shards that take parts of compactions from those whose partitions they are: such as are set aside for it,
/// or else such as have little to do.

#include <atomic>
#include <memory>
#include <optional>
#include <utility>

#include "ashlar/runtime/shard/shard.h"
#include "ashlar/runtime/task/task.h"

namespace ashlar::lsm {

/// A part's place on a shard; given back when destroyed. Move-only.
class [[nodiscard]] HelpTurn {
 public:
  HelpTurn(ShardId shard, std::atomic<unsigned>& parts) noexcept : shard_(shard), parts_(&parts) {}
  HelpTurn(HelpTurn&& other) noexcept : shard_(other.shard_), parts_(std::exchange(other.parts_, nullptr)) {}
  HelpTurn& operator=(HelpTurn&&) = delete;
  ~HelpTurn() {
    if (parts_ != nullptr) parts_->fetch_sub(1, std::memory_order_relaxed);
  }
  ShardId shard() const noexcept { return shard_; }

 private:
  ShardId shard_;
  std::atomic<unsigned>* parts_;
};

/// One for a store. Thread safety: any shard. Where shards are set aside, nobody else helps: all parts are
/// worked on there, and those who serve stay free.
class Helpers {
 public:
  /// Nobody helps.
  Helpers() = default;
  /// Shards from 0 to `serving` − 1 have partitions, of which the first `idle` may help where they are idle;
  /// the `set_aside` that follow do nothing else.
  Helpers(unsigned serving, unsigned set_aside, unsigned idle);

  /// On a shard that serves, once: its time is measured from here on.
  void measure() noexcept { (void)records_[Shard::current().id().value].is_idle(); }

  unsigned set_aside() const noexcept { return set_aside_; }
  /// Whether there may be others than this shard who help it.
  bool any(ShardId self) const noexcept { return set_aside_ != 0 || idle_ > (self.value < idle_ ? 1u : 0u); }
  /// The one set aside that has the fewest parts. There is one.
  HelpTurn take_set_aside() noexcept;
  /// The same, where it has fewer than two: each takes several MiB while it is worked on.
  std::optional<HelpTurn> take_free_set_aside() noexcept;
  /// A shard with little to do that has no part, and is not this one.
  Task<std::optional<HelpTurn>> take_idle();
  /// Whether whoever has this turn may have another part: as long as it has time.
  Task<bool> goes_on(const HelpTurn& turn);

 private:
  /// A shard's; but for `parts`, on that shard only.
  struct alignas(64) Record {
    std::atomic<unsigned> parts{0};
    Instant since{};
    std::uint64_t busy_ns = 0;  // of the shard, then
    double busy = 0;            // share of its time before that, compactions left out

    bool is_idle() noexcept;
  };

  unsigned least_of_set_aside() const noexcept;

  unsigned serving_ = 0, set_aside_ = 0, idle_ = 0;
  std::unique_ptr<Record[]> records_;
};

}  // namespace ashlar::lsm
