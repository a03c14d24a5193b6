#pragma once

/// For tests of devices that change under their users: who hears of it, and I/O that is in flight meanwhile.

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "ashlar/block/test_device.h"
#include "ashlar/runtime/sync/sleep.h"

namespace ashlar::testing {

/// Counts the events of a channel.
class Watcher final : public DeviceListener {
 public:
  explicit Watcher(Channel& channel) { channel.listen(*this); }
  ~Watcher() { unlink(); }
  void on_device_event(DeviceEvent event) noexcept override {
    ++(event == DeviceEvent::resized ? resized : removed);
  }
  int resized = 0, removed = 0;
};

/// Until `count` has left zero, or too long has passed.
inline Task<> until(const int& count) {
  for (int i = 0; i < 5000 && count == 0; ++i) co_await sleep_for(std::chrono::milliseconds(1));
}

/// One request for each block of the device as it is now, or for one in `every`, that go together.
class ManyBlocks {
 public:
  ManyBlocks(Channel& channel, Op op, std::uint64_t every = 1)
      : channel_(channel),
        op_(op),
        every_(every),
        block_(channel.geometry().block_bytes),
        count_(channel.geometry().blocks / every),
        memory_(count_ * block_),
        requests_(std::make_unique<Request[]>(count_)),
        segments_(count_) {}

  /// Nothing may be in flight.
  IoBatch submit() {
    for (std::uint64_t i = 0; i < count_; ++i) {
      segments_[i] = Channel::segment_of(memory_.part(i * block_, block_));
      requests_[i].op = op_;
      requests_[i].lba = Lba(i * every_);
      requests_[i].data = {&segments_[i], 1};
    }
    return channel_.submit(std::span(requests_.get(), count_));
  }

  /// What failed lies behind byte `end`, and says where.
  void expect_failures_behind(std::uint64_t end) const {
    for (std::uint64_t i = 0; i < count_; ++i) {
      if (requests_[i].result) continue;
      const Error& error = requests_[i].result.error();
      EXPECT_GE(error.offset, end) << error.to_string();
      EXPECT_EQ(error.offset / block_, i * every_) << error.to_string();
      EXPECT_TRUE(error.code == Errc::io || error.code == Errc::invalid || error.code == Errc::closed)
          << error.to_string();
    }
  }

 private:
  Channel& channel_;
  const Op op_;
  const std::uint64_t every_, block_, count_;
  const AlignedMemory memory_;
  const std::unique_ptr<Request[]> requests_;
  std::vector<Segment> segments_;
};

/// Reads or writes again and again, until some of it fails, which lies behind `end`; `shrink` is called while
/// the requests of the `nth` round are in flight. Writes would make a file grow again: they are for mappings.
inline Task<Result<>> use_while_it_shrinks(ManyBlocks& blocks, std::uint64_t end, int nth,
                                           const std::function<void()>& shrink) {
  bool failed = false;
  for (int round = 0; round < 1000 && !failed; ++round) {
    IoBatch batch = blocks.submit();
    if (round == nth) shrink();
    failed = !co_await batch;
    blocks.expect_failures_behind(end);
  }
  EXPECT_TRUE(failed) << "nothing noticed";
  co_return Result<>{};
}

}  // namespace ashlar::testing
