#pragma once

/// A snapshot of the whole database: one number of the store's clock, kept on one shard.

#include <memory>
#include <optional>

#include "ashlar/embed/engine.h"
#include "ashlar/embed/snapshot.h"

namespace ashlar::embed {

/// Thread safety: take() by one thread, then read-only. Reads on every shard refer to it.
class SnapshotState {
 public:
  explicit SnapshotState(std::shared_ptr<Engine> engine) noexcept
      : engine_(std::move(engine)), guest_(std::make_shared<View>()) {}
  SnapshotState(const SnapshotState&) = delete;
  SnapshotState& operator=(const SnapshotState&) = delete;
  ~SnapshotState();

  static Result<Snapshot> take(std::shared_ptr<Engine> engine);

  /// On a shard, while the database is open.
  static const kv::Snapshot& of(const Snapshot& snapshot) noexcept { return *snapshot.state_->guest_->view; }

 private:
  struct View final : Guest {
    std::optional<kv::Snapshot> view;
    void release() noexcept override { view.reset(); }
  };
  Task<Result<>> open();

  const std::shared_ptr<Engine> engine_;
  std::shared_ptr<View> guest_;
};

/// On a shard: the options as its engine takes them.
inline kv::ReadOptions engine_options(const ReadOptions& options, Cost& cost) noexcept {
  return {.durability = options.durability,
          .snapshot = options.snapshot != nullptr ? &SnapshotState::of(*options.snapshot) : nullptr,
          .deadline = instant_of(options.deadline),
          .fill_cache = options.fill_cache,
          .receipt = cost.on_shard()};
}

}  // namespace ashlar::embed
