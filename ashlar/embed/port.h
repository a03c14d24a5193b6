#pragma once

/// A shard as plain threads see it: where their calls arrive, and where they wait for the answers.

#include <memory>
#include <utility>
#include <vector>

#include "ashlar/base/intrusive_list.h"
#include "ashlar/embed/call.h"
#include "ashlar/embed/guest.h"
#include "ashlar/embed/wait_room.h"
#include "ashlar/embed/write_queue.h"
#include "ashlar/runtime/shard/shard.h"
#include "ashlar/runtime/sync/scope.h"
#include "ashlar/runtime/task/task.h"

namespace ashlar::embed {

/// Thread safety: post() and wait() by any thread while the database is open, all else on the shard.
/// Lifecycle: made before the shard starts and destroyed after it has ended. Before the store is closed,
/// end_waiting() on every shard, then end_calls(), then end_guests(): calls of one shard may read what a
/// guest of another holds, and wait for locks that go with the guests.
class Port {
 public:
  explicit Port(Duration spin) noexcept : room_(spin) {}
  void attach(Shard& shard) noexcept { shard_ = &shard; }

  void post(Call& call) noexcept {
    call.port = this;
    call.slot = room_.slot();
    shard_->post(call);
  }
  void wait(const Call& call) noexcept { room_.wait(call.done, call.slot); }

  /// The call is answered: it may be gone when this returns.
  void finish(Call& call) noexcept;
  /// Notes which slots to wake, for wake(), where several are answered at once.
  void finish(Call& call, std::uint32_t& slots) noexcept;
  void wake(std::uint32_t slots) noexcept {
    if (slots != 0) room_.wake(slots);
  }

  /// Runs while the call is answered; ends before the store.
  void spawn(Task<> task) { scope_.spawn(std::move(task), Share::foreground); }

  void enter(Guest& guest);
  void evict(Guest& guest) noexcept;
  /// By its handle, on any thread, while the database is open.
  void post_leave(std::shared_ptr<Guest> guest) noexcept;

  WriteQueue& writes(kv::PartitionId id) noexcept { return *writes_[id.value]; }
  void add_writes(kv::PartitionId id, kv::Partition& partition);

  /// Who waits for a lock hears that the database is closed.
  void end_waiting() noexcept;
  /// Nothing is handed in any more: ends what is under way.
  Task<> end_calls();
  /// The newest first: an iterator's cursor before the snapshot that it reads.
  Task<> end_guests();

 private:
  Shard* shard_ = nullptr;
  WaitRoom room_;
  TaskScope scope_{nullptr};
  IntrusiveList<Guest> guests_;
  std::vector<std::unique_ptr<WriteQueue>> writes_;  // by partition; null where another shard has it
};

}  // namespace ashlar::embed
