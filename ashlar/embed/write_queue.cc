#include "ashlar/embed/write_queue.h"

#include "ashlar/embed/port.h"

namespace ashlar::embed {

WriteCall::WriteCall() noexcept
    : Call([](Message& message) noexcept {
        auto& call = static_cast<WriteCall&>(message);
        call.port->writes(call.partition).write(call);
      }) {}

void WriteQueue::write(WriteCall& call) {
  if (call.options.deadline != never || call.options.receipt != nullptr) [[unlikely]]
    return port_.spawn(write_alone(&call));
  const Result<kv::Ticket> ticket = partition_.append(call.writes, call.options);
  if (!ticket && ticket.error().code == Errc::busy) [[unlikely]]
    return port_.spawn(write_alone(&call));
  call.ordered = ticket.has_value();
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

Task<> WriteQueue::write_alone(WriteCall* call) {
  call->result = co_await write_when_free(partition_, call->writes, call->options, &call->ordered);
  as_closed(call->result);
  port_.finish(*call);
}

Task<Result<>> write_when_free(kv::Partition& partition, std::span<const kv::Write> writes,
                               const kv::WriteOptions& options, bool* ordered) {
  for (;;) {
    if (options.deadline != never && Shard::current().now() >= options.deadline)
      co_return fail(Errc::timed_out, "write");
    const Result<kv::Ticket> ticket = partition.append(writes, options);
    if (ticket || ticket.error().code != Errc::busy) {
      const kv::Ticket written = CO_TRY(ticket);
      if (ordered != nullptr) *ordered = true;
      const kv::Receipt::Time waited(options.receipt, &kv::Receipt::queue_time);
      co_return co_await written.until(options.deadline);
    }
    const kv::Receipt::Time waited(options.receipt, &kv::Receipt::queue_time);
    Result<> free = co_await partition.locks().writable(writes, options.deadline);
    if (!free) free.error().where = "write: a transaction has locked the key";
    CO_TRY(free);
  }
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
