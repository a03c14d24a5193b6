#include "ashlar/block/device.h"

#include <utility>

#include "ashlar/block/layer.h"
#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/shard/shard.h"

namespace ashlar {

namespace {

ShardId shard_id(std::size_t index) noexcept {
  return ShardId(static_cast<unsigned>(index));
}

}  // namespace

Device::Device(std::string spec, const Geometry& geometry)
    : spec_(std::move(spec)), geometry_(geometry), blocks_(geometry.blocks), home_(Shard::current().id()) {
  slots_.resize(Shard::current().mesh().shard_count());
  for (auto& slot : slots_) slot = std::make_unique<Slot>();
}

Device::~Device() {
  for ([[maybe_unused]] const auto& slot : slots_)
    assert(slot->channel == nullptr && "close() the device first");
}

Geometry Device::geometry() const noexcept {
  Geometry now = geometry_;
  now.blocks = blocks_.load(std::memory_order_acquire);
  return now;
}

Task<Result<Channel*>> Device::channel() {
  Slot& slot = *slots_[Shard::current().id().value];
  if (slot.channel == nullptr) {
    const MutexLock opening = co_await slot.opening.lock();
    if (slot.closed) co_return fail(Errc::closed, "open channel: the device was closed");
    if (slot.channel == nullptr) {
      auto opened = CO_TRY(co_await open_channel());
      slot.channel = std::move(opened);
      // From here on events reach it; what happened while it opened, it learns now.
      slot.channel->geometry_.blocks = blocks_.load(std::memory_order_acquire);
      if (removed_.load(std::memory_order_acquire)) slot.channel->event(DeviceEvent::removed, 0);
    }
  }
  co_return slot.channel.get();
}

Task<Result<>> Device::refresh() {
  co_await refresh_below();
  co_return co_await follow();
}

Task<Result<>> Device::follow() {
  const MutexLock lock = co_await refreshing_.lock();
  if (removed_.load(std::memory_order_relaxed)) co_return fail(Errc::closed, "the device is gone");
  const Result<std::uint64_t> blocks = co_await measure();
  if (!blocks) {
    co_await remove();
    co_return std::unexpected(blocks.error());
  }
  if (*blocks == blocks_.load(std::memory_order_relaxed)) co_return Result<>{};
  blocks_.store(*blocks, std::memory_order_release);
  co_await announce(DeviceEvent::resized);
  co_return Result<>{};
}

Task<> Device::refresh_at_home() {
  static_cast<void>(co_await invoke(home_, [this] { return refresh(); }));
}

Task<> Device::remove() {
  removed_.store(true, std::memory_order_release);
  co_await announce(DeviceEvent::removed);
}

Task<> Device::announce(DeviceEvent event) {
  const std::uint64_t blocks = blocks_.load(std::memory_order_relaxed);
  for (std::size_t shard = 0; shard < slots_.size(); ++shard) {
    co_await invoke(shard_id(shard), [this, shard, event, blocks] {
      if (Channel* channel = slots_[shard]->channel.get()) channel->event(event, blocks);
    });
  }
  if (parent_ != nullptr) co_await parent_->on_child_event(*this, event);
}

Task<Result<MappedView>> Device::map(Lba, std::uint64_t, MapMode) {
  co_return fail(Errc::unsupported, "map: the device cannot be mapped");
}

Task<> Device::close() {
  for (std::size_t shard = 0; shard < slots_.size(); ++shard)
    co_await invoke(shard_id(shard), [this, shard] { return close_slot(*slots_[shard]); });
  co_await shut();
}

Task<> Device::close_slot(Slot& slot) {
  if (slot.closed) co_return;
  {
    const MutexLock opening = co_await slot.opening.lock();
    slot.closed = true;
  }
  if (slot.channel == nullptr) co_return;
  co_await slot.channel->close();
  slot.channel.reset();
}

}  // namespace ashlar
