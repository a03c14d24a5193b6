#pragma once

/// Pollers: what a shard looks at in each turn of its loop, because nothing would tell it: completion queues
/// of user-space drivers, memory that a peer writes into, foreign event loops.
///
///   class Queue : public Poller {
///     bool poll() noexcept override { return reap() != 0; }
///     bool awaits() const noexcept override { return in_flight_ != 0; }
///   };
///   shard.add(queue);            // until it is unlinked or destroyed

#include <cstdint>

#include "ashlar/base/intrusive_list.h"

namespace ashlar {

/// Owner: the shard it was added to; called on it. It may add or unlink pollers, itself too, inside poll().
class Poller : public ListHook<> {
 public:
  Poller() = default;
  virtual ~Poller() { unlink(); }

  /// Looks, and makes tasks ready; never resumes one, never blocks. Whether anything happened.
  virtual bool poll() noexcept = 0;
  /// Whether something is awaited that only poll() will see: the shard then does not sleep.
  virtual bool awaits() const noexcept = 0;

 private:
  friend class Shard;
  std::uint64_t turn_ = 0;  // of the loop, when it was looked at last
};

}  // namespace ashlar
