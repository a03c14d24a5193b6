#include "ashlar/embed/write_queue.h"

#include "ashlar/embed/port.h"

namespace ashlar::embed {

WriteCall::WriteCall() noexcept
    : Call([](Message& message) noexcept {
        auto& call = static_cast<WriteCall&>(message);
        call.port->writes(call.partition).write(call);
      }) {}

void WriteQueue::write(WriteCall& call) {
  const Result<kv::Ticket> ticket = partition_.append(call.writes, call.durability);
  if (!ticket || ticket->settled()) {
    if (!ticket) call.result = std::unexpected(ticket.error());
    port_.finish(call);
    return;
  }
  call.ticket = *ticket;
  const bool answering = first_ != nullptr;
  *(answering ? &last_->next_waiting : &first_) = &call;
  last_ = &call;
  if (!answering) port_.spawn(answer());
}

Task<> WriteQueue::answer() {
  while (first_ != nullptr) {
    Result<> result = co_await first_->ticket;
    std::uint32_t slots = 0;
    for (;;) {
      WriteCall& call = *first_;
      first_ = call.next_waiting;  // once it is answered, the call may be gone
      call.result = result;
      port_.finish(call, slots);
      if (first_ == nullptr || !first_->ticket.settled()) break;
      result = co_await first_->ticket;  // settled: does not suspend
    }
    port_.wake(slots);
  }
}

}  // namespace ashlar::embed
