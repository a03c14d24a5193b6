#pragma once

namespace ashlar {

/// Something to run on another shard. Lives in the sender's frame (or is owned by the sender until it comes
/// back): a message in flight is never copied and never allocated.
struct Message {
  using Deliver = void (*)(Message&) noexcept;
  Deliver deliver = nullptr;  ///< runs on the receiving shard, in its loop; must not block
  Message* next = nullptr;
};

}  // namespace ashlar
