#pragma once

/// Device: what all shards share of a piece of storage (D7): its geometry, its events, and a channel per
/// shard.
///
/// A transport reaches something real; a layer (layer.h) is made of devices. How to write one:
/// docs/devices.md.

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "ashlar/block/channel.h"
#include "ashlar/block/geometry.h"
#include "ashlar/block/mapped_view.h"
#include "ashlar/runtime/shard/shard_id.h"
#include "ashlar/runtime/sync/mutex.h"
#include "ashlar/runtime/task/task.h"

namespace ashlar {

class LayerDevice;

/// Thread safety: spec(), geometry(), notes() and channel() on any shard; the rest on the home shard, which
/// is the one that opened it. Lifecycle: opened through a Registry; close() is awaited before it is
/// destroyed.
class Device {
 public:
  /// On the shard that becomes its home.
  Device(std::string spec, const Geometry& geometry);
  virtual ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  /// What names it, as in errors and tables: "uring:/dev/nvme0n1?qd=64".
  const std::string& spec() const noexcept { return spec_; }
  Geometry geometry() const noexcept;
  /// What was asked for, or would have been better, and is not so, with the reason; a line each.
  const std::vector<std::string>& notes() const noexcept { return notes_; }
  /// Adds one: for whoever opens the device, before shards share it.
  void note(std::string line) { notes_.push_back(std::move(line)); }

  /// The channel of the shard that asks, opened at the first call; the device keeps it until close().
  Task<Result<Channel*>> channel();

  /// Asks the device for its size and whether it is still there, and tells every channel's listeners what
  /// changed. Called by whoever resized it, and by channels whose I/O failed in a way that suggests it.
  Task<Result<>> refresh();

  /// Keeps other processes that ask for the same from using what is behind the device, until close(): `busy`
  /// where one does. A device that only this process can reach has nothing to do. On the home shard.
  virtual Task<Result<>> claim() { co_return Result<>{}; }

  /// Maps [lba, lba + blocks) into memory, populated off the loop. `unsupported` unless geometry().mappable.
  virtual Task<Result<MappedView>> map(Lba lba, std::uint64_t blocks, MapMode mode);

  /// Waits for what is in flight on every shard, then lets go of everything. New requests fail with `closed`.
  Task<> close();

 protected:
  /// A channel for the current shard. `geometry` is valid; events are delivered once this has returned.
  virtual Task<Result<std::unique_ptr<Channel>>> open_channel() = 0;
  /// The capacity now, in blocks; an error where the device is gone. On the home shard.
  virtual Task<Result<std::uint64_t>> measure() { co_return geometry().blocks; }
  /// The device is gone: every request fails with `closed` from now on. On the home shard.
  Task<> remove();
  /// Lets go of what the device itself holds; every channel is closed. On the home shard.
  virtual Task<> shut() { co_return; }

 private:
  friend class Channel;
  friend class CompareAndWrite;
  friend class LayerDevice;

  struct Slot {  // of one shard, which alone touches it
    std::unique_ptr<Channel> channel;
    Mutex opening;
    bool closed = false;
  };
  Task<> announce(DeviceEvent event);
  Task<> refresh_at_home();
  /// What refresh() is for this device alone, once those below know.
  Task<Result<>> follow();
  virtual Task<> refresh_below() { co_return; }
  static Task<> close_slot(Slot& slot);

  std::string spec_;
  Geometry geometry_;  // but for `blocks`, which may change:
  std::atomic<std::uint64_t> blocks_;
  std::vector<std::string> notes_;
  ShardId home_;
  std::vector<std::unique_ptr<Slot>> slots_;  // by shard
  Mutex refreshing_;
  Mutex comparing_;                // one compare_and_write at a time, on the home shard
  LayerDevice* parent_ = nullptr;  // hears of every event
  std::atomic<bool> removed_{false};
};

}  // namespace ashlar
