#pragma once

/// Compare and write on devices that have no such command. The steps are in the source file.

#include <cstddef>
#include <vector>

#include "ashlar/block/channel.h"
#include "ashlar/runtime/sync/mutex.h"

namespace ashlar {

/// A range of a channel that writes keep out of. On the channel's shard.
struct Channel::Hold {
  std::uint64_t first = 0, end = 0;  // blocks
  Request* kept = nullptr;           // writes that came meanwhile, oldest first
  Request* last = nullptr;
  MutexLock opening;  // no channel opens on this shard meanwhile

  bool covers(const Request& request) const noexcept {
    return request.lba.value < end && first < request.lba.value + request.blocks;
  }
  void keep(Request& request) noexcept;
};

/// Keeps every shard's writes to a device out of a range. Taken and released on the device's home shard.
class CompareAndWrite {
 public:
  /// Carries a request of the channel out, and ends it.
  static void spawn(Channel& channel, Request& request) noexcept;

 private:
  class Step;
  CompareAndWrite(Device& device, std::uint64_t first, std::uint64_t end);

  static Task<> run(Channel* channel, Request* request);
  static Task<Result<>> carry_out(Channel& channel, const Request& request);
  Task<> take();
  Task<> release();
  Task<> hold_back(std::size_t shard);
  void let_go(std::size_t shard) noexcept;

  Device& device_;
  std::vector<Channel::Hold> holds_;  // by shard, which alone touches it
  MutexLock alone_;
};

}  // namespace ashlar
