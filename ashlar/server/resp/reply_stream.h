#pragma once

/// Replies that rest on writes not yet durable: written at once, sent when what they say cannot vanish (D12).

#include <cstddef>
#include <span>
#include <vector>

#include "ashlar/kv/partition.h"
#include "ashlar/runtime/task/task.h"
#include "ashlar/server/resp/reply_writer.h"

namespace ashlar::resp {

/// The replies of a run of commands, in order, and for each the ticket it waits for. A pipeline is executed
/// without waiting; one group commit then covers it, and settle() waits for the last ticket of each
/// partition.
///
/// Owner: the shard whose partitions it refers to. Used for one batch after another; allocates nothing once
/// warm.
class ReplyStream {
 public:
  explicit ReplyStream(ChunkPool& pool) noexcept : out_(pool) {}
  ReplyStream(ReplyStream&&) = default;

  OutputBuffer& out() noexcept { return out_; }
  ReplyWriter writer(Protocol protocol) noexcept { return {out_, protocol}; }

  /// What was written from `begin` on, so many replies, rests on this ticket. Nothing to wait for is nothing
  /// to remember.
  void hold(std::size_t begin, kv::Partition& partition, const kv::Ticket& ticket, std::size_t replies = 1) {
    const bool lost = partition.stop_reason() && ticket.sequence() > partition.durable_sequence();
    if (!ticket.settled() || lost) remember(begin, partition, ticket, replies);
  }
  bool settled() const noexcept { return held_.empty(); }

  /// Notes that a reply ends here. marks() stay right when settle() replaces replies.
  void mark() { marks_.push_back(out_.size()); }
  std::span<const std::size_t> marks() const noexcept { return marks_; }

  /// Drops everything, replies and marks; nothing may be held.
  void clear() noexcept {
    out_.clear();
    marks_.clear();
  }

  /// Waits until every reply may be sent. One whose write failed has become an error by then.
  Task<> settle();

 private:
  struct Held {
    std::size_t begin, end;  // of its bytes in out_, counted from the start of the batch
    std::size_t replies;     // that they are
    kv::Partition* partition;
    kv::Ticket ticket;
  };

  void remember(std::size_t begin, kv::Partition& partition, const kv::Ticket& ticket, std::size_t replies);
  void replace_failed(const Error& why);

  OutputBuffer out_;
  std::vector<Held> held_;
  std::vector<Held> last_;  // the newest of each partition and durability
  std::vector<std::size_t> marks_;
};

}  // namespace ashlar::resp
