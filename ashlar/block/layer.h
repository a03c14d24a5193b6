#pragma once

/// Layers: devices made of devices. Two kinds of channel:
///
/// - Layer: a coroutine per request; what serve() returns is the completion. For everything that thinks.
/// - a Channel whose start() calls forward(): for what only moves addresses. No frame, no second request.

#include <memory>
#include <string>
#include <vector>

#include "ashlar/block/channel.h"
#include "ashlar/block/device.h"

namespace ashlar {

/// Lifecycle and guarantees of a Channel. The coroutine's frame comes from the shard's pool; it runs outside
/// of the caller's cancel scope, so that a request which has begun is carried to its end.
class Layer : public Channel {
 public:
  using Channel::Channel;

 protected:
  /// Carries out one request, by requests of its own to the channels below. `request` is checked, and stays
  /// valid until this returns.
  virtual Task<Result<>> serve(const Request& request) = 0;

 private:
  void start(Request& request) noexcept final;
  struct Served;
  static Served run(Layer& layer, Request& request);
};

/// A device that owns the devices it is made of, and closes them after itself. Events of a child arrive here.
class LayerDevice : public Device {
 protected:
  /// `geometry`: often that of a child. A layer is not mappable, because loads and stores would pass it by.
  LayerDevice(std::string spec, const Geometry& geometry, std::vector<std::unique_ptr<Device>> children);

  std::size_t child_count() const noexcept { return children_.size(); }
  Device& child(std::size_t index = 0) const noexcept { return *children_[index]; }

  Task<Result<>> claim() override;
  /// Capacity over the children as they are now; by default that of the first.
  Task<Result<std::uint64_t>> measure() override { co_return child().geometry().blocks; }
  /// A child changed or is gone; by default the layer follows: it measures itself again, or is gone too.
  virtual Task<> on_child_event(Device& child, DeviceEvent event);
  Task<> shut() override;

 private:
  friend class Device;
  Task<> refresh_below() final;

  std::vector<std::unique_ptr<Device>> children_;
};

}  // namespace ashlar
