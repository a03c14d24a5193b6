/// What the device contract says about channels beyond what every kind shows (device/conformance): order of
/// events, allocation, and the two kinds of layer.

#include "ashlar/block/channel.h"

#include <gtest/gtest.h>

#include <vector>

#include "ashlar/base/test_allocations.h"
#include "ashlar/block/device.h"
#include "ashlar/block/layer.h"
#include "ashlar/runtime/sync/scope.h"
#include "ashlar/runtime/sync/sleep.h"
#include "ashlar/runtime/sync/test_shard.h"

namespace ashlar {
namespace {

/// Keeps requests until the test lets them go.
class HeldDevice final : public Device {
 public:
  explicit HeldDevice(std::uint64_t blocks = 64) : Device("held:", {.blocks = blocks, .trim = true}) {}

  class HeldChannel final : public Channel {
   public:
    HeldChannel(HeldDevice& device) : Channel(device), device_(device) {}
    void start(Request& request) noexcept override { device_.held.push_back(&request); }
    void release(Request& request, const Result<>& result) { finish(request, result); }
    using Channel::suspect;

   private:
    HeldDevice& device_;
  };

  void release_all(const Result<>& result = {}) {
    for (Request* request : std::exchange(held, {})) channel_of->release(*request, result);
  }

  Task<Result<std::unique_ptr<Channel>>> open_channel() override {
    auto opened = std::make_unique<HeldChannel>(*this);
    channel_of = opened.get();
    co_return opened;
  }
  Task<Result<std::uint64_t>> measure() override {
    if (gone) co_return fail(Errc::not_found, "measure");
    co_return size;
  }

  std::vector<Request*> held;
  HeldChannel* channel_of = nullptr;
  std::uint64_t size = 64;
  bool gone = false;
};

/// Serves by a coroutine, or forwards.
class Above final : public LayerDevice {
 public:
  Above(std::unique_ptr<Device> below, bool forwards)
      : LayerDevice("above", below->geometry(), children_of(std::move(below))), forwards_(forwards) {}

 private:
  static std::vector<std::unique_ptr<Device>> children_of(std::unique_ptr<Device> below) {
    std::vector<std::unique_ptr<Device>> children;
    children.push_back(std::move(below));
    return children;
  }
  struct Serving final : Layer {
    Serving(Device& device, Channel& channel) : Layer(device), below(channel) {}
    Task<Result<>> serve(const Request& request) override { co_return co_await below.repeat(request); }
    Channel& below;
  };
  struct Forwarding final : Channel {
    Forwarding(Device& device, Channel& channel) : Channel(device), below(channel) {}
    void start(Request& request) noexcept override { forward(request, below, 8); }
    Channel& below;
  };
  Task<Result<std::unique_ptr<Channel>>> open_channel() override {
    Channel* const below = CO_TRY(co_await child().channel());
    if (forwards_) co_return std::make_unique<Forwarding>(*this, *below);
    co_return std::make_unique<Serving>(*this, *below);
  }
  Task<Result<std::uint64_t>> measure() override { co_return child().geometry().blocks; }

  bool forwards_;
};

struct Listener final : DeviceListener {
  ~Listener() { unlink(); }
  void on_device_event(DeviceEvent event) noexcept override { events.push_back(event); }
  std::vector<DeviceEvent> events;
};

alignas(4096) std::byte memory[8192];

Task<> read_one(Channel& channel, Result<>* into) {
  *into = co_await channel.read(Lba(1), MutableBytes(memory, 512));
}

TEST(Channel, ALayerCarriesOnWhatACancelledTaskHasBegun) {
  testing::TestShard shard;
  shard.run([]() -> Task<> {
    auto held = std::make_unique<HeldDevice>();
    HeldDevice& below = *held;
    Above device(std::move(held), false);
    Channel* channel = *co_await device.channel();
    Result<> result = fail(Errc::busy, "");
    TaskScope scope;
    scope.spawn(read_one(*channel, &result));
    while (below.held.empty()) co_await yield();
    scope.cancel();
    EXPECT_EQ(channel->in_flight(), 1u);
    below.release_all();
    co_await scope.join();
    EXPECT_TRUE(result);
    co_await device.close();
  }());
}

TEST(Channel, ForwardingMovesTheAddressAndCountsBelow) {
  testing::TestShard shard;
  shard.run([]() -> Task<> {
    auto held = std::make_unique<HeldDevice>();
    HeldDevice& below = *held;
    Above device(std::move(held), true);
    Channel* channel = *co_await device.channel();
    Result<> result = fail(Errc::busy, "");
    TaskScope scope;
    scope.spawn(read_one(*channel, &result));
    while (below.held.empty()) co_await yield();
    EXPECT_EQ(below.held[0]->lba, Lba(9));
    EXPECT_EQ(channel->in_flight(), 0u);
    EXPECT_EQ(below.channel_of->in_flight(), 1u);
    below.release_all(fail(Errc::io, "medium"));
    co_await scope.join();
    EXPECT_EQ(result.error().code, Errc::io);
    co_await device.close();
  }());
}

TEST(Channel, EventsPassThroughLayersAndRemovalEndsEverything) {
  testing::TestShard shard;
  shard.run([]() -> Task<> {
    auto held = std::make_unique<HeldDevice>();
    HeldDevice& below = *held;
    Above device(std::move(held), false);
    Channel* channel = *co_await device.channel();
    Listener listener;
    channel->listen(listener);

    below.size = 128;
    EXPECT_TRUE(co_await below.refresh());
    EXPECT_EQ(listener.events, std::vector{DeviceEvent::resized});
    EXPECT_EQ(channel->geometry().blocks, 128u);
    EXPECT_EQ(device.geometry().blocks, 128u);

    below.gone = true;
    below.channel_of->suspect();  // as a channel does whose I/O failed
    while (listener.events.size() < 2) co_await yield();
    EXPECT_EQ(listener.events.back(), DeviceEvent::removed);
    Result<> result;
    co_await read_one(*channel, &result);
    EXPECT_EQ(result.error().code, Errc::closed) << result.error().to_string();
    EXPECT_FALSE(co_await device.refresh());
    listener.unlink();
    co_await device.close();
  }());
}

TEST(Channel, ClosingWaitsForWhatTheDeviceHolds) {
  testing::TestShard shard;
  shard.run([]() -> Task<> {
    HeldDevice device;
    Channel* channel = *co_await device.channel();
    Result<> held = fail(Errc::busy, ""), late;
    TaskScope scope;
    scope.spawn(read_one(*channel, &held));
    while (device.held.empty()) co_await yield();
    bool closed = false;
    const auto close = [](Device& of, bool* done) -> Task<> {
      co_await of.close();
      *done = true;
    };
    scope.spawn(close(device, &closed));
    for (int i = 0; i < 10; ++i) co_await yield();
    EXPECT_FALSE(closed);
    co_await read_one(*channel, &late);
    EXPECT_EQ(late.error().code, Errc::closed);
    device.release_all();
    co_await scope.join();
    EXPECT_TRUE(closed);
    EXPECT_TRUE(held);
  }());
}

TEST(Channel, ACompareHoldsBackOverlappingWritesOnly) {
  testing::TestShard shard;
  shard.run([]() -> Task<> {
    HeldDevice device;
    Channel* channel = *co_await device.channel();
    std::ranges::fill(memory, std::byte{0});
    const auto write = [](Channel& on, std::uint64_t lba, Result<>* into) -> Task<> {
      *into = co_await on.write(Lba(lba), Bytes(memory, 512));
    };
    const auto compare = [](Channel& on, Result<>* into) -> Task<> {
      *into = co_await on.compare_and_write(Lba(4), Bytes(memory, 512), Bytes(memory + 4096, 512));
    };
    Result<> early, swapped, overlapping, beside;
    TaskScope scope;
    scope.spawn(write(*channel, 4, &early));
    while (device.held.empty()) co_await yield();
    scope.spawn(compare(*channel, &swapped));
    for (int i = 0; i < 20; ++i) co_await yield();
    EXPECT_EQ(device.held.size(), 1u) << "the compare waits for the write that was there";
    scope.spawn(write(*channel, 4, &overlapping));
    scope.spawn(write(*channel, 5, &beside));
    for (int i = 0; i < 20; ++i) co_await yield();
    EXPECT_EQ(device.held.size(), 2u) << "the neighbour passes, the overlapping write is kept";
    device.release_all();
    for (int i = 0; i < 20; ++i) co_await yield();
    EXPECT_EQ(device.held.size(), 1u);
    EXPECT_EQ(device.held[0]->op, Op::read);
    std::ranges::fill(MutableBytes(device.held[0]->data[0].data, 512), std::byte{0});
    device.release_all();
    for (int i = 0; i < 20; ++i) co_await yield();
    EXPECT_EQ(device.held.size(), 1u);
    EXPECT_EQ(device.held[0]->op, Op::write);
    device.release_all();
    while (device.held.empty()) co_await yield();
    EXPECT_TRUE(swapped);
    device.release_all();
    co_await scope.join();
    EXPECT_TRUE(early && overlapping && beside);
    co_await device.close();
  }());
}

TEST(Channel, AnIoAllocatesNothing) {
  testing::TestShard shard;
  shard.run([]() -> Task<> {
    for (const bool forwards : {true, false}) {
      auto held = std::make_unique<HeldDevice>();
      HeldDevice& below = *held;
      below.held.reserve(16);
      Above device(std::move(held), forwards);
      Channel* channel = *co_await device.channel();
      std::size_t before = 0;
      for (int round = 0; round < 100; ++round) {
        if (round == 10) before = testing::allocations;  // pools are warm
        Request requests[4];
        const Segment into{memory, 512};
        unsigned done = 0;
        for (Request& request : requests) {
          request.data = {&into, 1};
          request.context = &done;
          request.complete = [](Request& of) noexcept { ++*static_cast<unsigned*>(of.context); };
          channel->submit(request);
        }
        for (Request* request : below.held) below.channel_of->release(*request, {});
        below.held.clear();
        while (done != 4) co_await yield();
      }
      EXPECT_EQ(testing::allocations, before) << (forwards ? "forwarding" : "serving");
      co_await device.close();
    }
  }());
}

}  // namespace
}  // namespace ashlar
