/// heap:SIZE — the smallest transport: blocks in a vector.

#include <atomic>
#include <cstring>
#include <memory>
#include <vector>

#include "examples/device/kinds.h"

namespace ashlar::examples {
namespace {

struct Heap {
  std::vector<std::byte> bytes;
  std::atomic_flag busy;  // shards copy one at a time, so that no block is a mixture of two writes
};

class HeapChannel final : public Channel {
 public:
  HeapChannel(Device& device, Heap& heap) noexcept : Channel(device), heap_(heap) {}

 private:
  void start(Request& request) noexcept override {
    std::byte* at = heap_.bytes.data() + request.lba.value * geometry().block_bytes;
    while (heap_.busy.test_and_set(std::memory_order_acquire)) {
    }
    for (const Segment& segment : request.data) {
      const bool reads = request.op == Op::read;
      std::memcpy(reads ? segment.data : at, reads ? at : segment.data, segment.size);
      at += segment.size;
    }
    if (request.op == Op::write_zeroes) std::memset(at, 0, request.blocks * geometry().block_bytes);
    heap_.busy.clear(std::memory_order_release);
    finish(request, {});
  }

  Heap& heap_;
};

class HeapDevice final : public Device {
 public:
  HeapDevice(const Spec& spec, std::uint64_t bytes)
      : Device(spec.text, {.block_bytes = 512, .blocks = bytes / 512, .write_cache = false, .fua = true}),
        heap_{.bytes = std::vector<std::byte>(bytes), .busy = {}} {}

 private:
  Task<Result<std::unique_ptr<Channel>>> open_channel() override {
    co_return std::make_unique<HeapChannel>(*this, heap_);
  }

  Heap heap_;
};

Task<SpecResult<std::unique_ptr<Device>>> open_heap(const Spec& spec, DeviceKind::Children&) {
  const auto bytes = size_of_target(spec, 512);
  if (!bytes) co_return std::unexpected(bytes.error());
  co_return std::make_unique<HeapDevice>(spec, *bytes);
}

}  // namespace

DeviceKind heap_kind() {
  return {.name = "heap", .target = "SIZE", .help = "blocks in a vector", .open = open_heap};
}

}  // namespace ashlar::examples
