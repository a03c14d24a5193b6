/// retry(DEVICE)?times=3 — the smallest layer: what failed with an I/O error is tried again.

#include <memory>
#include <utility>

#include "ashlar/block/layer.h"
#include "examples/device/kinds.h"

namespace ashlar::examples {
namespace {

struct RetryOptions {
  unsigned times = 3;
};
void describe(OptionSet& set, RetryOptions& options) {
  set.add("times", options.times, {.max = 1000, .help = "further attempts of a request"});
}

class RetryChannel final : public Layer {
 public:
  RetryChannel(Device& device, Channel& below, unsigned times) noexcept
      : Layer(device), below_(below), times_(times) {}

 private:
  Task<Result<>> serve(const Request& request) override {
    for (unsigned tries = 0;; ++tries) {
      const Result<> result = co_await below_.repeat(request);
      // A failed flush is final: what it covered is lost, and a second one that succeeds would hide it.
      if (result || result.error().code != Errc::io || request.op == Op::flush || tries == times_)
        co_return result;
    }
  }

  Channel& below_;
  const unsigned times_;
};

class RetryDevice final : public LayerDevice {
 public:
  RetryDevice(const Spec& spec, DeviceKind::Children children, const RetryOptions& options)
      : LayerDevice(spec.text, children.front()->geometry(), std::move(children)), options_(options) {}

 private:
  Task<Result<std::unique_ptr<Channel>>> open_channel() override {
    Channel* const below = CO_TRY(co_await child().channel());
    co_return std::make_unique<RetryChannel>(*this, *below, options_.times);
  }

  const RetryOptions options_;
};

Task<SpecResult<std::unique_ptr<Device>>> open_retry(const Spec& spec, DeviceKind::Children& children) {
  const auto options = options_of<RetryOptions>(spec);
  if (!options) co_return std::unexpected(options.error());
  co_return std::make_unique<RetryDevice>(spec, std::move(children), *options);
}

}  // namespace

DeviceKind retry_kind() {
  return {.name = "retry",
          .help = "tries again what failed",
          .children_min = 1,
          .children_max = 1,
          .describe = describe_as<RetryOptions>,
          .open = open_retry};
}

}  // namespace ashlar::examples
