#pragma once

/// A snapshot of every partition, each kept on its shard.

#include <memory>
#include <optional>
#include <vector>

#include "ashlar/embed/engine.h"
#include "ashlar/embed/snapshot.h"

namespace ashlar::embed {

/// Thread safety: take() by one thread, then read-only but for what belongs to the shards.
class SnapshotState {
 public:
  explicit SnapshotState(std::shared_ptr<Engine> engine) noexcept : engine_(std::move(engine)) {}
  SnapshotState(const SnapshotState&) = delete;
  SnapshotState& operator=(const SnapshotState&) = delete;
  ~SnapshotState();

  static Result<Snapshot> take(std::shared_ptr<Engine> engine);

  /// On the partition's shard.
  const kv::Snapshot& of(kv::PartitionId id) const noexcept { return *guests_[id.value]->view; }
  static const SnapshotState& of(const Snapshot& snapshot) noexcept { return *snapshot.state_; }

 private:
  struct PartitionView final : Guest {
    std::optional<kv::Snapshot> view;
    void release() noexcept override { view.reset(); }
  };
  Task<Result<>> open(kv::PartitionId id);

  const std::shared_ptr<Engine> engine_;
  std::vector<std::shared_ptr<PartitionView>> guests_;  // by partition
};

/// On the partition's shard: the options as its engine takes them.
inline kv::ReadOptions partition_options(const ReadOptions& options, kv::PartitionId id) noexcept {
  return {.durability = options.durability,
          .snapshot = options.snapshot != nullptr ? &SnapshotState::of(*options.snapshot).of(id) : nullptr};
}

}  // namespace ashlar::embed
