#include "ashlar/layer/pass/pass_layer.h"

#include <memory>
#include <utility>

#include "ashlar/block/layer.h"

namespace ashlar {

namespace {

struct PassOptions {
  bool coroutine = false;
};

void describe(OptionSet& set, PassOptions& options) {
  set.add("coroutine", options.coroutine,
          {.help = "serve each request by a coroutine, as layers with logic do"});
}

class ForwardingChannel final : public Channel {
 public:
  ForwardingChannel(Device& device, Channel& below) noexcept : Channel(device), below_(below) {}

 private:
  void start(Request& request) noexcept override { forward(request, below_); }
  bool compares() const noexcept override { return true; }

  Channel& below_;
};

class ServingChannel final : public Layer {
 public:
  ServingChannel(Device& device, Channel& below) noexcept : Layer(device), below_(below) {}

 private:
  Task<Result<>> serve(const Request& request) override { co_return co_await below_.repeat(request); }
  bool compares() const noexcept override { return true; }

  Channel& below_;
};

class PassDevice final : public LayerDevice {
 public:
  PassDevice(const Spec& spec, DeviceKind::Children children, const PassOptions& options)
      : LayerDevice{spec.text, children.front()->geometry(), std::move(children)}, options_(options) {}

 private:
  Task<Result<std::unique_ptr<Channel>>> open_channel() override {
    Channel* const below = CO_TRY(co_await child().channel());
    if (options_.coroutine) co_return std::make_unique<ServingChannel>(*this, *below);
    co_return std::make_unique<ForwardingChannel>(*this, *below);
  }

  PassOptions options_;
};

Task<SpecResult<std::unique_ptr<Device>>> open_pass(const Spec& spec, DeviceKind::Children& children) {
  const auto options = options_of<PassOptions>(spec);
  if (!options) co_return std::unexpected(options.error());
  co_return std::make_unique<PassDevice>(spec, std::move(children), *options);
}

}  // namespace

DeviceKind pass_kind() {
  return {.name = "pass",
          .help = "does nothing: what a layer costs",
          .children_min = 1,
          .children_max = 1,
          .describe = describe_as<PassOptions>,
          .open = open_pass};
}

}  // namespace ashlar
