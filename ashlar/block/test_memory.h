#pragma once

/// For tests of layers, which know no transport: ram:SIZE?read=…&write=…&flush=…, memory of one shard with
/// latencies of virtual time.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ashlar/block/layer.h"
#include "ashlar/block/registry.h"
#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/sync/sleep.h"

namespace ashlar::testing {

struct TestMemoryOptions {
  std::uint32_t block_bytes = 512;
  Duration read{0}, write{0}, flush{0};
};
inline void describe(OptionSet& set, TestMemoryOptions& options) {
  set.add("block", options.block_bytes, block_size_option());
  set.add("read", options.read, {.help = "latency of a read"});
  set.add("write", options.write, {.help = "latency of what writes"});
  set.add("flush", options.flush, {.help = "latency of a flush"});
}

class TestMemoryDevice final : public Device {
 public:
  TestMemoryDevice(const Spec& spec, std::uint64_t bytes, const TestMemoryOptions& options)
      : Device(spec.text, {.block_bytes = options.block_bytes,
                           .blocks = bytes / options.block_bytes,
                           .atomic_write_bytes_min = options.block_bytes,
                           .atomic_write_bytes_max = 64 * options.block_bytes,
                           .write_cache = false,
                           .fua = true,
                           .trim = true,
                           .write_zeroes = true}),
        options_(options),
        home_(Shard::current().id()),
        bytes_(bytes) {}

 private:
  class MemoryChannel final : public Layer {
   public:
    explicit MemoryChannel(TestMemoryDevice& device) noexcept : Layer(device), owner_(device) {}

   private:
    Task<Result<>> serve(const Request& request) override {
      const TestMemoryOptions& options = owner_.options_;
      const Duration latency = request.op == Op::read    ? options.read
                               : request.op == Op::flush ? options.flush
                                                         : options.write;
      const Instant due = Shard::current().now() + latency, deadline = request.options.deadline;
      if (latency != Duration(0)) static_cast<void>(co_await sleep_until(std::min(due, deadline)));
      if (due > deadline) co_return fail(Errc::timed_out, to_string(request.op));
      co_await invoke(owner_.home_, [&] { owner_.carry_out(request); });
      co_return Result<>{};
    }

    TestMemoryDevice& owner_;
  };

  Task<Result<std::unique_ptr<Channel>>> open_channel() override {
    co_return std::make_unique<MemoryChannel>(*this);
  }
  void carry_out(const Request& request) noexcept {
    std::byte* at = bytes_.data() + request.lba.value * options_.block_bytes;
    for (const Segment& segment : request.data) {
      const bool reads = request.op == Op::read;
      std::memcpy(reads ? segment.data : at, reads ? at : segment.data, segment.size);
      at += segment.size;
    }
    if (request.op == Op::trim || request.op == Op::write_zeroes)
      std::memset(at, 0, request.blocks * options_.block_bytes);
  }

  const TestMemoryOptions options_;
  const ShardId home_;
  std::vector<std::byte> bytes_;  // on the home shard
};

inline DeviceKind memory_kind() {
  return {.name = "ram",
          .target = "SIZE",
          .help = "memory, for tests",
          .describe = describe_as<TestMemoryOptions>,
          .open = [](const Spec& spec, DeviceKind::Children&) -> Task<SpecResult<std::unique_ptr<Device>>> {
            const auto options = options_of<TestMemoryOptions>(spec);
            if (!options) co_return std::unexpected(options.error());
            const auto bytes = size_of_target(spec, options->block_bytes);
            if (!bytes) co_return std::unexpected(bytes.error());
            co_return std::make_unique<TestMemoryDevice>(spec, *bytes, *options);
          }};
}

/// The registry of a layer's tests: memory, and the layer.
inline Registry over_memory(DeviceKind layer) {
  Registry kinds;
  kinds.add(memory_kind());
  kinds.add(std::move(layer));
  return kinds;
}

/// Opens `spec`, runs `body(device, channel)`, closes it.
template <class Body>
Task<> use_device(Registry kinds, std::string spec, Body body) {
  auto device = co_await kinds.open(spec);
  if (!device) {
    ADD_FAILURE() << device.error().show(spec);
    co_return;
  }
  const auto channel = co_await (*device)->channel();
  EXPECT_TRUE(channel);
  co_await body(**device, **channel);
  co_await (*device)->close();
}

}  // namespace ashlar::testing
