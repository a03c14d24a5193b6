#pragma once

/// The mesh: a ring between each two shards, in each direction. Senders batch; a receiver that sleeps is
/// woken once per loop turn of the sender (D1, D19): the fence before looking whether it sleeps costs as much
/// as many messages.

#include <cassert>
#include <memory>
#include <vector>

#include "ashlar/runtime/mesh/message.h"
#include "ashlar/runtime/mesh/message_ring.h"
#include "ashlar/runtime/shard/shard_id.h"

namespace ashlar {

class Shard;

/// Owner: the runtime (or simulated world), which outlives its shards. Shards register before the first
/// message.
class Mesh {
 public:
  static constexpr std::size_t ring_capacity = 1024;
  using Ring = MessageRing<ring_capacity>;

  explicit Mesh(unsigned shard_count);

  unsigned shard_count() const noexcept { return shard_count_; }
  Ring& ring(unsigned from, unsigned to) noexcept { return *rings_[from * shard_count_ + to]; }
  Shard*& shard(unsigned id) noexcept { return shards_[id]; }

 private:
  unsigned shard_count_;
  std::vector<std::unique_ptr<Ring>> rings_;
  std::vector<Shard*> shards_;
};

/// One shard's side of the mesh. Owner-shard only, except has_inbound() which the owner calls before it
/// sleeps.
///
/// Back-pressure: where the ring to a shard is full, messages wait, in order, in an intrusive list here.
/// Senders that await an answer (invoke) are thereby bounded by their own tasks; others ask congested() and
/// hold back.
class MeshPort {
 public:
  MeshPort(Mesh& mesh, unsigned self);

  /// Sends a message to `to` (not this shard), who calls `deliver` there. It leaves with the next flush(), or
  /// when a batch is full.
  void send(ShardId to, Message& message, Message::Deliver deliver) noexcept {
    Outbox& outbox = outboxes_[to.value];
    assert(outbox.ring != nullptr && "a message to oneself");
    ++outbound_;
    if (outbox.first == nullptr && outbox.ring->stage(message, deliver)) [[likely]] {
      if (++outbox.staged % batch == 0) outbox.ring->publish();
    } else {
      queue(outbox, message, deliver);
    }
  }
  void send(ShardId to, Message& message) noexcept { send(to, message, message.deliver); }
  /// Inside a delivery: sends to the shard whose message is being delivered.
  void reply(Message& message, Message::Deliver deliver) noexcept {
    send(ShardId(receiving_from_), message, deliver);
  }
  bool congested(ShardId to) const noexcept { return outboxes_[to.value].waiting >= Mesh::ring_capacity; }

  /// Shows what was sent to its receivers and wakes those who sleep; returns whether there was anything.
  bool flush() noexcept;
  /// Delivers what has arrived; returns how many.
  std::size_t receive() noexcept;
  bool has_inbound() const noexcept;
  bool has_outbound() const noexcept { return outbound_ != 0; }
  unsigned shard_count() const noexcept { return mesh_.shard_count(); }

 private:
  struct Outbox {
    Mesh::Ring* ring = nullptr;  // null: to oneself
    Message* first = nullptr;    // what the ring had no room for
    Message* last = nullptr;
    std::size_t waiting = 0;
    unsigned staged = 0;  // in the ring since the last flush
  };
  static constexpr unsigned batch = 32;
  bool flush(Outbox& outbox) noexcept;
  static void queue(Outbox& outbox, Message& message, Message::Deliver deliver) noexcept;

  Mesh& mesh_;
  unsigned self_;
  unsigned receiving_from_ = 0;
  std::size_t outbound_ = 0;  // staged or waiting, in all outboxes
  std::vector<Outbox> outboxes_;
};

}  // namespace ashlar
