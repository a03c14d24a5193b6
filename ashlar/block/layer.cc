#include "ashlar/block/layer.h"

#include <coroutine>
#include <exception>
#include <utility>

#include "ashlar/runtime/shard/shard.h"
#include "ashlar/runtime/task/frame_pool.h"

namespace ashlar {

namespace {

Geometry unmappable(Geometry geometry) noexcept {
  geometry.mappable = false;
  return geometry;
}

}  // namespace

/// The coroutine that serves one request: starts at once, frees itself at its end.
struct Layer::Served {
  struct promise_type {
    static void* operator new(std::size_t bytes) { return FramePool::allocate(bytes); }
    static void operator delete(void* frame) noexcept { FramePool::release(frame); }
    Served get_return_object() const noexcept { return {}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }
  };
};

Layer::Served Layer::run(Layer& layer, Request& request) {
  const Result<> result = co_await layer.serve(request);
  layer.finish(request, result);
}

void Layer::start(Request& request) noexcept {
  Shard& shard = Shard::current();
  const TaskContext outer = shard.context();
  shard.set_context({nullptr, outer.share});
  run(*this, request);
  shard.set_context(outer);
}

LayerDevice::LayerDevice(std::string spec, const Geometry& geometry,
                         std::vector<std::unique_ptr<Device>> children)
    : Device(std::move(spec), unmappable(geometry)), children_(std::move(children)) {
  for (const auto& child : children_) child->parent_ = this;
}

Task<Result<>> LayerDevice::claim() {
  for (const auto& child : children_) CO_TRY(co_await child->claim());
  co_return Result<>{};
}

/// A child that changed or went says so itself.
Task<> LayerDevice::refresh_below() {
  for (const auto& child : children_) static_cast<void>(co_await child->refresh());
}

Task<> LayerDevice::on_child_event(Device&, DeviceEvent event) {
  if (event == DeviceEvent::removed) {
    co_await remove();
  } else {
    static_cast<void>(co_await follow());
  }
}

Task<> LayerDevice::shut() {
  for (const auto& child : children_) {
    child->parent_ = nullptr;
    co_await child->close();
  }
}

}  // namespace ashlar
