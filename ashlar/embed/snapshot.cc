#include "ashlar/embed/snapshot.h"

#include "ashlar/embed/snapshot_state.h"

namespace ashlar {

Snapshot::Snapshot(std::shared_ptr<embed::SnapshotState> state) noexcept : state_(std::move(state)) {}
Snapshot::Snapshot(Snapshot&&) noexcept = default;
Snapshot& Snapshot::operator=(Snapshot&&) noexcept = default;
Snapshot::~Snapshot() = default;

namespace embed {

SnapshotState::~SnapshotState() {
  for (std::uint16_t i = 0; i < guests_.size(); ++i)
    engine_->leave(engine_->home_of(kv::PartitionId{i}), std::move(guests_[i]));
}

Task<Result<>> SnapshotState::open(kv::PartitionId id) {
  PartitionView& guest = *guests_[id.value];
  guest.view.emplace(engine_->open_store().partition(id));
  engine_->port(engine_->home_of(id)).enter(guest);
  co_return Result<>();
}

Result<Snapshot> SnapshotState::take(std::shared_ptr<Engine> engine) {
  auto state = std::make_shared<SnapshotState>(engine);
  for (std::uint16_t i = 0; i < engine->partitioner().partitions(); ++i) {
    const kv::PartitionId id{i};
    state->guests_.push_back(std::make_shared<PartitionView>());
    TRY(engine->run(engine->home_of(id), [&] { return state->open(id); }));
  }
  return Snapshot(std::move(state));
}

}  // namespace embed
}  // namespace ashlar
