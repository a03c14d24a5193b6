#include "ashlar/layer/delay/delay_layer.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "ashlar/base/units.h"
#include "ashlar/block/layer.h"
#include "ashlar/layer/delay/distribution.h"
#include "ashlar/layer/delay/rate_limit.h"
#include "ashlar/runtime/sync/sleep.h"

namespace ashlar {

namespace {

struct DelayOptions {
  Duration read{0}, write{0}, flush{0}, trim{0};
  Distribution distribution = Distribution::constant;
  std::uint32_t spread_percent = 50;
  std::uint64_t iops = 0, bandwidth_bytes = 0;
  Duration burst = std::chrono::milliseconds(1);
  std::uint64_t seed = 0;
};

void describe(OptionSet& set, DelayOptions& options) {
  const auto latency = [](const char* help) {
    return NumberSpec{
        .max = static_cast<std::uint64_t>(std::chrono::nanoseconds(std::chrono::hours(1)).count()),
        .test_max = 1'000'000,
        .help = help};
  };
  set.add("read", options.read, latency("mean latency that a read gets on top"));
  set.add("write", options.write, latency("the same of a write, a write of zeroes and a compare-and-write"));
  set.add("flush", options.flush, latency("the same of a flush"));
  set.add("trim", options.trim, latency("the same of a trim"));
  set.add("distribution", options.distribution,
          {.names = {"constant", "uniform", "exponential", "normal", "lognormal", "pareto"},
           .help = "shape of the latencies"});
  set.add("spread", options.spread_percent,
          {.unit = Unit::percent,
           .max = 1000,
           .test_max = 57,
           .help = "standard deviation, of the mean; a uniform one is at most 57%, an exponential one 100%"});
  set.add("iops", options.iops,
          {.max = 1'000'000'000, .help = "requests per second, but for flushes; 0: any"});
  set.add("bandwidth", options.bandwidth_bytes,
          {.unit = Unit::bytes, .max = 1_TiB, .help = "bytes read and written per second; 0: any"});
  set.add("burst", options.burst,
          {.max = 60'000'000'000, .help = "idle time whose share under the limits may be used up at once"});
  set.add("seed", options.seed, {.help = "of the latencies; 0: another one each time"});
}

struct Latencies {
  explicit Latencies(const DelayOptions& options) noexcept
      : read(options.distribution, options.read, options.spread_percent),
        write(options.distribution, options.write, options.spread_percent),
        flush(options.distribution, options.flush, options.spread_percent),
        trim(options.distribution, options.trim, options.spread_percent) {}

  const LatencyModel& of(Op op) const noexcept {
    switch (op) {
      case Op::read: return read;
      case Op::flush: return flush;
      case Op::trim: return trim;
      case Op::write:
      case Op::write_zeroes:
      case Op::compare_and_write: break;
    }
    return write;
  }

  LatencyModel read, write, flush, trim;
};

struct Limits {
  explicit Limits(const DelayOptions& options) noexcept
      : requests(options.iops, options.burst), bytes(options.bandwidth_bytes, options.burst) {}

  /// When a request that comes now may go on.
  Instant admit(Instant now, const Request& request, std::uint32_t block_bytes) noexcept {
    if (request.op == Op::flush) return now;
    const Instant turn = requests.admit(now, 1);
    if (!has_data(request.op)) return turn;
    return std::max(turn, bytes.admit(now, request.blocks * block_bytes));
  }

  RateLimit requests, bytes;
};

class DelayChannel final : public Layer {
 public:
  DelayChannel(Device& device, Channel& below, const Latencies& latencies, Limits& limits, std::uint64_t seed)
      : Layer(device), below_(below), latencies_(latencies), limits_(limits), random_(seed) {}

 private:
  bool compares() const noexcept override { return true; }

  Task<Result<>> serve(const Request& request) override {
    const Instant now = Shard::current().now();
    const Instant due =
        limits_.admit(now, request, geometry().block_bytes) + latencies_.of(request.op).draw(random_);
    // Not cancellable here: a layer serves outside of the caller's scope.
    if (due > now) static_cast<void>(co_await sleep_until(std::min(due, request.options.deadline)));
    if (due > request.options.deadline)
      co_return fail(Errc::timed_out, to_string(request.op),
                     {.offset = request.lba.value * geometry().block_bytes});
    co_return co_await below_.repeat(request);
  }

  Channel& below_;
  const Latencies& latencies_;
  Limits& limits_;
  Random random_;
};

class DelayDevice final : public LayerDevice {
 public:
  DelayDevice(const Spec& spec, DeviceKind::Children children, const DelayOptions& options)
      : LayerDevice{spec.text, children.front()->geometry(), std::move(children)},
        latencies_(options),
        limits_(options),
        seed_(options.seed != 0 ? options.seed : Shard::current().random()) {}

 private:
  Task<Result<std::unique_ptr<Channel>>> open_channel() override {
    Channel* const below = CO_TRY(co_await child().channel());
    const std::uint64_t seed = seed_ + Shard::current().id().value;
    co_return std::make_unique<DelayChannel>(*this, *below, latencies_, limits_, seed);
  }

  const Latencies latencies_;
  Limits limits_;
  const std::uint64_t seed_;
};

Task<SpecResult<std::unique_ptr<Device>>> open_delay(const Spec& spec, DeviceKind::Children& children) {
  const auto options = options_of<DelayOptions>(spec);
  if (!options) co_return std::unexpected(options.error());
  if (options->spread_percent > LatencyModel::spread_max(options->distribution))
    co_return open_failed(spec, Errc::invalid,
                          fmt::format("spread: at most {}% with this distribution, or latencies would be "
                                      "negative",
                                      LatencyModel::spread_max(options->distribution)));
  co_return std::make_unique<DelayDevice>(spec, std::move(children), *options);
}

}  // namespace

DeviceKind delay_kind() {
  return {.name = "delay",
          .help = "slower: latency distributions, limits on requests and bytes per second",
          .children_min = 1,
          .children_max = 1,
          .describe = describe_as<DelayOptions>,
          .open = open_delay};
}

}  // namespace ashlar
