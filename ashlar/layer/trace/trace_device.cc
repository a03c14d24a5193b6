#include "ashlar/layer/trace/trace_device.h"

#include <fcntl.h>

#include <utility>

namespace ashlar {

namespace {

struct TraceOptions {
  std::string file;
};

void describe(OptionSet& set, TraceOptions& options) {
  set.add(
      "file", options.file,
      {.form = "PATH", .help = "where the trace goes, a new file; without one, requests are only counted"});
}

class TraceChannel final : public Layer {
 public:
  TraceChannel(Device& device, Channel& below, trace::Recording& recording, trace::Counters& counters)
      : Layer(device), below_(below), began_(recording.began), recorder_(recording, counters) {}

  Task<Result<>> open() { return recorder_.open(); }

 private:
  bool compares() const noexcept override { return true; }

  Task<Result<>> serve(const Request& request) override {
    const Instant submitted = Shard::current().now();
    const Result<> result = co_await below_.repeat(request);
    const Instant completed = Shard::current().now();
    const auto nanoseconds = [](Duration duration) { return static_cast<std::uint64_t>(duration.count()); };
    recorder_.record({.op = request.op,
                      .durable = request.options.durable,
                      .atomic = request.options.atomic,
                      .deadline = request.options.deadline != never,
                      .priority = request.options.priority,
                      .result = result ? std::uint8_t{0}
                                       : static_cast<std::uint8_t>(1 + static_cast<int>(result.error().code)),
                      .shard = Shard::current().id().value,
                      .completed_ns = nanoseconds(completed - began_),
                      .latency_ns = nanoseconds(completed - submitted),
                      .lba = request.lba.value,
                      .blocks = request.blocks});
    co_return result;
  }

  Task<> shut() override { return recorder_.stop(); }

  Channel& below_;
  const Instant began_;
  trace::Recorder recorder_;
};

Task<Result<>> write_header(const trace::Recording& recording, const Device& of) {
  File file = CO_TRY(co_await File::open(recording.path, O_WRONLY | O_CREAT | O_TRUNC));
  const IoBuffer buffer = CO_TRY(Shard::current().buffers().allocate(trace::header_bytes));
  const Geometry geometry = of.geometry();
  trace::encode({.number = recording.number,
                 .began_ms = Shard::current().backend().wall_ms(),
                 .block_bytes = geometry.block_bytes,
                 .blocks = geometry.blocks,
                 .spec = of.spec()},
                buffer.bytes());
  CO_TRY(co_await file.write(buffer.bytes(), 0));
  co_return co_await file.close();
}

Task<SpecResult<std::unique_ptr<Device>>> open_trace(const Spec& spec, DeviceKind::Children& children) {
  const auto options = options_of<TraceOptions>(spec);
  if (!options) co_return std::unexpected(options.error());
  auto recording = std::make_unique<trace::Recording>();
  recording->path = options->file;
  recording->number = Shard::current().random();
  recording->began = Shard::current().now();
  if (!recording->path.empty()) {
    if (const Result<> begun = co_await write_header(*recording, *children.front()); !begun)
      co_return open_failed(spec, begun.error());
  }
  co_return std::make_unique<TraceDevice>(spec, std::move(children), std::move(recording));
}

}  // namespace

DeviceKind trace_kind() {
  return {.name = "trace",
          .help = "records every request, for `ashlar trace show` and `ashlar trace replay`",
          .children_min = 1,
          .children_max = 1,
          .describe = describe_as<TraceOptions>,
          .open = open_trace};
}

TraceDevice::TraceDevice(const Spec& spec, DeviceKind::Children children,
                         std::unique_ptr<trace::Recording> recording)
    : LayerDevice{spec.text, children.front()->geometry(), std::move(children)},
      recording_(std::move(recording)),
      counters_(Shard::current().mesh().shard_count()) {}

Task<Result<std::unique_ptr<Channel>>> TraceDevice::open_channel() {
  Channel* const below = CO_TRY(co_await child().channel());
  trace::Counters& counters = counters_[Shard::current().id().value];
  auto channel = std::make_unique<TraceChannel>(*this, *below, *recording_, counters);
  CO_TRY(co_await channel->open());
  co_return channel;
}

TraceDevice::Stats TraceDevice::stats() const noexcept {
  Stats stats;
  for (const trace::Counters& counters : counters_) {
    stats.recorded += counters.recorded.load(std::memory_order_relaxed);
    stats.dropped += counters.dropped.load(std::memory_order_relaxed);
    stats.bytes_written += counters.written.load(std::memory_order_relaxed);
  }
  return stats;
}

}  // namespace ashlar
