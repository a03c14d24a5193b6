#include "ashlar/server/resp/reply_stream.h"

#include <optional>
#include <string>

#include "ashlar/server/resp/errors.h"

namespace ashlar::resp {

void ReplyStream::remember(std::size_t begin, kv::Partition& partition, const kv::Ticket& ticket,
                           std::size_t replies) {
  held_.push_back({begin, out_.size(), replies, &partition, ticket});
  for (Held& last : last_) {
    if (last.partition != &partition || last.ticket.durability() != ticket.durability()) continue;
    if (last.ticket.sequence() < ticket.sequence()) last = held_.back();
    return;
  }
  last_.push_back(held_.back());
}

Task<> ReplyStream::settle() {
  std::optional<Error> failure;
  for (const Held& last : last_) {
    const Result<> durable = co_await last.ticket;
    if (!durable) failure = durable.error();
  }
  if (failure) replace_failed(*failure);
  held_.clear();
  last_.clear();
}

/// Rare, and the end of writing to the partition: copies everything that stays.
void ReplyStream::replace_failed(const Error& why) {
  const std::string text = out_.take_text();
  std::size_t at = 0, mark = 0;
  const auto move_marks = [&](std::size_t end) {
    for (; mark < marks_.size() && marks_[mark] <= end; ++mark) marks_[mark] += out_.size() - at;
  };
  for (const Held& held : held_) {
    const kv::Partition& partition = *held.partition;
    const bool durable = held.ticket.sequence() <= partition.durable_sequence();
    if (durable || !partition.stop_reason() || held.begin < at) continue;
    move_marks(held.begin);
    out_.append(std::string_view(text).substr(at, held.begin - at));
    for (std::size_t i = 0; i < held.replies; ++i) ReplyWriter(out_, Protocol::resp2).error(error_text(why));
    at = held.end;
  }
  move_marks(text.size());
  out_.append(std::string_view(text).substr(at));
}

}  // namespace ashlar::resp
