#include "ashlar/runtime/mesh/mesh.h"

#include <utility>

#include "ashlar/runtime/shard/shard.h"

namespace ashlar {

Mesh::Mesh(unsigned shard_count) : shard_count_(shard_count), shards_(shard_count) {
  rings_.reserve(std::size_t{shard_count} * shard_count);
  for (unsigned i = 0; i < shard_count * shard_count; ++i) {
    const bool to_itself = i / shard_count == i % shard_count;
    rings_.push_back(to_itself ? nullptr : std::make_unique<Ring>());
  }
}

MeshPort::MeshPort(Mesh& mesh, unsigned self) : mesh_(mesh), self_(self), outboxes_(mesh.shard_count()) {
  for (unsigned to = 0; to < outboxes_.size(); ++to) {
    if (to != self) outboxes_[to].ring = &mesh.ring(self, to);
  }
}

void MeshPort::queue(Outbox& outbox, Message& message, Message::Deliver deliver) noexcept {
  message.deliver = deliver;
  message.next = nullptr;
  *(outbox.first == nullptr ? &outbox.first : &outbox.last->next) = &message;
  outbox.last = &message;
  ++outbox.waiting;
}

bool MeshPort::flush() noexcept {
  if (outbound_ == 0) return false;
  bool moved = false;
  for (Outbox& outbox : outboxes_) moved |= flush(outbox);
  return moved;
}

bool MeshPort::flush(Outbox& outbox) noexcept {
  while (outbox.first != nullptr) {
    Message* message = outbox.first;
    Message* next = message->next;  // read first: once published, the message is the receiver's
    if (!outbox.ring->stage(*message, message->deliver)) break;
    outbox.first = next;
    --outbox.waiting;
    ++outbox.staged;
  }
  if (outbox.staged == 0) return false;
  outbound_ -= std::exchange(outbox.staged, 0);
  outbox.ring->publish();
  mesh_.shard(static_cast<unsigned>(&outbox - outboxes_.data()))->wake_if_sleeping();
  return true;
}

std::size_t MeshPort::receive() noexcept {
  std::size_t received = 0;
  for (unsigned from = 0; from < outboxes_.size(); ++from) {
    if (from == self_) continue;
    receiving_from_ = from;
    received += mesh_.ring(from, self_).deliver_all();
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
