#pragma once

/// The mesh: a ring between each two shards, in each direction. Senders batch per loop turn; a receiver that
/// sleeps is woken once per batch (D1, D19).

#include <memory>
#include <vector>

#include "ashlar/runtime/mesh/message.h"
#include "ashlar/runtime/mesh/spsc_ring.h"
#include "ashlar/runtime/shard/shard_id.h"

namespace ashlar {

class Shard;

/// Owner: the runtime (or simulated world), which outlives its shards. Shards register before the first
/// message.
class Mesh {
 public:
  static constexpr std::size_t ring_capacity = 1024;
  using Ring = SpscRing<Message, ring_capacity>;

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

  /// Queues a message for `to` (not this shard). It leaves at the end of the loop turn, or when a batch is
  /// full.
  void send(ShardId to, Message& message) noexcept;
  bool congested(ShardId to) const noexcept { return outboxes_[to.value].waiting >= Mesh::ring_capacity; }

  /// Moves what is queued into the rings and wakes the receivers; returns whether anything moved.
  bool flush() noexcept;
  /// Delivers what has arrived; returns how many.
  std::size_t receive() noexcept;
  bool has_inbound() const noexcept;
  bool has_outbound() const noexcept { return outbound_ != 0; }
  unsigned shard_count() const noexcept { return mesh_.shard_count(); }

 private:
  static constexpr unsigned batch = 32;

  struct Outbox {
    Message* first = nullptr;
    Message* last = nullptr;
    std::size_t waiting = 0;
  };
  bool flush(unsigned to) noexcept;

  Mesh& mesh_;
  unsigned self_;
  std::size_t outbound_ = 0;
  std::vector<Outbox> outboxes_;
};

}  // namespace ashlar
