#include "ashlar/embed/port.h"

namespace ashlar::embed {

Guest::Leave::Leave() noexcept
    : Call([](Message& message) noexcept {
        auto& leave = static_cast<Leave&>(message);
        const std::shared_ptr<Guest> guest = std::move(leave.guest);  // keeps `leave` too
        leave.port->evict(*guest);
      }) {}

void Port::finish(Call& call, std::uint32_t& slots) noexcept {
  if (call.completed != nullptr) {
    call.completed(call);
    return;
  }
  DrivenShard* const driven = call.driven;
  slots |= 1u << call.slot;
  call.done.store(true, std::memory_order_release);
  if (driven != nullptr) driven->wake();
}

void Port::finish(Call& call) noexcept {
  std::uint32_t slots = 0;
  finish(call, slots);
  wake(slots);
}

void Port::enter(Guest& guest) {
  guest.self_ = guest.shared_from_this();
  guests_.push_back(guest);
}

void Port::evict(Guest& guest) noexcept {
  if (!guest.linked()) return;
  guest.release();
  guest.unlink();
  guest.self_.reset();
}

void Port::post_leave(std::shared_ptr<Guest> guest) noexcept {
  Guest::Leave& leave = guest->leave_;
  leave.guest = std::move(guest);
  post(leave);
}

void Port::add_writes(kv::PartitionId id, kv::Partition& partition) {
  if (writes_.size() <= id.value) writes_.resize(std::size_t{id.value} + 1);
  writes_[id.value] = std::make_unique<WriteQueue>(*this, partition);
}

void Port::end_waiting() noexcept {
  for (const auto& queue : writes_) {
    if (queue != nullptr) queue->end_waiting();
  }
}

Task<> Port::end_calls() {
  scope_.cancel();
  co_await scope_.join();
}

Task<> Port::end_guests() {
  while (!guests_.empty()) evict(guests_.back());
  co_await scope_.join();
  writes_.clear();
}

}  // namespace ashlar::embed
