#pragma once

/// Guests: what a handle of a plain thread (an iterator, a snapshot) keeps on a shard.

#include <memory>

#include "ashlar/base/intrusive_list.h"
#include "ashlar/embed/call.h"

namespace ashlar::embed {

/// Owned by its handle and, while it holds anything there, by its shard's port. Whichever comes first
/// releases it: the handle's end, by a message, or the database's. What it holds belongs to the shard alone.
class Guest : public ListHook<>, public std::enable_shared_from_this<Guest> {
 public:
  virtual ~Guest() = default;

  /// On the shard: gives up everything that must end before the store does. What takes longer is spawned on
  /// the port.
  virtual void release() noexcept = 0;

 private:
  friend class Port;
  struct Leave : Call {
    Leave() noexcept;
    std::shared_ptr<Guest> guest;
  };

  std::shared_ptr<Guest> self_;  // while it is in a port
  Leave leave_;
};

}  // namespace ashlar::embed
