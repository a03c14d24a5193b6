#include "ashlar/embed/snapshot.h"

#include "ashlar/embed/snapshot_state.h"

namespace ashlar {

Snapshot::Snapshot(std::shared_ptr<embed::SnapshotState> state) noexcept : state_(std::move(state)) {}
Snapshot::Snapshot(Snapshot&&) noexcept = default;
Snapshot& Snapshot::operator=(Snapshot&&) noexcept = default;
Snapshot::~Snapshot() = default;

namespace embed {

SnapshotState::~SnapshotState() {
  engine_->leave(Engine::store_shard, std::move(guest_));
}

Task<Result<>> SnapshotState::open() {
  guest_->view.emplace(engine_->open_store().clock());
  engine_->port(Engine::store_shard).enter(*guest_);
  co_return Result<>();
}

Result<Snapshot> SnapshotState::take(std::shared_ptr<Engine> engine) {
  auto state = std::make_shared<SnapshotState>(engine);
  TRY(engine->run(Engine::store_shard, [&] { return state->open(); }));
  return Snapshot(std::move(state));
}

}  // namespace embed
}  // namespace ashlar
