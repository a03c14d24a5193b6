#pragma once

/// A request of a plain thread to a shard. It lives where the caller is: on its stack, while it waits, or in
/// an allocation of its own, which its completion frees.

#include <atomic>

#include "ashlar/base/error.h"
#include "ashlar/runtime/mesh/message.h"
#include "ashlar/runtime/shard/driven_shard.h"

namespace ashlar::embed {

class Port;

/// `deliver` runs on the shard, which calls Port::finish() once, there and then or later.
struct Call : Message {
  explicit Call(Deliver on_arrival) noexcept { deliver = on_arrival; }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  Port* port = nullptr;  ///< of the shard; set when it is handed in
  unsigned slot = 0;     ///< of the wait room
  /// The shard that the caller drives while it waits; null: it waits in the room.
  DrivenShard* driven = nullptr;
  std::atomic<bool> done{false};
  /// Runs on the shard instead of waking a thread; may free the call.
  void (*completed)(Call&) noexcept = nullptr;
};

/// What is under way is cancelled by the end of the database only.
template <class T>
void as_closed(Result<T>& result) noexcept {
  if (!result && result.error().code == Errc::cancelled) result.error().code = Errc::closed;
}

}  // namespace ashlar::embed
