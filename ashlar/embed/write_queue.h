#pragma once

/// Writes of plain threads to one partition, on its shard: appended as they arrive, answered together.

#include <cstdint>
#include <span>

#include "ashlar/embed/call.h"
#include "ashlar/embed/options.h"
#include "ashlar/kv/partition.h"
#include "ashlar/kv/partitioner.h"

namespace ashlar::embed {

/// Appends `writes`, which must live until it is answered.
struct WriteCall : Call {
  WriteCall() noexcept;

  kv::PartitionId partition;
  kv::WriteOptions options;
  std::span<const kv::Write> writes;
  Result<> result;
  bool ordered = false;  ///< options.on_commit will be, or was, called

  // The queue's.
  kv::Ticket ticket;
  WriteCall* next_waiting = nullptr;
};

/// Appends, once no other holds the lock of a key, and waits until it is acknowledged: `timed_out` at the
/// deadline of `options`. `ordered`: set to true once it was appended. On the partition's shard; what is
/// referred to outlives the task.
Task<Result<>> write_when_free(kv::Partition& partition, std::span<const kv::Write> writes,
                               const kv::WriteOptions& options, bool* ordered = nullptr);

/// Owner: the partition's shard. Tickets settle in their order: one task waits for the oldest, and answers
/// every call whose ticket has settled with it. So a commit group costs one resumption and one wake-up, be it
/// of one thread or of sixty-four.
///
/// A call that meets another's lock, has a deadline or is to be measured has a task of its own.
class WriteQueue {
 public:
  WriteQueue(Port& port, kv::Partition& partition) noexcept : port_(port), partition_(partition) {}
  void write(WriteCall& call);
  /// Nobody waits for locks of the partition any more.
  void end_waiting() noexcept { partition_.locks().end_waiting(); }

 private:
  Task<> answer();
  Task<> write_alone(WriteCall* call);

  Port& port_;
  kv::Partition& partition_;
  WriteCall* first_ = nullptr;  // whose tickets have not settled, oldest first
  WriteCall* last_ = nullptr;
};

}  // namespace ashlar::embed
