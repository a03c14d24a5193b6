#include "ashlar/runtime/mesh/mesh.h"

#include <cassert>

#include "ashlar/runtime/shard/shard.h"

namespace ashlar {

Mesh::Mesh(unsigned shard_count) : shard_count_(shard_count), shards_(shard_count) {
  rings_.reserve(std::size_t{shard_count} * shard_count);
  for (unsigned i = 0; i < shard_count * shard_count; ++i) {
    const bool to_itself = i / shard_count == i % shard_count;
    rings_.push_back(to_itself ? nullptr : std::make_unique<Ring>());
  }
}

MeshPort::MeshPort(Mesh& mesh, unsigned self) : mesh_(mesh), self_(self), outboxes_(mesh.shard_count()) {}

void MeshPort::send(ShardId to, Message& message) noexcept {
  assert(to.value != self_ && to.value < outboxes_.size());
  Outbox& outbox = outboxes_[to.value];
  message.next = nullptr;
  *(outbox.first == nullptr ? &outbox.first : &outbox.last->next) = &message;
  outbox.last = &message;
  ++outbound_;
  if (++outbox.waiting == batch) flush(to.value);
}

bool MeshPort::flush() noexcept {
  if (outbound_ == 0) return false;
  bool moved = false;
  for (unsigned to = 0; to < outboxes_.size(); ++to) {
    if (outboxes_[to].first != nullptr) moved |= flush(to);
  }
  return moved;
}

bool MeshPort::flush(unsigned to) noexcept {
  Outbox& outbox = outboxes_[to];
  Mesh::Ring& ring = mesh_.ring(self_, to);
  std::size_t moved = 0;
  while (outbox.first != nullptr) {
    Message* message = outbox.first;
    Message* next = message->next;  // read first: once published, the message is the receiver's
    if (!ring.stage(message)) break;
    outbox.first = next;
    ++moved;
  }
  if (moved == 0) return false;
  outbox.waiting -= moved;
  outbound_ -= moved;
  ring.publish();
  mesh_.shard(to)->wake_if_sleeping();
  return true;
}

std::size_t MeshPort::receive() noexcept {
  std::size_t received = 0;
  for (unsigned from = 0; from < outboxes_.size(); ++from) {
    if (from == self_) continue;
    received += mesh_.ring(from, self_).drain([](Message& message) { message.deliver(message); });
  }
  return received;
}

bool MeshPort::has_inbound() const noexcept {
  for (unsigned from = 0; from < outboxes_.size(); ++from) {
    if (from != self_ && !mesh_.ring(from, self_).empty()) return true;
  }
  return false;
}

}  // namespace ashlar
